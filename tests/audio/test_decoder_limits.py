"""What ffmpeg may open for a stranger's file: one demuxer, few decoders, no other file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import av.error
import pytest

from tests.support.recordings import recorded, stock, wav
from voxcpm_openai.voices.intake import decode

CONTAINERS = ("mp3", "wav", "ogg", "aac", "flac", "matroska", "mov")
CODECS = {
    *("mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1", "aac", "alac"),
    *("vorbis", "opus", "libopus", "flac", "adpcm_ms", "adpcm_ima_wav"),
    *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_s16be"),
    *("pcm_alaw", "pcm_mulaw"),
}


def options_of(content: bytes, container: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the options with which the decoder opens a file."""
    seen: list[Mapping[str, str]] = []
    real = av.open

    def watching(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["container_options"])
        assert kwargs["format"] == container  # else the file itself would choose a demuxer
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(av, "open", watching)
        decode.decode(content, container)
    (options,) = seen
    return dict(options)


def playlist(folder: Path) -> bytes:
    """Return a file that names another one, which ffmpeg's concat demuxer would open."""
    other = folder / "secret.wav"
    other.write_bytes(wav(stock()))
    return f"ffconcat version 1.0\nfile '{other}'\n".encode()


def opens(content: bytes, demuxer: str, options: Mapping[str, str]) -> bool:
    """Return whether ffmpeg gets sound out of a file with these options."""
    try:
        with av.open(
            io.BytesIO(content), "r", format=demuxer, container_options=dict(options)
        ) as source:
            return next(source.decode(audio=0)).samples > 0
    except (av.error.FFmpegError, IndexError, ValueError):
        return False


def test_there_is_a_demuxer_for_each_container_and_no_other() -> None:
    assert tuple(decode.CODECS) == CONTAINERS


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "ogg vorbis", "mp4", "webm", "aac"])
def test_a_file_is_opened_with_every_whitelist(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"ogg vorbis": "ogg", "mp4": "mov", "webm": "matroska"}
    container = names.get(kind, kind)
    options = options_of(recorded(kind), container, monkeypatch)
    assert options == {
        "protocol_whitelist": "none",
        "format_whitelist": container,
        "codec_whitelist": decode.CODECS[container],
    }


def test_no_file_can_make_the_decoder_open_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demuxer is fixed, and the whitelists would hold even if it were not."""
    options = options_of(recorded("wav"), "wav", monkeypatch)
    loose = {"safe": "0", "protocol_whitelist": "file,none"}
    codecs = {"codec_whitelist": options["codec_whitelist"]}
    assert opens(playlist(tmp_path), "concat", {**loose, **codecs}), "the playlist is no good"
    # Each of two whitelists is enough.
    assert not opens(playlist(tmp_path), "concat", {**options, **loose})
    assert not opens(
        playlist(tmp_path),
        "concat",
        {**codecs, "safe": "0", "protocol_whitelist": options["protocol_whitelist"]},
    )


def test_no_other_codec_sees_a_file() -> None:
    """Each one more is code that a stranger's bytes run through."""
    used = {name for names in decode.CODECS.values() for name in names.split(",")}
    assert used == CODECS
    assert {av.Codec(name, "r").type for name in used} == {"audio"}

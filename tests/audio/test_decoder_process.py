"""The process that decodes a recording: crashes, limits, its environment, how many run at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.clips import rejection
from tests.support.recordings import recorded
from voxcpm_openai import Samples
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.voices.intake import clip as clip_module
from voxcpm_openai.voices.intake import decode
from voxcpm_openai.voices.intake.clip import clean


def replace_decoder(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Run another program instead of the decoder."""
    program = folder / "decode.py"
    program.write_text(source)
    monkeypatch.setattr(decode, "__file__", str(program))


def test_a_file_that_crashes_its_codec_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replace_decoder(
        monkeypatch, tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    )
    assert f"stopped (by signal {signal.SIGSEGV:d})" in rejection(recorded("mp3"))
    assert "the decoder of a mp3 file exited with -11" in caplog.text


def test_a_decoder_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replace_decoder(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr(clip_module, "DECODE_SECONDS", 0.2)
    assert "it took more than 0.2 s" in rejection(recorded("mp3"))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("bytearray(600 * 2**20)", "it exceeded its limits"),
        ("open('/dev/null')", "it exceeded its limits"),
        ("socket.socket()", "it exceeded its limits"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", "it took too long"),
    ],
    ids=["memory", "file", "socket", "time"],
)
def test_the_decoder_has_limits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str, message: str
) -> None:
    # The real program, with the action inserted before it decodes.
    source = Path(decode.__file__).read_text(encoding="utf-8")
    before, mark, after = source.partition("    try:\n        audio = decode(sys.stdin")
    assert mark
    before = before.replace("import struct", "import socket\nimport struct")
    inserted = "\n".join(f"    {line}" for line in action.splitlines())
    replace_decoder(monkeypatch, tmp_path, f"{before}{inserted}\n{mark}{after}")
    assert message in rejection(recorded("mp3"))


def test_the_decoder_gets_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXCPM_API_KEYS", "secret")
    replace_decoder(
        monkeypatch,
        tmp_path,
        "import json, os, sys; sys.stdin.buffer.read()\n"
        "print(json.dumps({'rejected': ' '.join(sorted(os.environ))}))",
    )
    assert "VOXCPM_API_KEYS" not in rejection(recorded("mp3"))


def test_the_decoder_imports_neither_this_package_nor_numpy() -> None:
    script = (
        "import runpy, sys\n"
        f"runpy.run_path({decode.__file__!r})['_warm_up']()\n"
        "assert not {'numpy', 'voxcpm_openai'} & set(sys.modules)\n"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-P", "-c", script]) == 0


def test_the_number_of_concurrent_decoders_is_limited(
    monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    inside, most, lock = 0, 0, threading.Lock()
    decoded = clip_module._decoded

    def watched(content: bytes, container: str) -> tuple[Samples, int]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            return decoded(content, container)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(clip_module, "_decoded", watched)
    clips = list(pool.map(clean, [recorded("mp3")] * 8))
    assert len(clips) == 8
    assert most <= 2


def test_a_request_that_waits_too_long_for_a_decoder_gets_a_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip_module, "_decoders", threading.Semaphore(0))
    monkeypatch.setattr(clip_module, "MAX_WAIT", 0.01)
    with pytest.raises(Overloaded) as caught:
        clean(recorded("mp3"))
    assert caught.value.status == 503

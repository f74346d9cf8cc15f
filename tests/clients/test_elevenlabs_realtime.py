"""ElevenLabs' Python client with a text that arrives piece by piece.

The package always connects by TLS, so a proxy stands before the server.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from websockets.exceptions import InvalidStatus

from tests.clients.hearing import TEXT, Hearing, tokens
from tests.support.live_server import Server
from tests.support.tls_proxy import TlsProxy


@pytest.fixture
def client(
    server: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ElevenLabs]:
    with TlsProxy(server.port, tmp_path_factory.mktemp("tls")) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        with httpx.Client() as connections:
            yield ElevenLabs(
                base_url=f"https://127.0.0.1:{proxy.port}",
                api_key="unused",
                httpx_client=connections,
            )


def decoded(data: bytes) -> tuple[bytes, int]:
    """Return the 16-bit samples of an encoded file, and their rate in Hz."""
    with av.open(io.BytesIO(data)) as container:
        rate = container.streams.audio[0].rate
        to_pcm = av.AudioResampler("s16", "mono", rate)
        frames = [part for frame in container.decode(audio=0) for part in to_pcm.resample(frame)]
        return b"".join(frame.to_ndarray().tobytes() for frame in frames), rate


@pytest.mark.parametrize("pieces", [tokens(), [TEXT]], ids=["tokens", "whole"])
def test_says_the_text_as_samples(client: ElevenLabs, hearing: Hearing, pieces: list[str]) -> None:
    chunks = client.text_to_speech.convert_realtime(
        "alloy", text=iter(pieces), model_id="eleven_flash_v2_5", output_format="pcm_24000"
    )
    hearing.check(b"".join(chunks), 24_000)


def test_says_the_text_as_mp3(client: ElevenLabs, hearing: Hearing) -> None:
    data = b"".join(client.text_to_speech.convert_realtime("alloy", text=iter(tokens())))
    pcm, rate = decoded(data)
    assert rate == 44_100
    hearing.check(pcm, rate)


def test_an_unknown_voice_is_an_error_and_not_silence(client: ElevenLabs) -> None:
    with pytest.raises((ApiError, InvalidStatus)):
        list(client.text_to_speech.convert_realtime("nobody", text=iter(tokens())))

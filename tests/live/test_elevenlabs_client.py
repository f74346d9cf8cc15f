"""ElevenLabs' Python client against a live server with the embedded engine."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import av
import pytest

from tests.support.live_server import Server

pytest.importorskip("elevenlabs")
import httpx
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError

TEXT = "The first light of the day is always the best. It costs nothing."
KEY = "a key"


@pytest.fixture(scope="module")
def keyed_server() -> Iterator[Server]:
    with Server(api_keys=KEY) as server:
        yield server.wait_ready()


@pytest.fixture(scope="module")
def connections():
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def client(keyed_server: Server, connections):
    return ElevenLabs(base_url=keyed_server.url, api_key=KEY, httpx_client=connections)


def seconds_of(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("name", ["mp3_44100_128", "mp3_22050_32", "opus_48000_64", "wav_24000"])
def test_convert_gives_the_text_in_each_format(client, name: str) -> None:
    data = client.text_to_speech.convert(
        "alloy", text=TEXT, model_id="eleven_multilingual_v2", output_format=name
    )
    assert 2.5 < seconds_of(b"".join(data)) < 8


@pytest.mark.parametrize(("name", "bytes_a_second"), [("pcm_16000", 32_000), ("ulaw_8000", 8_000)])
def test_convert_gives_raw_samples(client, name: str, bytes_a_second: int) -> None:
    data = b"".join(client.text_to_speech.convert("alloy", text=TEXT, output_format=name))
    assert 2.5 < len(data) / bytes_a_second < 8


def test_stream_gives_several_chunks_and_obeys_the_speed(client) -> None:
    def seconds(speed: float) -> float:
        chunks = list(
            client.text_to_speech.stream(
                "alloy",
                text=TEXT,
                model_id="eleven_flash_v2_5",
                voice_settings={"speed": speed, "stability": 0.5},
            )
        )
        assert len(chunks) > 3
        return seconds_of(b"".join(chunks))

    assert seconds(2.0) == pytest.approx(seconds(1.0) / 2, rel=0.2)


def test_convert_with_timestamps_aligns_the_text(client) -> None:
    reply = client.text_to_speech.convert_with_timestamps("alloy", text=TEXT)
    alignment = reply.alignment
    assert "".join(alignment.characters) == TEXT
    seconds = seconds_of(base64.b64decode(reply.audio_base_64))
    assert alignment.character_end_times_seconds[-1] == pytest.approx(seconds, abs=0.2)


def test_stream_with_timestamps_aligns_the_text(client) -> None:
    chunks = list(client.text_to_speech.stream_with_timestamps("alloy", text=TEXT))
    data = b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks)
    said = [c for chunk in chunks if chunk.alignment for c in chunk.alignment.characters]
    assert "".join(said) == TEXT
    assert seconds_of(data) > 2.5


def test_voices_and_models_are_listed_as_the_client_reads_them(client) -> None:
    voices = client.voices.get_all().voices
    assert "alloy" in [voice.voice_id for voice in voices]
    assert client.voices.get("alloy").name == "Alloy"
    page = client.voices.search(search="alloy", page_size=1)
    assert [voice.voice_id for voice in page.voices] == ["alloy"]
    models = client.models.list()
    assert "tts-1" in [model.model_id for model in models]
    assert "en" in [language.language_id for language in models[0].languages]


def test_errors_have_the_body_that_the_client_expects(
    client, keyed_server: Server, connections
) -> None:
    stranger = ElevenLabs(base_url=keyed_server.url, api_key="another", httpx_client=connections)
    for one, voice, status, name in (
        (client, "nobody", 404, "voice_not_found"),
        (stranger, "alloy", 401, "invalid_api_key"),
    ):
        with pytest.raises(ApiError) as caught:
            list(one.text_to_speech.convert(voice, text=TEXT))
        assert caught.value.status_code == status
        assert caught.value.body["detail"]["status"] == name

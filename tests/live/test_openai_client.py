"""OpenAI's Python client against a live server with the embedded engine."""

from __future__ import annotations

import asyncio
import io

import av
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.live_server import Server
from tests.support.stock import OPENAI_MODELS

VOICES = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
MODELS = [
    *OPENAI_MODELS,
    "embedded",
    "hibari",
]
TEXT = "The first light of the day is always the best."


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="anything goes", max_retries=0)


@pytest.fixture(scope="module")
def tone_client(tone_server: Server) -> OpenAI:
    return OpenAI(base_url=f"{tone_server.url}/v1", api_key="anything goes", max_retries=0)


def seconds_of(data: bytes) -> float:
    """Decode a whole file; return its duration and see that it is not silent."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray().astype(float) for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    sound = np.concatenate([frame.reshape(-1) for frame in frames])
    assert np.abs(sound).max() > 0
    return len(sound) / rate


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
def test_each_format_decodes_to_the_sentence(client: OpenAI, name: str) -> None:
    reply = client.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format=name, extra_body={"seed": 1}
    )
    assert 2.0 < seconds_of(reply.content) < 5.0


def test_pcm_plays_at_24_khz(client: OpenAI) -> None:
    reply = client.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
    )
    assert len(reply.content) % 2 == 0
    assert 2.0 < len(reply.content) / 2 / 24_000 < 5.0


@pytest.mark.parametrize("voice", VOICES)
def test_each_voice_speaks(client: OpenAI, voice: str) -> None:
    reply = client.audio.speech.create(model="tts-1", voice=voice, input=TEXT)
    assert 2.0 < seconds_of(reply.content) < 6.0


@pytest.mark.parametrize("model", MODELS)
def test_each_model_speaks(client: OpenAI, model: str) -> None:
    reply = client.audio.speech.create(model=model, voice="alloy", input="Hello.")
    assert reply.response.headers["content-type"] == "audio/mpeg"
    assert seconds_of(reply.content) > 0.3


def test_the_same_seed_gives_the_same_bytes(client: OpenAI) -> None:
    def bytes_of(seed: int) -> bytes:
        return client.audio.speech.create(
            model="tts-1",
            voice="echo",
            input=TEXT,
            response_format="wav",
            extra_body={"seed": seed},
        ).content

    assert bytes_of(7) == bytes_of(7)
    assert bytes_of(7) != bytes_of(8)


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed_changes_the_duration(client: OpenAI, speed: float) -> None:
    def seconds(speed: float) -> float:
        reply = client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, speed=speed, response_format="wav"
        )
        return seconds_of(reply.content)

    assert seconds(speed) == pytest.approx(seconds(1.0) / speed, rel=0.2)


def test_the_lists_read_as_the_client_reads_them(client: OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert sorted(listed) == sorted(MODELS)
    assert client.models.retrieve("tts-1").object == "model"


def test_audio_arrives_before_the_end(tone_client: OpenAI) -> None:
    # The engine says nothing more after its first chunk: whatever arrives came before the end.
    with tone_client.audio.speech.with_streaming_response.create(
        model="tone", voice="alloy", input="hang-late", response_format="pcm"
    ) as reply:
        assert len(next(reply.iter_bytes(1024))) == 1024


def test_sse_reads_as_the_client_reads_it(client: OpenAI) -> None:
    kinds, sound = [], b""
    import base64

    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input=TEXT,
        response_format="wav",
        stream_format="sse",
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                import json

                event = json.loads(line.removeprefix("data: "))
                kinds.append(event["type"])
                sound += base64.b64decode(event.get("audio", ""))
    assert kinds == ["speech.audio.delta"] * (len(kinds) - 1) + ["speech.audio.done"]
    assert 2.0 < seconds_of(sound) < 5.0


def test_a_long_text_streams(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=(TEXT + " ") * 85, response_format="pcm"
    ) as reply:
        sizes = [len(piece) for piece in reply.iter_bytes()]
    assert sum(sizes) / 48_000 > 85 * 2.0
    assert len(sizes) > 85


def test_the_async_client_speaks_ten_times_at_once(server: Server) -> None:
    async def speak_all() -> list[bytes]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
            replies = await asyncio.gather(
                *(
                    client.audio.speech.create(model="tts-1", voice=voice, input=TEXT)
                    for voice in VOICES[:10]
                )
            )
            return [reply.content for reply in replies]

    assert all(seconds_of(data) > 2.0 for data in asyncio.run(speak_all()))


@pytest.mark.parametrize(
    ("fields", "kind", "param", "code"),
    [
        ({"model": "whisper-1"}, openai.NotFoundError, "model", "model_not_found"),
        ({"voice": "nobody"}, openai.BadRequestError, "voice", None),
        ({"input": "😀"}, openai.BadRequestError, "input", None),
        ({"input": "Привет"}, openai.BadRequestError, "input", None),
        ({"speed": 9}, openai.BadRequestError, "speed", None),
        ({"response_format": "mp4"}, openai.BadRequestError, "response_format", None),
    ],
)
def test_errors_are_the_clients_own_classes(
    client: OpenAI,
    fields: dict[str, object],
    kind: type[openai.APIStatusError],
    param: str | None,
    code: str | None,
) -> None:
    asked = {"model": "tts-1", "voice": "alloy", "input": "Hello.", **fields}
    with pytest.raises(kind) as caught:
        client.audio.speech.create(**asked)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] in str(caught.value)


def test_the_client_retries_what_is_unavailable(tone_server: Server) -> None:
    seen: list[str | None] = []
    http_client = openai.DefaultHttpxClient(
        event_hooks={"request": [lambda r: seen.append(r.headers.get("x-stainless-retry-count"))]}
    )
    with (
        OpenAI(
            base_url=f"{tone_server.url}/v1", api_key="x", max_retries=1, http_client=http_client
        ) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.audio.speech.create(model="tone", voice="alloy", input="fail-early")
    assert caught.value.status_code == 503
    assert seen == ["0", "1"]


def test_a_truncated_file_is_never_taken_for_a_whole_one(tone_client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        tone_client.audio.speech.create(model="tone", voice="alloy", input="fail-late")


def test_keys_are_asked_for_as_the_client_sends_them() -> None:
    with Server(api_keys="the right key") as server:
        url = f"{server.wait_ready().url}/v1"
        with OpenAI(base_url=url, api_key="the right key", max_retries=0) as client:
            assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.").content
        with (
            OpenAI(base_url=url, api_key="a wrong key", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")
        assert caught.value.code == "invalid_api_key"

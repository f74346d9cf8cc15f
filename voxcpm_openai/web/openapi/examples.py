"""Requests in the API reference.  A test sends each and checks its status and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ADDED = "voice_3f2a9c4e5b6d7081"
"""A voice that a client added; the tests add one."""
CANDIDATE = "cand_3f2a9c4e5b6d7081"
CONSENT = "cons_3f2a9c4e5b6d7081"
DICTIONARY = "dict_3f2a9c4e5b6d7081"

FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and the status of its response.

    ``path`` and ``query``: the variables of the URL; ``body``: None if there is none.
    """

    name: str
    body: Mapping[str, Any] | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    status: int = 200


def plain(**path: str) -> tuple[Example, ...]:
    """Return the example of a request without a body."""
    return (Example("Success", path=path),)


SPOKEN = (
    Example("Text", {"text": "Hello there."}, {"voice_id": "coral"}),
    Example(
        "Settings",
        {
            "text": "Hello there.",
            "model_id": "eleven_flash_v2_5",
            "voice_settings": {"speed": 1.1},
            "seed": 7,
        },
        {"voice_id": "coral"},
        {"output_format": "pcm_24000"},
    ),
    Example("Unknown voice", {"text": "Hello."}, {"voice_id": "nobody"}, status=404),
)
SOCKET = Example("Without a handshake", status=426)
ELEVENLABS_SOCKET = Example("Without a handshake", path={"voice_id": "coral"}, status=426)
RECORDING = {"type": "audio_sample", "name": "Jane", "audio_sample": "(a recording)"}
PROMPT = {"type": "prompt", "name": "Grandpa", "prompt": "A calm old man with a low voice."}
DESIGN = {"name": "Grandpa", "description": "A calm old man with a low voice."}
SPEECH = {"model": "tts-1", "input": "Hello there.", "voice": "alloy"}
CONSENTS = "/v1/audio/voice_consents"
DICTIONARIES = "/v1/pronunciation-dictionaries"

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "GET /health": plain(),
    "GET /ready": plain(),
    "GET /metrics": plain(),
    "GET /": plain(),
    "GET /page/{name}": (
        *plain(name="app.js"),
        Example("Unknown file", path={"name": "nothing.js"}, status=404),
    ),
    "GET /page/server.json": plain(),
    "GET /openapi.json": plain(),
    "GET /docs": plain(),
    "GET /docs/{name}": (
        *plain(name="reference.css"),
        Example("Unknown file", path={"name": "nothing.js"}, status=404),
    ),
    "POST /v1/audio/speech": (
        Example("Speech", SPEECH),
        Example(
            "Events",
            {
                "model": "gpt-4o-mini-tts",
                "input": "Hello there.",
                "voice": {"id": "coral"},
                "response_format": "pcm",
                "stream_format": "sse",
            },
        ),
        Example(
            "Extensions",
            {
                **SPEECH,
                "response_format": "wav",
                "speed": 1.2,
                "seed": 7,
                "sample_rate": 16000,
                "lexicon": {"Nguyen": "win"},
                "lead_ms": 200,
            },
        ),
        Example("Wrong speed", {**SPEECH, "speed": 9}, status=400),
        Example("Unknown model", {**SPEECH, "model": "whisper-1"}, status=404),
    ),
    "POST /v1/audio/speech/batch": (
        Example(
            "Two texts",
            {"voice": "alloy", "items": [{"input": "One."}, {"input": "Two.", "voice": "echo"}]},
        ),
        Example("No items", {"items": []}, status=400),
    ),
    "POST /v1/audio/speech/text": (Example("What is said", {"input": "It costs $3.50."}),),
    "GET /v1/audio/speech/stream": (SOCKET,),
    "GET /v1/realtime": (SOCKET,),
    "GET /v1/text-to-speech/{voice_id}/stream-input": (ELEVENLABS_SOCKET,),
    "GET /v1/text-to-speech/{voice_id}/multi-stream-input": (ELEVENLABS_SOCKET,),
    "GET /v1/models": plain(),
    "GET /v1/audio/models": plain(),
    "GET /v1/models/{id}": plain(id="tts-1"),
    "DELETE /v1/models/{id}": (Example("Built in", path={"id": "tts-1"}, status=400),),
    "GET /v1/voices": (*plain(), Example("Ids", query={"legacy": "true"})),
    "GET /v1/audio/voices": plain(),
    "GET /v1/voices/{id}": plain(id="coral"),
    "GET /v1/voices/{id}/sample": plain(id="coral"),
    "POST /v1/voices/{id}/keep": plain(id=CANDIDATE),
    "PATCH /v1/voices/{id}": (Example("New name", {"name": "Janet"}, {"id": ADDED}),),
    "DELETE /v1/voices/{id}": plain(id=ADDED),
    "DELETE /v1/audio/voices/{id}": plain(id=ADDED),
    "POST /v1/voices": (
        Example("Recording", RECORDING, media_type=FORM),
        Example("Candidates", DESIGN),
    ),
    "POST /v1/audio/voices": (
        Example("Recording", {**RECORDING, "consent": CONSENT}, media_type=FORM),
        Example("Design", PROMPT),
        Example("Nothing", {}, status=400),
    ),
    "GET /v2/voices": (Example("Search", query={"search": "coral", "page_size": "5"}),),
    "POST /v1/text-to-speech/{voice_id}": SPOKEN,
    "POST /v1/text-to-speech/{voice_id}/stream": SPOKEN,
    "POST /v1/text-to-speech/{voice_id}/with-timestamps": SPOKEN,
    "POST /v1/text-to-speech/{voice_id}/stream/with-timestamps": SPOKEN,
    f"GET {CONSENTS}": (Example("Page", query={"limit": "5"}),),
    f"POST {CONSENTS}": (
        Example(
            "Consent",
            {"name": "Jane", "language": "en-US", "recording": "(a recording)"},
            media_type=FORM,
        ),
    ),
    f"GET {CONSENTS}/{{id}}": plain(id=CONSENT),
    f"POST {CONSENTS}/{{id}}": (Example("New name", {"name": "Janet"}, {"id": CONSENT}),),
    f"DELETE {CONSENTS}/{{id}}": plain(id=CONSENT),
    f"GET {DICTIONARIES}": (Example("Page", query={"page_size": "5"}),),
    f"POST {DICTIONARIES}/add-from-rules": (
        Example(
            "Rules",
            {
                "name": "Names",
                "rules": [
                    {"type": "alias", "string_to_replace": "Nguyen", "alias": "win"},
                    {
                        "type": "phoneme",
                        "string_to_replace": "Siobhan",
                        "phoneme": "ʃɪˈvɔːn",
                        "alphabet": "ipa",
                    },
                ],
            },
        ),
        Example("No rules", {"name": "Names", "rules": []}, status=400),
    ),
    f"GET {DICTIONARIES}/{{id}}": plain(id=DICTIONARY),
    f"DELETE {DICTIONARIES}/{{id}}": plain(id=DICTIONARY),
    "GET /v1/organization/usage/audio_speeches": (
        Example("Two days", query={"start_time": "0", "end_time": "172800", "group_by": "model"}),
    ),
}
"""The examples of each route, by its method and its path."""

"""What OpenAI's published types take, this server takes: their fields, values, bounds, defaults.

The types are those of the installed SDK, which is made from OpenAI's own document.  Bounds and
defaults stand in the texts about its fields.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Required, Union, get_args, get_origin, get_type_hints

import pytest
from flask.testing import FlaskClient
from openai.types.admin.organization.usage_audio_speeches_params import UsageAudioSpeechesParams
from openai.types.audio.speech_create_params import SpeechCreateParams
from openai.types.audio.voice_consent_create_params import VoiceConsentCreateParams
from openai.types.audio.voice_consent_list_params import VoiceConsentListParams
from openai.types.audio.voice_consent_update_params import VoiceConsentUpdateParams
from openai.types.audio.voice_create_params import (
    CreateVoiceRequestAudioSample,
    CreateVoiceRequestPrompt,
)

from tests.support.openapi import Json, body_schema, document_of, problems, query_schema
from voxcpm_openai.settings import Settings
from voxcpm_openai.web.queries import PageSchema, UsageSchema
from voxcpm_openai.web.schemas import (
    ConsentSchema,
    NameSchema,
    PromptSchema,
    RequestSchema,
    SpeechSchema,
    VoiceSchema,
)

FILES = {"audio_sample", "recording"}
"""Fields that are files: the forms are sent elsewhere."""
SPECIAL = {"language": "en-US", "start_time": 0}
"""Values where not any one of the type will do."""
NOT_TAKEN = {("bucket_width", "1m"): "usage is kept by the hour"}


class Case(NamedTuple):
    """A type of OpenAI's, the schema that reads the same here, and where it is documented."""

    theirs: Any
    ours: type[RequestSchema]
    call: str
    media_type: str = "application/json"


FORM = "multipart/form-data"
CONSENTS = "/v1/audio/voice_consents"
CASES = [
    Case(SpeechCreateParams, SpeechSchema, "POST /v1/audio/speech"),
    Case(CreateVoiceRequestAudioSample, VoiceSchema, "POST /v1/audio/voices", FORM),
    Case(CreateVoiceRequestPrompt, PromptSchema, "POST /v1/audio/voices"),
    Case(VoiceConsentCreateParams, ConsentSchema, f"POST {CONSENTS}", FORM),
    Case(VoiceConsentUpdateParams, NameSchema, f"POST {CONSENTS}/{{id}}"),
    Case(VoiceConsentListParams, PageSchema, f"GET {CONSENTS}"),
    Case(UsageAudioSpeechesParams, UsageSchema, "GET /v1/organization/usage/audio_speeches"),
]
IDS = [case.theirs.__name__ for case in CASES]
each = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.fixture
def document(client: FlaskClient) -> Json:
    return document_of(client)


def schema_of(document: Json, case: Case) -> Json:
    if case.call.startswith("GET"):
        return query_schema(document, case.call)
    return body_schema(document, case.call, case.media_type)


def hints(case: Case) -> dict[str, Any]:
    """Return the types of the fields, without those that are files."""
    found = get_type_hints(case.theirs, include_extras=True)
    return {name: kind for name, kind in found.items() if name not in FILES}


def required(case: Case) -> set[str]:
    return {name for name, kind in hints(case).items() if get_origin(kind) is Required}


def samples(name: str, kind: Any) -> Iterator[Any]:
    """Yield values of a type: each that an enumeration has, one of any other."""
    if name in SPECIAL:
        yield SPECIAL[name]
        return
    origin, parts = get_origin(kind), get_args(kind)
    simple: dict[Any, Any] = {str: "text", int: 1, float: 1.0}
    if kind in simple:
        yield simple[kind]
    elif origin is Literal:
        yield from parts
    elif origin in (Union, Required):
        for part in parts:
            yield from samples(name, part)
    elif parts:  # a list
        yield from ([one] for one in samples(name, parts[0]))
    else:
        fields = get_type_hints(kind)
        yield {field: next(samples(field, inner)) for field, inner in fields.items()}


def texts(case: Case) -> dict[str, str]:
    """Return what OpenAI says of each field: the string below it."""
    tree = ast.parse(inspect.getsource(sys.modules[case.theirs.__module__]))
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == case.theirs.__name__:
            for field, text in pairwise(node.body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    assert isinstance(text.value, ast.Constant)
                    found[field.target.id] = str(text.value.value).replace("\n", " ")
    return found


def bodies(case: Case) -> Iterator[Json]:
    """Yield the least body, and one with each value of each field."""
    least = {name: next(samples(name, hints(case)[name])) for name in required(case)}
    yield least
    for name, kind in hints(case).items():
        for value in samples(name, kind):
            if (name, str(value).strip("[']")) not in NOT_TAKEN:
                yield {**least, name: value}
    for name, text in texts(case).items():
        for low, high in re.findall(r"(?:from|between) `?([\d.]+)`? (?:to|and) `?([\d.]+)`?", text):
            yield {**least, name: float(low) if "." in low else int(low)}
            yield {**least, name: float(high) if "." in high else int(high)}


@each
def test_what_openai_takes_the_document_takes(document: Json, case: Case) -> None:
    schema = schema_of(document, case)
    extra = dict.fromkeys(FILES & set(get_type_hints(case.theirs)), "(a recording)")
    sent = list(bodies(case))
    assert len(sent) > len(required(case))
    for body in sent:
        assert problems(document, schema, {**body, **extra}) == [], body


@each
def test_what_openai_takes_the_server_reads(case: Case) -> None:
    for body in bodies(case):
        assert set(body) <= set(case.ours().fields)
        case.ours().load(body)


@each
def test_what_openai_does_not_require_is_not_required(case: Case) -> None:
    ours = {name for name, field in case.ours().fields.items() if field.required}
    assert ours <= required(case)


@each
def test_defaults_are_openais(document: Json, case: Case) -> None:
    ours = case.ours().fields
    pattern = r"`([\w.]+)` is the default|the default is `?([\w.]*\w)|default to `([\w.]+)`"
    for name, text in texts(case).items():
        for groups in re.findall(pattern, text):
            (theirs,) = filter(None, groups)
            default = ours[name].metadata.get("default", ours[name].load_default)
            assert str(default) == theirs, name


def test_the_longest_text_of_openais_is_taken() -> None:
    (longest,) = re.findall(r"maximum length is (\d+)", texts(CASES[0])["input"])
    assert Settings().max_input_chars >= int(longest)


def test_the_sdk_has_the_bounds_and_defaults_that_these_tests_look_for() -> None:
    """Else a change of its wording would make them pass without a look."""
    speeds = [body["speed"] for body in bodies(CASES[0]) if "speed" in body]
    assert {0.25, 4.0} <= set(speeds)
    limits = [body["limit"] for body in bodies(CASES[5]) if "limit" in body]
    assert {1, 100} <= set(limits)
    assert "is the default" in texts(CASES[0])["speed"]
    assert "the default is" in texts(CASES[5])["limit"]
    assert "default to" in texts(CASES[6])["bucket_width"]

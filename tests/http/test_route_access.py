"""What each route answers to each caller: a table of all routes of the app.

A route that is not in the table fails the first test: who may call it must be decided.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from limits.storage import memory

from tests.conftest import TONE, running
from tests.support.uploads import JANE, JOHN, KEYS, NOBODY, RECORDING, Headers, file
from voxcpm_openai import Segment, Utterance, Voice
from voxcpm_openai.accounts.keys import unnamed
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import RateLimited
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.text.lexicon import LexiconRule
from voxcpm_openai.voices.intake.clip import clean
from voxcpm_openai.voices.store.candidates import Design
from voxcpm_openai.web.app_context import context_of

WRONG: Headers = {"Authorization": "Bearer somebody else's key"}
OWNER = unnamed(KEYS[0]).principal
CLIP = clean(RECORDING)
RULES = [{"type": "alias", "string_to_replace": "Nguyen", "alias": "win"}]


class Row(NamedTuple):
    """A request, and the statuses for: no key, a wrong key, another key, the owner's key, the
    operator (any client of a server without keys), and the owner's key that is over its limit.

    ``target``: what the id in the path belongs to; ``closed``: the status without a key, or with
    a wrong one, if the operator has turned public discovery off.
    """

    call: str
    target: str
    statuses: tuple[int, int, int, int, int, int]
    closed: int = 401
    body: Callable[[], dict[str, Any]] = dict


def json(**fields: object) -> Callable[[], dict[str, Any]]:
    return lambda: {"json": fields}


def form(**fields: str) -> Callable[[], dict[str, Any]]:
    """Return a form with a recording in the part that each of the two routes reads."""
    recordings = ("audio_sample",) if "type" in fields else ("recording",)
    return lambda: {"data": {**fields, **{name: file() for name in recordings}}}


OPEN = (200, 200, 200, 200, 200, 200)
KEYED = (401, 401, 200, 200, 200, 200)
HERS = (401, 401, 404, 200, 200, 200)
FIXED = (401, 401, 400, 400, 400, 400)
SPOKEN = (401, 401, 200, 200, 200, 429)
SPOKEN_BY_HER = (401, 401, 404, 200, 200, 429)
SOCKET = (401, 401, 426, 426, 426, 426)  # not a handshake: see tests/live/test_limits.py
SPEECH = json(model="tts-1", input="Hello.", voice="coral")
DESIGN = json(name="Grandpa", description="a calm old man")
ELEVEN = "/v1/text-to-speech/<voice_id>"
TEXT = json(text="Hello.", model_id="eleven_flash_v2_5")
DICTIONARIES = "/v1/pronunciation-dictionaries"
CONSENTS = "/v1/audio/voice_consents"

TABLE = [
    Row("GET /", "", OPEN, 200),
    Row("GET /page/<path:name>", "script", OPEN, 200),
    Row("GET /page/server.json", "", OPEN, 200),
    Row("GET /health", "", OPEN, 200),
    Row("GET /ready", "", OPEN, 200),
    Row("GET /metrics", "", (401, 401, 403, 403, 200, 403)),
    Row("GET /openapi.json", "", OPEN),
    Row("GET /docs", "", OPEN),
    Row("GET /docs/<name>", "file", OPEN),
    Row("GET /v1/models", "", OPEN),
    Row("GET /v1/audio/models", "", OPEN),
    Row("GET /v1/models/<path:id_>", "model", OPEN),
    Row("DELETE /v1/models/<path:id_>", "model", FIXED),
    Row("GET /v1/voices", "", OPEN),
    Row("GET /v1/audio/voices", "", OPEN),
    Row("GET /v1/voices/<id_>", "stock", OPEN),
    Row("GET /v1/voices/<id_>", "plugin", OPEN),
    Row("GET /v1/voices/<id_>", "operator's", OPEN),
    Row("GET /v1/voices/<id_>", "hers", (404, 404, 404, 200, 200, 200)),
    Row("GET /v1/voices/<id_>/sample", "stock", OPEN),
    Row("GET /v1/voices/<id_>/sample", "plugin", KEYED),
    Row("GET /v1/voices/<id_>/sample", "operator's", KEYED),
    Row("GET /v1/voices/<id_>/sample", "hers", (404, 404, 404, 200, 200, 200)),
    Row("GET /v1/voices/<id_>/sample", "candidate", (404, 404, 404, 200, 200, 200)),
    Row("POST /v1/voices/<id_>/keep", "candidate", HERS),
    Row("PATCH /v1/voices/<id_>", "stock", FIXED, body=json(name="x")),
    Row(
        "PATCH /v1/voices/<id_>", "operator's", (401, 401, 400, 400, 200, 400), body=json(name="x")
    ),
    Row("PATCH /v1/voices/<id_>", "hers", HERS, body=json(name="x")),
    Row("DELETE /v1/voices/<id_>", "stock", FIXED),
    Row("DELETE /v1/voices/<id_>", "operator's", (401, 401, 400, 400, 200, 400)),
    Row("DELETE /v1/voices/<id_>", "hers", HERS),
    Row("DELETE /v1/audio/voices/<id_>", "hers", HERS),
    Row("POST /v1/voices", "", SPOKEN, body=DESIGN),
    Row("POST /v1/voices", "", KEYED, body=form(type="audio_sample", name="x", transcript="y")),
    Row("POST /v1/audio/voices", "", KEYED, body=form(type="audio_sample", name="x")),
    Row("POST /v1/audio/voices", "", SPOKEN, body=json(type="prompt", name="x", prompt="y")),
    Row("POST /v1/audio/speech", "", SPOKEN, body=SPEECH),
    Row("POST /v1/audio/speech/batch", "", SPOKEN, body=json(items=[{"input": "Hello."}])),
    Row("POST /v1/audio/speech/text", "", KEYED, body=SPEECH),
    Row("GET /v1/realtime", "", SOCKET),
    Row(f"GET {ELEVEN}/stream-input", "stock", SOCKET),
    Row(f"GET {ELEVEN}/multi-stream-input", "stock", SOCKET),
    Row("GET /v1/audio/speech/stream", "", SOCKET),
    Row("GET /v2/voices", "", OPEN),
    *(
        Row(f"POST {ELEVEN}{end}", kind, statuses, body=TEXT)
        for end in ("", "/stream", "/with-timestamps", "/stream/with-timestamps")
        for kind, statuses in (("stock", SPOKEN), ("hers", SPOKEN_BY_HER))
    ),
    Row(f"GET {CONSENTS}", "", KEYED),
    Row(f"POST {CONSENTS}", "", KEYED, body=form(name="x", language="en")),
    Row(f"GET {CONSENTS}/<id_>", "consent", HERS),
    Row(f"POST {CONSENTS}/<id_>", "consent", HERS, body=json(name="x")),
    Row(f"DELETE {CONSENTS}/<id_>", "consent", HERS),
    Row("GET /v1/organization/usage/audio_speeches?start_time=0&end_time=9", "", KEYED),
    Row(f"GET {DICTIONARIES}", "", KEYED),
    Row(f"POST {DICTIONARIES}/add-from-rules", "", KEYED, body=json(name="x", rules=RULES)),
    Row(f"GET {DICTIONARIES}/<id_>", "dictionary", HERS),
    Row(f"DELETE {DICTIONARIES}/<id_>", "dictionary", HERS),
]

XI = "xi-api-key"

COLUMNS: dict[str, tuple[str, Headers]] = {
    "no key": ("keyed", NOBODY),
    "wrong key": ("keyed", WRONG),
    "other key": ("keyed", JOHN),
    "right key": ("keyed", JANE),
    "operator": ("open", NOBODY),
    "over the limit": ("limited", JANE),
}
Clients = dict[str, FlaskClient]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Clients of four servers with the same data.

    With keys, without discovery, without keys, and with keys that are over their limits.
    """
    folder: Path = tmp_path_factory.mktemp("data")
    (folder / "voices").mkdir()
    (folder / "voices" / "private.toml").write_text('name = "Private"\n')
    (folder / "voices" / "private.flac").write_bytes(RECORDING)
    shared = replace(
        TONE,
        engine="cloning-tone",
        data_dir=folder / "data",
        voices_dir=folder / "voices",
        require_consent=False,
        max_voices=100_000,
    )
    keyed = replace(shared, api_keys=KEYS)
    with (
        pytest.MonkeyPatch.context() as patch,
        running(keyed) as one,
        running(replace(keyed, public_discovery=False)) as two,
        running(shared) as three,
        running(replace(keyed, requests_per_minute=1)) as four,
    ):
        patch.setattr(memory, "time", SimpleNamespace(time=lambda: 1e9))  # no minute ends
        yield {"keyed": one, "closed": two, "open": three, "limited": four}


def target(ctx: AppContext, kind: str) -> str:
    """Make what a request is about, and return its id.  It belongs to Jane."""
    match kind:
        case "hers" | "operator's":
            principal = OWNER if kind == "hers" else OPERATOR
            return ctx.store.add("x", CLIP.flac(), principal=principal, transcript="y").id
        case "consent":
            return ctx.consents.add("x", CLIP.flac(), language="en", principal=OWNER).id
        case "dictionary":
            return ctx.dictionaries.add("x", [LexiconRule("a", "b")], principal=OWNER).id
        case "candidate":
            said = Utterance((Segment("Hello."),), Voice("", ""), seed=7)
            return ctx.candidates.add(Design("x", "y"), [(said, CLIP)], OWNER)[0].id
    found = {"stock": "coral", "plugin": "private", "model": "tts-1"}
    found |= {"file": "reference.css", "script": "app.js"}
    return found.get(kind, "")


def use_up(ctx: AppContext) -> None:
    """Take all that the owner's key may have, if it has a limit."""
    if ctx.settings.requests_per_minute:
        with suppress(RateLimited):
            ctx.accounts.of(ctx.accounts.keys.get(OWNER.owner or "")).charge(1, 0)


def status(client: FlaskClient, row: Row, headers: Headers) -> int:
    method, path = row.call.split()
    id_ = target(context_of(client.application), row.target)
    use_up(context_of(client.application))
    path = re.sub("<.+?>", id_, path)
    with client.open(path, method=method, headers=headers, **row.body()) as reply:
        return reply.status_code


def test_each_route_is_in_the_table(clients: Clients) -> None:
    found = {
        f"{method} {rule.rule}"
        for rule in clients["keyed"].application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert found == {row.call.partition("?")[0] for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.call} {row.target}".strip())
def test_a_route_answers_each_caller_as_the_table_says(clients: Clients, row: Row) -> None:
    found = {
        name: status(clients[server], row, headers) for name, (server, headers) in COLUMNS.items()
    }
    assert found == dict(zip(COLUMNS, row.statuses, strict=True))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.call} {row.target}".strip())
def test_what_lets_the_engine_speak_is_refused_over_the_limit_and_nothing_else(
    clients: Clients, row: Row
) -> None:
    spoken = context_of(clients["keyed"].application).engine.get().utterances
    before = len(spoken)
    status(clients["keyed"], row, JANE)
    assert (row.statuses[5] == 429) == (len(spoken) > before)
    limited = context_of(clients["limited"].application).engine.get().utterances
    status(clients["limited"], row, JANE)
    assert limited == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.call} {row.target}".strip())
def test_without_public_discovery_only_probes_need_no_key(clients: Clients, row: Row) -> None:
    client = clients["closed"]
    assert [status(client, row, NOBODY), status(client, row, WRONG)] == [row.closed] * 2
    assert status(client, row, JANE) == row.statuses[3]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.call} {row.target}".strip())
def test_elevenlabs_header_carries_a_key_as_well_as_openais(clients: Clients, row: Row) -> None:
    sent = [{XI: headers["Authorization"][7:]} for headers in (WRONG, JOHN, JANE)]
    found = tuple(status(clients["keyed"], row, headers) for headers in sent)
    assert found == row.statuses[1:4]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.call} {row.target}".strip())
def test_doubled_slashes_open_no_route(clients: Clients, row: Row) -> None:
    doubled = row._replace(call=row.call.replace("/v1/", "/v1//"))
    for headers in (NOBODY, JANE):
        found = status(clients["keyed"], doubled, headers)
        assert found == status(clients["keyed"], row, headers)


@pytest.mark.parametrize("row", [row for row in TABLE if row.call.startswith("GET ")])
def test_head_is_answered_as_get(clients: Clients, row: Row) -> None:
    head = row._replace(call=row.call.replace("GET", "HEAD"))
    for headers in (NOBODY, JOHN, JANE):
        assert status(clients["keyed"], head, headers) == status(clients["keyed"], row, headers)


def test_a_preflight_needs_no_key_and_runs_nothing(clients: Clients) -> None:
    for path in {row.call.split()[1] for row in TABLE}:
        url = path.replace("<path:id_>", "tts-1").replace("<id_>", "coral")
        url = url.replace("<path:name>", "app.js")
        reply = clients["keyed"].options(url)
        assert (reply.status_code, reply.data) == (200, b"")


def test_without_a_key_a_sample_that_is_not_public_is_refused_before_it_is_made(
    clients: Clients,
) -> None:
    """Kokoro's mixes and the voices of plugins are synthesized: not for anybody."""
    ctx = context_of(clients["keyed"].application)
    before = len(ctx.engine.get().utterances)
    reply = clients["keyed"].get("/v1/voices/mute/sample")
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "requires an API key" in reply.get_json()["error"]["message"]
    assert len(ctx.engine.get().utterances) == before

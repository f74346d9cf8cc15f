"""The OpenAPI document, made from the routes of an app, their views and their schemas.

Nothing is written here that stands elsewhere: a summary is the docstring of a view, a body its
marshmallow schema, a response its return type, an error a class of ``errors``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from werkzeug.wrappers import Response

from voxcpm_openai import __version__
from voxcpm_openai.web.app_context import context_of
from voxcpm_openai.web.auth import SOCKET_BLUEPRINTS, is_public
from voxcpm_openai.web.elevenlabs_shapes import KEY
from voxcpm_openai.web.openapi.examples import EXAMPLES, Example
from voxcpm_openai.web.openapi.json_types import Json, JsonTypes
from voxcpm_openai.web.openapi.operation import Body, Operation, operation_of
from voxcpm_openai.web.openapi.responses import error_responses, errors_of, headers_json

VERSION = "3.1.0"
"""Of the OpenAPI Specification."""
END = r"\Z"
"""The end of a text in patterns of Python, which those of JSON Schema do not know."""

TAGS = {
    "speech": ("Speech", "Text to speech, as OpenAI has it."),
    "speech_batch": ("Speech", ""),
    "text": ("Speech", ""),
    "models": ("Models", "The models of the running engine."),
    "voices": ("Voices", "Built-in voices, and voices that clients add or design."),
    "candidates": ("Voices", ""),
    "consents": ("Consents", "Recordings that allow the use of a voice."),
    "dictionaries": ("Pronunciation dictionaries", "Stored lexicons, as ElevenLabs has them."),
    "elevenlabs": ("ElevenLabs", "Text to speech and voices, as ElevenLabs has them."),
    "elevenlabs_socket": ("WebSockets", "Text that comes piece by piece; see each protocol."),
    "realtime": ("WebSockets", ""),
    "speech_socket": ("WebSockets", ""),
    "usage": ("Usage", "What keys have used."),
    "health": ("Operation", "Probes and metrics."),
    "metrics": ("Operation", ""),
    "page": ("Web page", "A page to speak from."),
    "reference": ("Reference", "This document."),
}
"""The group of each blueprint, and what its first one says of the group."""

ABOUT = """\
A self-hosted, drop-in replacement for OpenAI's text-to-speech API, which also speaks ElevenLabs'.

Without keys, a server needs none. With keys, send one as `Authorization: Bearer KEY` or as
`xi-api-key: KEY`. Clients that send `xi-api-key` get ElevenLabs' shape where both APIs have a
route.

Every response has `x-request-id`, `openai-processing-ms` and `openai-version`. Before any route is
reached, a request may be refused with 400, 408, 414, 417, 429 (`too_many_connections`) or 431; a
wrong method is a 405, an unknown path a 404 (`unknown_url`). Null and empty strings mean unset,
except for required fields; unknown fields are ignored and named in `x-voxcpm-ignored`.
"""


class Route(NamedTuple):
    """A route of the app: ``path`` as OpenAPI writes it."""

    path: str
    method: str
    view: Callable[..., object]
    blueprint: str


def routes(app: Flask) -> Iterator[Route]:
    """Yield all routes of an app; HEAD and OPTIONS are answered everywhere, and left out."""
    for rule in app.url_map.iter_rules():
        if rule.websocket:  # it also has a route that says what it is
            continue
        view = app.view_functions[rule.endpoint]
        path = re.sub(r"<(?:\w+:)?(\w+?)_?>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(path, method, view, rule.endpoint.partition(".")[0])


def document(app: Flask) -> Json:
    """Return the document of an app."""
    found = list(routes(app))
    used = {route.blueprint for route in found}
    groups = {name: text for blueprint, (name, text) in TAGS.items() if blueprint in used and text}
    spec = APISpec(
        title="voxcpm-openai",
        version=__version__,
        openapi_version=VERSION,
        plugins=[_plugin()],
        info={"description": ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[{"url": "/"}],
        tags=[{"name": name, "description": text} for name, text in groups.items()],
    )
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    spec.components.security_scheme(KEY, {"type": "apiKey", "in": "header", "name": KEY})
    types = JsonTypes(spec.components.schema)
    discovery = context_of(app).settings.public_discovery
    order = list(TAGS)
    for route in sorted(found, key=lambda route: (order.index(route.blueprint), route.path)):
        described = _operation(route, types, discovery=discovery)
        spec.path(path=route.path, operations={route.method.lower(): described})
    made: Json = spec.to_dict()
    return made


def _plugin() -> MarshmallowPlugin:
    def name_of(schema: Any) -> str:
        kind = schema if isinstance(schema, type) else type(schema)
        return kind.__name__.removesuffix("Schema") + "Request"

    class Plugin(MarshmallowPlugin):
        """Knows the fields of ``web/fields``, which say themselves what they take."""

        def init_spec(self, spec: APISpec) -> None:
            super().init_spec(spec)
            assert self.converter is not None
            self.converter.add_attribute_function(_own_schema)

    return Plugin(schema_name_resolver=name_of)


def _own_schema(_: object, field: Any, ret: Json) -> Json:
    """Return what a field says of itself, and correct what the plugin makes of other fields."""
    if ret.get("type") == "array" and "enum" in ret:  # of its items
        ret["items"] = {**ret["items"], "enum": ret.pop("enum")}
    if "pattern" in ret:  # of Python, which looks at the beginning of a text
        ret["pattern"] = f"^{ret['pattern'].removesuffix(END)}$"
    if ret.get("type") == ["null"]:  # null is one of its values
        del ret["type"]
    schema: Json | None = getattr(field, "json_schema", None)
    if schema is None or not field.allow_none:
        return schema or {}
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _operation(route: Route, types: JsonTypes, *, discovery: bool) -> Json:
    operation = operation_of(route.view)
    examples = EXAMPLES.get(f"{route.method} {route.path}", ())
    socket = route.blueprint in SOCKET_BLUEPRINTS
    public = is_public(route.blueprint, route.method, discovery=discovery)
    found = errors_of(route.view, operation, route.path, keyed=not public, socket=socket)
    summary, description = _texts(route.view)
    described: Json = {
        "tags": [TAGS[route.blueprint][0]],
        "operationId": _id(route),
        "summary": summary,
        "security": [*([{}] if public else []), {"bearer": []}, {KEY: []}],
        "responses": {
            **_success(route.view, operation, types, socket=socket),
            **error_responses(found, types, path=route.path, blueprint=route.blueprint),
        },
    }
    if description:
        described["description"] = description
    if parameters := _parameters(route, operation, examples):
        described["parameters"] = parameters
    if operation.bodies:
        described["requestBody"] = _body(operation.bodies, examples)
    return described


def _id(route: Route) -> str:
    """Return the name of a view, and its path, as a view may have several."""
    words = re.findall(r"[a-z0-9]+", route.path.replace("/v1/", "/"))
    return "_".join([route.view.__name__, *words])


def _texts(view: Callable[..., object]) -> tuple[str, str]:
    """Return the summary and the description of a view, without what it raises."""
    text = (inspect.getdoc(view) or "").replace("``", "`")
    summary, _, rest = text.partition("\n")
    return summary, re.sub(r"\s*Raises .*", "", rest, flags=re.DOTALL).strip()


def _success(
    view: Callable[..., object], operation: Operation, types: JsonTypes, *, socket: bool
) -> Json:
    """Return the response that is no error: of its return type, or of what is said of it."""
    if socket:
        return {"101": {"description": "A WebSocket.", **headers_json(["Upgrade"])}}
    result = get_type_hints(view).get("return")
    if get_origin(result) is tuple:  # a body and headers
        result = get_args(result)[0]
    if result is NoReturn:
        return {}
    sends = dict(operation.sends)
    if not (isinstance(result, type) and issubclass(result, Response)):
        sends["application/json"] = result
    content = {media: {"schema": types.schema(kind)} for media, kind in sends.items()}
    return {
        "200": {
            "description": "Success.",
            **({"content": content} if content else {}),
            **headers_json(operation.headers),
        }
    }


def _parameters(route: Route, operation: Operation, examples: tuple[Example, ...]) -> list[Json]:
    """Return the variables of a path, and the parameters of a query."""
    named = re.findall(r"{(\w+)}", route.path)
    given = {name: value for one in reversed(examples) for name, value in one.path.items()}
    found: list[Json] = [
        {
            "in": "path",
            "name": name,
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **({"example": given[name]} if name in given else {}),
        }
        for name in named
    ]
    if operation.query:
        found.append({"in": "query", "schema": operation.query})
    return found


def _body(bodies: tuple[Body, ...], examples: tuple[Example, ...]) -> Json:
    content: dict[str, Json] = {}
    for body in bodies:
        schemas = [*body.schemas, *([_file(body.file)] if body.file else [])]
        schema = {"allOf": schemas} if len(schemas) > 1 else schemas[0]
        known = content.setdefault(body.media_type, {"schema": {"anyOf": []}})
        known["schema"]["anyOf"].append(schema)
    for media_type, media in content.items():
        if len(choices := media["schema"]["anyOf"]) == 1:
            media["schema"] = choices[0]
        shown = {
            one.name: {"summary": f"{one.name}: {one.status}", "value": one.body}
            for one in examples
            if one.body is not None and one.media_type == media_type
        }
        if shown:
            media["examples"] = shown
    return {"required": True, "content": content}


def _file(name: str) -> Json:
    """Return the schema of a part with a recording."""
    part = {"type": "string", "format": "binary", "description": "A recording, in any format."}
    return {"type": "object", "properties": {name: part}, "required": [name]}

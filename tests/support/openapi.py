"""The API reference in tests: its operations, and whether a value is what a schema says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

Json = dict[str, Any]


def document_of(client: FlaskClient) -> Json:
    reply = client.get("/openapi.json")
    assert reply.status_code == 200, reply.text
    document: Json = reply.get_json()
    return document


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield each operation, with its method and path: ``GET /health``."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def problems(document: Json, schema: Mapping[str, Any], value: object) -> list[str]:
    """Return what is wrong with a value.  References lead into the document."""
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def body_schema(document: Json, call: str, media_type: str = "application/json") -> Json:
    """Return the schema of a body."""
    body = dict(operations(document))[call]["requestBody"]
    schema: Json = body["content"][media_type]["schema"]
    return schema


def query_schema(document: Json, call: str) -> Json:
    """Return the schema of all parameters of a query, as of one object."""
    parameters = dict(operations(document))[call].get("parameters", [])
    query = [one for one in parameters if one["in"] == "query"]
    return {
        "type": "object",
        "properties": {one["name"]: one["schema"] for one in query},
        "required": [one["name"] for one in query if one.get("required")],
    }

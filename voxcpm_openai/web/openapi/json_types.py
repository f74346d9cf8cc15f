"""Python types as JSON Schema: what a view returns is typed once, and mypy holds it to that."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Json = dict[str, Any]

SIMPLE: dict[object, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    bytes: {"type": "string", "format": "binary"},
    object: {},
}


class JsonTypes:
    """Makes schemas of types.  Each ``TypedDict`` becomes a component, named after its class."""

    def __init__(self, add: Callable[[str, Json], object]) -> None:
        """``add``: is called once for each component, with its name and its schema."""
        self._add = add
        self._known: dict[str, type] = {}

    def schema(self, kind: Any) -> Json:
        """Return the schema of a type.

        Raises TypeError for types that JSON does not have, and for two of one name.
        """
        if is_typeddict(kind):
            return self._reference(kind)
        if kind in SIMPLE:
            return dict(SIMPLE[kind])
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return _any_of([self.schema(part) for part in parts])
        if origin is Literal:
            return {"enum": list(parts)} if len(parts) > 1 else {"const": parts[0]}
        if origin is list:
            return {"type": "array", "items": self.schema(parts[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.schema(parts[1])}
        raise TypeError(f"{kind!r} has no JSON Schema")

    def _reference(self, kind: type) -> Json:
        name = kind.__name__
        if name not in self._known:
            self._known[name] = kind  # before its fields: they may name it
            self._add(name, self._object(kind))
        if self._known[name] is not kind:
            raise TypeError(f"two types have the name {name}")
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: type) -> Json:
        required: frozenset[str] = kind.__required_keys__  # type: ignore[attr-defined]
        hints = get_type_hints(kind)
        return {
            "type": "object",
            "description": (kind.__doc__ or "").strip(),
            "properties": {name: self.schema(hint) for name, hint in hints.items()},
            "required": [name for name in hints if name in required],
        }


def _any_of(schemas: list[Json]) -> Json:
    """Return the schema of a union; one that is plain or null has both types."""
    plain = [schema["type"] for schema in schemas if set(schema) == {"type"}]
    if len(plain) == len(schemas):
        return {"type": plain}
    return {"anyOf": schemas}

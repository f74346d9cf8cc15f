"""What the API reference says of a view beyond its route, its docstring and its return type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from werkzeug.exceptions import HTTPException

from voxcpm_openai.errors import (
    Draining,
    EngineFailed,
    EngineLoading,
    Overloaded,
    RateLimited,
    RequestError,
    SynthesisFailed,
)
from voxcpm_openai.web.schemas import RequestSchema

View = TypeVar("View", bound=Callable[..., object])
Errors = tuple[type[RequestError] | type[HTTPException], ...]
"""Classes of errors: this package's own, and the framework's."""

ENGINE: Errors = (EngineLoading, EngineFailed, Draining)
"""The errors of all views that need the running engine."""
SPEECH: Errors = (*ENGINE, Overloaded, RateLimited, SynthesisFailed)
"""The errors of all views that let it speak."""


@dataclass(frozen=True, slots=True)
class Body:
    """One way to send a body: an object with the fields of all schemas, or a form.

    ``file``: the part of a form that is a recording.
    """

    media_type: str
    schemas: tuple[type[RequestSchema], ...]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view takes and sends.

    ``sends``: the content types of its responses that are not JSON, or that its return type does
    not tell, and the type of the content; ``headers``: further headers of its responses;
    ``raises``: errors that its docstring does not name.
    """

    bodies: tuple[Body, ...] = ()
    query: type[RequestSchema] | None = None
    sends: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    raises: Errors = ()


NOTHING = Operation()

_operations: dict[Callable[..., object], Operation] = {}


def operation(
    *bodies: Body,
    query: type[RequestSchema] | None = None,
    sends: Mapping[str, Any] | None = None,
    headers: tuple[str, ...] = (),
    raises: Errors = (),
) -> Callable[[View], View]:
    """Describe the view below, as ``Operation`` has it."""

    def describe(view: View) -> View:
        _operations[view] = Operation(bodies, query, sends or {}, headers, raises)
        return view

    return describe


def operation_of(view: Callable[..., object]) -> Operation:
    """Return what is said of a view."""
    return _operations.get(view, NOTHING)


def json_body(*schemas: type[RequestSchema]) -> Body:
    """Return a body of JSON."""
    return Body("application/json", schemas)


def form(schema: type[RequestSchema], file: str = "") -> Body:
    """Return a form; ``file``: its part with a recording, if it has one."""
    return Body("multipart/form-data", (schema,), file)

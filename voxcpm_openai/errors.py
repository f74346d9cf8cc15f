"""Everything that can go wrong, as one tree of exceptions.

    VoxcpmError
    ├── StartError                 stops the start; never reaches a client
    │   ├── SettingsError          a setting is wrong
    │   └── PluginError            a plugin cannot be loaded or used
    └── RequestError               an answer with a status and the error envelope
        ├── InvalidRequest         400
        │   └── CannotClone        400 cannot_clone
        ├── Unauthorized           401
        ├── UnknownModel           404 model_not_found
        ├── UnknownVoice           404 voice_not_found
        ├── UnknownConsent         404 consent_not_found
        ├── ClientLeft             499 (for the log: nobody reads the answer)
        ├── Unwritable             500 data_dir_unwritable
        └── Unavailable            503, with Retry-After
            ├── Overloaded         overloaded
            ├── EngineLoading      engine_loading
            ├── EngineFailed       engine_failed
            └── Draining           draining

Raise them anywhere; ``web/errors.py`` alone turns them into HTTP.  The fields are those of
OpenAI's error object: ``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

from typing import ClassVar


class VoxcpmError(Exception):
    """The root of all that this package raises on purpose."""


class StartError(VoxcpmError):
    """The server cannot start; the message says what to change."""


class SettingsError(StartError):
    """A setting has a wrong value or a name that does not exist."""


class PluginError(StartError):
    """A plugin cannot be imported, or one of its hooks fails or returns the wrong thing."""


class RequestError(VoxcpmError):
    """A request that gets an error answer.

    ``message`` is written for the person who reads it and says what would have been right.
    ``param`` names the offending field of the request, if one is to blame.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    @property
    def headers(self) -> dict[str, str]:
        """Extra headers of the answer."""
        return {}


class InvalidRequest(RequestError):
    """A field is missing, malformed or out of range (validation is 400, never 422)."""

    status = 400
    type = "invalid_request_error"


class CannotClone(InvalidRequest):
    """The voice is known by a clip or a description alone, and the running engine cannot use it."""

    code = "cannot_clone"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="voice")


class Unauthorized(RequestError):
    """No API key, or a wrong one."""

    status = 401
    type = "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110, 11.6.1: a 401 names the scheme that it wants."""
        return {"WWW-Authenticate": "Bearer"}


class UnknownModel(RequestError):
    """The model id is not one that the running engine serves."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model")


class UnknownVoice(RequestError):
    """``/v1/voices/{id}`` for an id that does not exist (a speech request gets a 400 instead)."""

    status = 404
    type = "invalid_request_error"
    code = "voice_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="voice")


class UnknownConsent(RequestError):
    """There is no such consent, or it is another key's."""

    status = 404
    type = "invalid_request_error"
    code = "consent_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="consent")


class Unwritable(RequestError):
    """The folder of the added voices cannot be written; only the operator can change that."""

    code = "data_dir_unwritable"

    @property
    def headers(self) -> dict[str, str]:
        """A retry cannot help; OpenAI's SDKs obey this."""
        return {"x-should-retry": "false"}


class ClientLeft(RequestError):
    """The client hung up before its first byte.  499 is nginx's number for it."""

    status = 499
    type = "invalid_request_error"
    code = "client_left"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class Unavailable(RequestError):
    """The server cannot answer now.  ``retry_after``: whole seconds, at least 1.

    503 and not 429, so that a proxy may pass the request on to the next host.
    ``hopeless`` adds ``x-should-retry: false``, which OpenAI's SDKs obey.
    """

    status = 503
    hopeless: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, and whether it is worth it."""
        headers = {"Retry-After": str(self.retry_after)}
        if self.hopeless:
            headers["x-should-retry"] = "false"
        return headers


class Overloaded(Unavailable):
    """As many streams run as this worker may carry."""

    code = "overloaded"


class EngineLoading(Unavailable):
    """The engine is still starting."""

    code = "engine_loading"


class EngineFailed(Unavailable):
    """The engine did not start, or broke; only a restart helps."""

    code = "engine_failed"
    hopeless = True


class Draining(Unavailable):
    """The worker is stopping and takes no new work."""

    code = "draining"

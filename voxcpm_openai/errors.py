"""The exceptions of this package, as one tree.

    VoxcpmError
    ├── StartError                 stops the start; never reaches a client
    │   ├── SettingsError          a setting is wrong
    │   └── PluginError            a plugin cannot be loaded or used
    └── RequestError               an answer with a status and the error envelope
        ├── InvalidRequest         400
        │   ├── CannotClone        400 cannot_clone
        │   └── NothingToSay       400
        ├── Unauthorized           401
        ├── ForbiddenOrigin        403 origin_not_allowed
        ├── OperatorOnly           403 operator_only
        ├── NotFound               404
        │   ├── UnknownModel       model_not_found
        │   ├── UnknownVoice       voice_not_found
        │   ├── UnknownConsent     consent_not_found
        │   └── UnknownDictionary  pronunciation_dictionary_not_found
        ├── UpgradeRequired        426
        ├── RateLimited            429 rate_limit_exceeded, with Retry-After
        ├── ClientLeft             499 (for the log; the client is gone)
        ├── StorageUnwritable      500 data_dir_unwritable
        ├── SynthesisFailed        500 synthesis_failed
        └── Unavailable            503, with Retry-After
            ├── Overloaded         overloaded
            ├── EngineLoading      engine_loading
            ├── EngineFailed       engine_failed
            │   └── WakeFailed     engine_failed
            ├── Draining           draining
            └── UsageUnreadable    usage_unreadable

Any module may raise them; only ``web/errors.py`` turns them into HTTP.  The fields are those of
OpenAI's error object: ``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

from typing import ClassVar


class VoxcpmError(Exception):
    """The base class of all exceptions of this package."""


class StartError(VoxcpmError):
    """The server cannot start.  The message says what to change."""


class SettingsError(StartError):
    """A setting has a wrong value or a name that does not exist."""


class PluginError(StartError):
    """A plugin cannot be imported, one of its hooks fails, or its engine breaks the contract."""


class RequestError(VoxcpmError):
    """An error that is sent to the client.

    ``message`` is for people and says what would have been correct.  ``param`` names the wrong
    field of the request, if there is one.
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
        """Additional headers of the response."""
        return {}


class InvalidRequest(RequestError):
    """A field is missing, malformed or out of range (400, never 422)."""

    status = 400
    type = "invalid_request_error"


class CannotClone(InvalidRequest):
    """The running engine cannot speak with the voice."""

    code = "cannot_clone"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="voice")


class NothingToSay(InvalidRequest):
    """The text has nothing that can be spoken."""

    def __init__(self, message: str) -> None:
        super().__init__(message, param="input")


class Unauthorized(RequestError):
    """No API key, or a wrong one."""

    status = 401
    type = "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        """The authentication scheme that is required (RFC 9110, 11.6.1)."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenOrigin(RequestError):
    """A web page of an origin that is not configured opens a WebSocket."""

    status = 403
    type = "invalid_request_error"
    code = "origin_not_allowed"


class OperatorOnly(RequestError):
    """Something that only the operator may ask for."""

    status = 403
    type = "invalid_request_error"
    code = "operator_only"


class UpgradeRequired(RequestError):
    """A request to the URL of a WebSocket that is not an opening handshake."""

    status = 426
    type = "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        """The protocol and the version that are required (RFC 9110, 15.5.22; RFC 6455, 4.4)."""
        return {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


class NotFound(RequestError):
    """Something that a request names does not exist, or belongs to another key."""

    status = 404
    type = "invalid_request_error"
    kind: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message, param=self.kind, code=f"{self.kind}_not_found")


class UnknownModel(NotFound):
    """The running engine does not serve the model id."""

    kind = "model"


class UnknownVoice(NotFound):
    """``/v1/voices/{id}`` does not exist (in a speech request this is a 400)."""

    kind = "voice"


class UnknownConsent(NotFound):
    """The consent does not exist."""

    kind = "consent"


class UnknownDictionary(NotFound):
    """The pronunciation dictionary does not exist."""

    kind = "pronunciation_dictionary"


class RateLimited(RequestError):
    """A key has used what it may use in a minute, or has as many streams as it may have."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        """``retry_after``: whole seconds, at least 1; None if a retry cannot help."""
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When to retry, or that a retry cannot help."""
        if self.retry_after is None:
            return {"x-should-retry": "false"}
        return {"Retry-After": str(self.retry_after)}


class StorageUnwritable(RequestError):
    """The data folder cannot be written.  Only the operator can change that."""

    code = "data_dir_unwritable"

    @property
    def headers(self) -> dict[str, str]:
        """``x-should-retry: false``, which OpenAI's SDKs obey: a retry cannot help."""
        return {"x-should-retry": "false"}


class SynthesisFailed(RequestError):
    """The engine raised an unexpected error, or its stream broke the contract."""

    code = "synthesis_failed"


class ClientLeft(RequestError):
    """The client disconnected before the first byte.  499 is nginx's status for it."""

    status = 499
    type = "invalid_request_error"
    code = "client_left"

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class Unavailable(RequestError):
    """The server cannot process the request now.

    503 and not 429, so that a proxy may try the next host.  ``hopeless`` adds
    ``x-should-retry: false``, which OpenAI's SDKs obey.
    """

    status = 503
    hopeless: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        """``retry_after``: whole seconds, at least 1."""
        super().__init__(message)
        self.retry_after = max(1, retry_after)

    @property
    def headers(self) -> dict[str, str]:
        """When to retry, and whether a retry can help."""
        headers = {"Retry-After": str(self.retry_after)}
        if self.hopeless:
            headers["x-should-retry"] = "false"
        return headers


class Overloaded(Unavailable):
    """The worker, or its engine, is at capacity."""

    code = "overloaded"


class EngineLoading(Unavailable):
    """The engine is still starting."""

    code = "engine_loading"


class EngineFailed(Unavailable):
    """The engine did not start, or failed later; only a restart helps."""

    code = "engine_failed"
    hopeless = True


class WakeFailed(EngineFailed):
    """The engine was unloaded and could not be loaded again; it will be tried again."""

    hopeless = False


class Draining(Unavailable):
    """The worker is stopping and accepts no new requests."""

    code = "draining"


class UsageUnreadable(Unavailable):
    """The usage of keys cannot be read: the file is locked or broken."""

    code = "usage_unreadable"

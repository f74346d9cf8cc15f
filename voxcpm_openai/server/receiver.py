"""Receives the bytes of one HTTP request until it is whole, without parsing more than that needs.

gunicorn's parser blocks until it has what it wants.  So it gets a request only when all of it is
here: the receiver looks for the end of the head and of the body (RFC 9112, sections 6 and 7), and
keeps the bytes, in memory or, from 256 KiB on, in a temporary file.  It refuses nothing: what it
cannot make out counts as whole, and gunicorn's parser, which reads the same bytes again, answers.
"""

from __future__ import annotations

import re
import tempfile
from typing import Protocol

from voxcpm_openai.server.spool_space import SpoolSpace

MEMORY = 256 * 1024
"""Bytes that are kept in memory; more go to a temporary file."""
LONGEST_LINE = 8190
"""Bytes of the line with the size of a chunk; gunicorn's limit is the same."""
FRAMING = 8
"""How many times as long as its content a chunked body may be: a chunk of a byte has 6."""

_BREAK = b"\r\n"
_END = _BREAK + _BREAK
_FIELD = re.compile(
    rb"(?im)^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r$"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
# RFC 9112, section 7.1.1.  After a line that only the parser refuses, the worker would wait.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_VALUE = rb"[ \t]*=[ \t]*(?:%b|%b)" % (_TOKEN, _QUOTED)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[ \t]*%b(?:%b)?)*%b" % (_TOKEN, _VALUE, _BREAK))


class Body(Protocol):
    """Finds the end of a body."""

    ended: bool
    received: int
    """Bytes of its content."""

    def take(self, data: bytes) -> int:
        """Return how many bytes of the data belong to the body."""


class SizedBody:
    """A body with a Content-Length."""

    def __init__(self, length: int) -> None:
        """``length``: in bytes."""
        self._rest = length
        self.received = 0
        self.ended = length == 0

    def take(self, data: bytes) -> int:
        """Return how many bytes of the data belong to the body."""
        taken = min(len(data), self._rest)
        self._rest -= taken
        self.received += taken
        self.ended = self._rest == 0
        return taken


class ChunkedBody:
    """A body in chunks (RFC 9112, section 7.1); one that is malformed ends where that shows."""

    def __init__(self) -> None:
        self.ended = False
        self.received = 0
        self._skip = 0  # bytes of the chunk, and the line break after it
        self._line = bytearray()
        self._trailers = False

    def take(self, data: bytes) -> int:
        """Return how many bytes of the data belong to the body."""
        at = 0
        while at < len(data) and not self.ended:
            if self._skip:
                step = min(self._skip, len(data) - at)
                self.received += min(step, max(0, self._skip - len(_BREAK)))
                self._skip -= step
                at += step
                continue
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if end >= 0:
                self._read_line()
            elif len(self._line) > LONGEST_LINE:
                self.ended = True
        return at

    def _read_line(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        if self._trailers:
            self.ended = not line.rstrip(_BREAK)
            return
        size = _SIZE.fullmatch(line)
        if size is None:
            self.ended = True
        elif length := int(size[1], 16):
            self._skip = length + len(_BREAK)
        else:
            self._trailers = True


class Receiver:
    """The bytes of one request."""

    def __init__(self, head_limit: int, body_limit: int, space: SpoolSpace) -> None:
        """``head_limit``, ``body_limit``: bytes; a request that exceeds them counts as whole."""
        self._space = space
        self._head_limit = head_limit
        self._body_limit = body_limit
        self._head = bytearray()
        self._body: Body | None = None
        self._raw = 0  # bytes of the body and its framing
        self._kept = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115  # see close
        self.whole = False
        self.extra = b""
        """What came after the request: the beginning of the next one."""
        self.expects_continue = False
        """Whether the client waits for ``100 Continue`` before it sends the body."""

    @property
    def started(self) -> bool:
        """Whether a byte came."""
        return bool(self._head)

    @property
    def has_head(self) -> bool:
        """Whether the head is whole."""
        return self._body is not None

    @property
    def head(self) -> bytes:
        """What came of the head."""
        return bytes(self._head)

    def feed(self, data: bytes) -> None:
        """Take bytes from the client.  Raises OSError if they cannot be kept."""
        if self._body is None:
            data = self._take_head(data)
        if self._body is not None and not self.whole:
            taken = self._body.take(data)
            self._space.take(taken)
            self._raw += taken
            self._kept.write(data[:taken])
            self.extra = data[taken:]
            self._settle(self._body)

    def read(self, size: int) -> bytes:
        """Return the next bytes of a whole request; none after its end."""
        return self._kept.read(size)

    def close(self) -> None:
        """Free the memory, or delete the file."""
        self._kept.close()
        self._space.give(self._raw)
        self._raw = 0

    def _take_head(self, data: bytes) -> bytes:
        """Return what comes after the head."""
        if not self._head:
            data = data.lstrip(_BREAK)  # RFC 9112, section 2.2: left from the last request
        searched = max(0, len(self._head) - len(_END) + 1)
        self._head += data
        at = self._head.find(_END, searched)
        if at < 0:
            if len(self._head) > self._head_limit:
                self._kept.write(self._head)
                self._finish()
            return b""
        rest = bytes(self._head[at + len(_END) :])
        del self._head[at + len(_END) :]
        self._kept.write(self._head)
        self._body = self._body_of_head()
        return rest

    def _body_of_head(self) -> Body:
        fields = [(name.lower(), value.lower()) for name, value in _FIELD.findall(self._head)]
        self.expects_continue = (b"expect", b"100-continue") in fields
        if any(name == b"transfer-encoding" for name, _ in fields):
            return ChunkedBody()
        lengths = {value for name, value in fields if name == b"content-length"}
        length = next(iter(lengths), b"0")
        if len(lengths) > 1 or not _LENGTH.fullmatch(length):
            return SizedBody(0)
        if int(length) > self._body_limit:
            # Refused by its length alone: nobody waits for the rest.
            self.expects_continue = False
            self._finish()
        return SizedBody(int(length))

    def _settle(self, body: Body) -> None:
        if body.ended:
            self.expects_continue = False
            self._finish()
        elif body.received > self._body_limit or self._raw > FRAMING * self._body_limit:
            self._finish()

    def _finish(self) -> None:
        self.whole = True
        self._kept.seek(0)

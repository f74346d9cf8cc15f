"""The socket of a client, as gunicorn's parser and its responses see it: it never blocks."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

from voxcpm_openai.server.outbox import STEP, Outbox
from voxcpm_openai.server.receiver import Receiver
from voxcpm_openai.server.spool_space import SpoolSpace
from voxcpm_openai.web.sockets.channel import ByteStream

READ = 64 * 1024
"""Bytes that are read at once."""

LITTLE = 32 * 1024
"""Bytes that the system keeps, beyond those on their way, of an upgraded connection."""

WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that does not block raises when it has to wait."""


class ClientSocket:
    """Reads the request that was received; what the client does not take goes to an outbox.

    The event loop receives and flushes; a thread of the pool reads and writes.
    """

    def __init__(
        self, raw: socket.socket, space: SpoolSpace, on_unsent: Callable[[], None]
    ) -> None:
        """``raw``: does not block.  ``on_unsent``: called in any thread when the outbox fills."""
        self.raw = raw
        self.begun = False
        """Whether a byte of the response was sent."""
        self.admin = False
        """Whether it came by the operator's port; see ``web.metrics``."""
        self.broken = False
        """Whether the client has left, or was dropped."""
        self.handler: Callable[[ByteStream], None] | None = None
        """What handles the connection in the place of HTTP, once the response is sent."""
        self._request: Receiver | None = None
        self._resets = False
        self._progress = 0.0  # when the client last took something while there was more
        self._on_unsent = on_unsent
        self._outbox = Outbox(space)
        self._lock = threading.Lock()  # a TLS socket must not be used by two threads at once

    @property
    def unsent(self) -> int:
        """The number of bytes that the client has not taken."""
        return len(self._outbox)

    def stalls_since(self, now: float) -> float:
        """Return for how many seconds the client has taken nothing of what waits for it."""
        return now - self._progress if self.unsent else 0.0

    def expect(self, request: Receiver) -> None:
        """Read from the next request."""
        self._request = request
        self.begun = False
        self.reset_on_close(False)

    def receive(self) -> bytes | None:
        """Return bytes from the network: empty at its end, None if there are none yet.

        Raises OSError.
        """
        with self._lock:
            try:
                return self.raw.recv(READ)
            except WOULD_BLOCK:
                return None

    def pending(self) -> bool:
        """Return whether decrypted bytes wait, which the system does not know of."""
        return isinstance(self.raw, ssl.SSLSocket) and self.raw.pending() > 0

    def flush(self) -> None:
        """Send what the client takes.  It is broken after an error."""
        with self._lock:
            self._flush()

    def upgrade(self, handler: Callable[[ByteStream], None]) -> None:
        """Let ``handler`` have the connection after the response, in a thread of its own.

        When it returns, the connection is closed.
        """
        self.handler = handler
        # What waits in the system's buffers, megabytes, would come before an answer to a ping.
        with contextlib.suppress(OSError):
            self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, LITTLE)

    def recv(self, size: int) -> bytes:
        """Return the next bytes of the request; none after its end."""
        return self._request.read(size) if self._request else b""

    def sendall(self, data: bytes, *, urgent: bool = False) -> None:
        """Send, or keep what the client does not take.  Raises BrokenPipeError if it has left.

        ``urgent``: before the data of earlier calls of which nothing was sent.
        """
        with self._lock:
            self._check()
            self.begun = True
            view = memoryview(data)
            while view and not self._outbox:
                sent = self._send(view)
                if not sent:
                    break
                view = view[sent:]
            self._check()
            if not view:
                return
            if not self._outbox:
                self._progress = time.monotonic()
            self._outbox.put(bytes(view), urgent=urgent)
        self._on_unsent()

    def reset_on_close(self, on: bool) -> None:
        """Choose how the connection closes, even if the process is killed: by a reset, or well.

        After a reset, the client takes what it got for cut off.  A Unix socket has no resets.
        """
        with self._lock:
            if on != self._resets:
                self._resets = on
                with contextlib.suppress(OSError):
                    linger = struct.pack("ii", on, 0)
                    self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def abort(self) -> None:
        """Drop the client: the threads that work for it are told by the end of the socket."""
        with self._lock:
            self.broken = True
            self._outbox.close()
            # Shutting down what is sent would end the connection well.
            how = socket.SHUT_RD if self._resets else socket.SHUT_RDWR
            with contextlib.suppress(OSError):
                self.raw.shutdown(how)

    def end(self) -> None:
        """Close the socket."""
        with self._lock:
            self.broken = True
            self._outbox.close()
            self.raw.close()

    def half_close(self) -> None:
        """Say that there is nothing more to come.  Raises OSError if the client has left."""
        self.reset_on_close(False)
        with self._lock:
            self.raw.shutdown(socket.SHUT_WR)

    # What gunicorn calls besides.  The worker decides when to wait and when to close.

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.raw.fileno()

    def getsockname(self) -> object:
        """Return the server's address."""
        return self.raw.getsockname()

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it never blocks."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: it never waits."""

    def gettimeout(self) -> float:
        """Return 0: it never waits."""
        return 0.0

    def shutdown(self, how: int) -> None:  # noqa: ARG002
        """Do nothing, but say so."""
        raise OSError(errno.ENOTCONN, "The worker closes the connection.")

    def close(self) -> None:
        """Do nothing: the worker calls ``end``."""

    def _check(self) -> None:
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "The client has left.")

    def _flush(self) -> None:
        while self._outbox and not self.broken:
            sent = self._send(memoryview(self._outbox.peek()))
            if not sent:
                return
            self._outbox.drop(sent)
            self._progress = time.monotonic()

    def _send(self, data: memoryview) -> int:
        # TLS wants what it could not send once more, from its start and no shorter.
        try:
            return self.raw.send(data[:STEP])
        except WOULD_BLOCK:
            return 0
        except OSError:
            self.broken = True
            self._outbox.close()
            return 0

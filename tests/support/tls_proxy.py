"""A proxy that terminates TLS on a loopback port, with a certificate of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from pathlib import Path

BLOCK_BYTES = 65_536


class TlsProxy:
    """Passes what arrives by TLS on to a port of 127.0.0.1, and the answers back.

    ``certificate``: the file that clients have to trust; it is for the address 127.0.0.1.
    """

    def __init__(self, target: int, folder: Path) -> None:
        """``target``: the port of the server; ``folder``: an empty one for key and certificate."""
        self.certificate = folder / "certificate.pem"
        self._key = folder / "key.pem"
        self._target = target
        self._make_certificate()
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], daemon=True)

    def _make_certificate(self) -> None:
        subprocess.run(
            [
                *"openssl req -x509 -nodes -days 2 -newkey ec".split(),
                *"-pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=127.0.0.1".split(),
                *"-addext subjectAltName=IP:127.0.0.1 -addext keyUsage=digitalSignature".split(),
                *("-keyout", str(self._key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )

    def __enter__(self) -> TlsProxy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, self._key)
        server = await asyncio.start_server(self._connect, "127.0.0.1", ssl=tls)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._ended.wait()

    async def _connect(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(_pass_on(client, forth), _pass_on(server, back))


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on until either side hangs up."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(BLOCK_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await sink.wait_closed()

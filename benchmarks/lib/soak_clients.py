"""The clients of the soak test: streams, and clients that disturb them."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lib.attackers import HALVES, HELLO, MB
from benchmarks.lib.raw import Link, request, speech
from voxcpm_openai.load_client import parse

SECONDS = 120.0
"""How long anything may take that a client does: the longest speech is played for 47."""
RECORDING = Path(__file__).parents[2] / "voices" / "alloy.flac"
SENTENCE = "The ferry leaves at seven, and the last bus goes at half past six. "
LONG = SENTENCE * 10
"""More than the buffers of a connection hold."""
VOICES = "/v1/audio/voices"
CONSENTS = "/v1/audio/voice_consents"

JOBS = tuple(
    speech(SENTENCE * count, voice=voice, response_format=format_, speed=speed)
    for count, voice, format_, speed in (
        (1, "alloy", "pcm", 1.0),
        (1, "nova", "wav", 1.0),
        (2, "echo", "pcm", 1.0),
        (1, "verse", "mp3", 1.0),
        (1, "coral", "flac", 1.0),
        (2, "sage", "pcm", 1.3),
        (4, "onyx", "wav", 1.0),
    )
)
SLOW_JOB = speech(LONG, response_format="wav")

BAD = (
    (400, b"HELO there\r\n\r\n"),
    (400, HELLO),
    (400, request("POST", "/v1/audio/speech", b'{"model":')),
    (400, request("POST", "/v1/audio/speech", b'{"model": "tts-1"}')),
    (400, speech("Hello.", voice="nobody")),
    (400, speech("Hello.", speed=99)),
    (404, request("GET", "/v1/nothing")),
    (405, request("DELETE", "/v1/audio/speech")),
    (413, request("POST", "/v1/audio/speech", b"x" * 2 * MB)),
    (413, request("POST", "/v1/audio/speech", length=30 * MB)),
    (415, request("POST", VOICES, b"name=Jane", type_="text/plain")),
)
"""Statuses, and what is answered with them."""


@dataclass
class Tally:
    """What happened in a while."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """What must not happen, with how often it did."""
    first: list[float] = field(default_factory=list)
    """Seconds to the first byte of the body, of whole streams."""


class Fault(Exception):
    """Something that must not happen."""


class Clients:
    """All clients of a server; they report to ``tally``, which may be replaced at any time."""

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._alone: dict[bytes, bytes] = {}

    async def ask_alone(self) -> None:
        """Ask for everything once, and keep it, or compare it with what was kept.  Raises Fault."""
        for job in (*JOBS, SLOW_JOB):
            body = _body(await self._exchange(job))
            if self._alone.setdefault(job, body) != body:
                raise Fault("a stream differs from the same one before")
        await self._voice(random.Random(0))

    async def run(self, seconds: float, streams: int, disturbers: int) -> None:
        """Run streams and disturbers for a time; all do the same in each run, in their order."""
        end = time.monotonic() + seconds
        acts = [self._stream] * streams + [self._disturb] * disturbers
        await asyncio.gather(
            *(self._repeat(act, random.Random(seed), end) for seed, act in enumerate(acts))
        )

    async def left_over(self) -> int:
        """Return the number of voices and consents that were added and not deleted."""
        voices = _json(await self._exchange(request("GET", VOICES)), 200)["voices"]
        consents = _json(await self._exchange(request("GET", CONSENTS)), 200)["data"]
        return len(consents) + len([one for one in voices if one["id"].startswith("voice_")])

    async def _repeat(
        self, act: Callable[[random.Random], Awaitable[None]], chance: random.Random, end: float
    ) -> None:
        while time.monotonic() < end:
            try:
                async with asyncio.timeout(SECONDS):
                    await act(chance)
            except TimeoutError:
                self.tally.faults[f"no end within {SECONDS:g} s"] += 1
            except (Fault, OSError) as error:
                self.tally.faults[str(error) or type(error).__name__] += 1

    async def _stream(self, chance: random.Random) -> None:
        job = chance.choice(JOBS)
        async with self._link() as link:
            begun = time.perf_counter()
            await link.send(job)
            data = bytearray()
            first = 0.0
            while part := await link.receive():
                data += part
                if not first and data.partition(b"\r\n\r\n")[2]:
                    first = time.perf_counter() - begun
        if _body(bytes(data)) != self._alone[job]:
            raise Fault("a stream differs from the same one alone")
        self.tally.first.append(first)
        self.tally.counts["whole"] += 1

    async def _disturb(self, chance: random.Random) -> None:
        acts = (
            self._hang_up,
            self._read_slowly,
            self._stop_halfway,
            self._ask_wrongly,
            self._voice,
        )
        (act,) = chance.choices(acts, weights=(4, 2, 3, 6, 1))
        await act(chance)
        await asyncio.sleep(chance.uniform(0.0, 0.5))

    async def _hang_up(self, chance: random.Random) -> None:
        async with self._link() as link:
            await link.send(chance.choice((*JOBS, SLOW_JOB)))
            if most := chance.choice((0, 12, 30_000)):
                _check(await link.receive(most), 200)
        self.tally.counts["cut"] += 1

    async def _read_slowly(self, chance: random.Random) -> None:
        async with self._link(receive_buffer=4096) as link:
            await link.send(SLOW_JOB)
            data = await link.receive(12)
            for _ in range(chance.randrange(1, 5)):
                await asyncio.sleep(0.5)
                data += await link.receive(1)
            if chance.random() < 0.5:
                data += await link.rest()
                if _body(data) != self._alone[SLOW_JOB]:
                    raise Fault("a slow stream differs from the same one alone")
        self.tally.counts["slow"] += 1

    async def _stop_halfway(self, chance: random.Random) -> None:
        async with self._link() as link:
            await link.send(chance.choice(tuple(HALVES.values())))
            if chance.random() < 0.5:
                if data := await link.rest():
                    _check(data, 408)
            else:
                await asyncio.sleep(0.5)
        self.tally.counts["halves"] += 1

    async def _ask_wrongly(self, chance: random.Random) -> None:
        status, data = chance.choice(BAD)
        _check(await self._exchange(data), status)
        self.tally.counts["bad"] += 1

    async def _voice(self, chance: random.Random) -> None:
        """Add a voice with a consent, use and change it, and delete both."""
        name = f"Jane {chance.randrange(1000)}"
        recording = RECORDING.read_bytes()
        fields = {"name": name, "language": "en-US"}
        consent = await self._form(CONSENTS, fields, recording=recording)
        try:
            fields = {"name": name, "consent": consent["id"], "transcript": "A clip."}
            voice = await self._form(VOICES, fields, audio_sample=recording)
            path = f"/v1/voices/{voice['id']}"
            try:
                _body(await self._exchange(speech(SENTENCE, voice=voice["id"])))
                change = json.dumps({"name": f"{name} II"}).encode()
                _check(await self._exchange(request("PATCH", path, change)), 200)
                _check(await self._exchange(request("GET", f"{path}/sample")), 200)
            finally:
                _check(await self._exchange(request("DELETE", path)), 200)
        finally:
            _check(await self._exchange(request("DELETE", f"{CONSENTS}/{consent['id']}")), 200)
        self.tally.counts["voices"] += 1

    async def _form(self, path: str, fields: Mapping[str, str], **files: bytes) -> dict[str, Any]:
        boundary = uuid.uuid4().hex
        parts = []
        for name, value in fields.items():
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            parts.append(head.encode() + value.encode())
        for name, content in files.items():
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
                'filename="me.flac"\r\nContent-Type: audio/flac\r\n\r\n'
            )
            parts.append(head.encode() + content)
        body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
        form = request("POST", path, body, type_=f"multipart/form-data; boundary={boundary}")
        return _json(await self._exchange(form), 200)

    async def _exchange(self, data: bytes) -> bytes:
        async with self._link() as link:
            await link.send(data)
            return await link.rest()

    @asynccontextmanager
    async def _link(self, receive_buffer: int | None = None) -> AsyncIterator[Link]:
        link = Link(receive_buffer)
        try:
            await link.connect(self._port)
            yield link
        finally:
            link.close()


def _check(data: bytes, status: int) -> None:
    """Raise Fault unless a response has this status."""
    words = data[:64].split(None, 2)
    found = words[1].decode("latin-1") if len(words) > 1 else "nothing"
    if found != str(status):
        raise Fault(f"{found} instead of {status}")


def _json(data: bytes, status: int) -> dict[str, Any]:
    _check(data, status)
    body: dict[str, Any] = json.loads(data.partition(b"\r\n\r\n")[2])
    return body


def _body(data: bytes) -> bytes:
    """Return the body of a whole response with status 200.  Raises Fault."""
    _check(data, 200)
    reply = parse([(0.0, data)])
    if reply.fault is not None:
        raise Fault(reply.fault)
    return b"".join(chunk for _, chunk in reply.chunks)

"""Many clients at once, some of which disconnect: no stream is lost, mixed up or left over."""

from __future__ import annotations

import http.client
import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tests.support.live_server import Server

REQUESTS = 200
CLIENTS = 16
SENTENCE = "The train to the city leaves at nine in the morning. "
JOBS = [
    {"model": "tts-1", "input": SENTENCE * count, "voice": voice, "seed": count}
    for count, voice in ((1, "alloy"), (2, "echo"), (4, "nova"), (8, "verse"))
]


def ask(server: Server, job: dict[str, object], read: int | None = None) -> bytes | None:
    """Send a request; return all bytes, or disconnect after ``read`` bytes (None: read all)."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    with closing(connection):
        body = json.dumps({**job, "response_format": "pcm"})
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        if read == 0:
            return None
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        if read is not None:
            reply.read1(read)
            return None
        return reply.read()


def test_random_disconnects_do_not_change_other_streams(server: Server) -> None:
    alone = [ask(server, job) for job in JOBS]

    def one(seed: int) -> None:
        chance = random.Random(seed)
        which = chance.randrange(len(JOBS))
        read = chance.choice([None, None, 0, 1, 30_000])
        audio = ask(server, JOBS[which], read)
        assert audio is None or audio == alone[which]

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one, range(REQUESTS)))
    for _ in range(200):  # the last disconnects may not be noticed yet
        ready = server.ready()
        if ready["streams"]["running"] == 0:
            break
    assert ready["streams"]["running"] == 0
    assert (ready["engine"]["running"], ready["engine"]["waiting"]) == (0, 0)
    assert ready["engine"]["streams"] == 0
    assert not any("Traceback" in line for line in server.lines)

"""``pull`` against a server on loopback that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
from click.testing import CliRunner

from voxcpm_openai.cli import main
from voxcpm_openai.runtime.errors import HubError
from voxcpm_openai.runtime.loading import hub

MODEL = "owner/model"
COMMIT = "a" * 40


def tensors(size: int) -> bytes:
    """Return a safetensors file with one tensor of ``size`` bytes."""
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    head = json.dumps({"weight": entry}).encode()
    return len(head).to_bytes(8, "little") + head + bytes(size)


LARGE = tensors(1 << 20)
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",  # equal files share a blob
    "model.safetensors": LARGE,
    "audiovae.safetensors": tensors(8),
    "picture.png": b"not asked for",
}


class Hub(ThreadingHTTPServer):
    """A hub with one repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.cut_at: int | None = None
        """Bytes of the large file after which the connection ends, once."""
        self.damaged = False
        """Whether one byte of the large file is another."""
        self.fetched: list[tuple[str, str | None]] = []
        """The name and the range of each download."""


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{MODEL}"):
            siblings = [{"rfilename": name} for name in FILES]
            self.answer(json.dumps({"id": MODEL, "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(f"/{MODEL}/resolve/"):
            self.file(path.rpartition("/")[2])
        else:
            self.send_error(404)

    def file(self, name: str) -> None:
        data = FILES[name]
        if name == "model.safetensors":
            etag = hashlib.sha256(data).hexdigest()
        else:
            etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if self.command == "GET":
            self.server.fetched.append((name, asked))
        if self.server.damaged and name == "model.safetensors":
            data = data[:-1] + b"?"
        head = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        if asked:
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(data[start:], 206 if asked else 200, **head)

    def answer(self, body: bytes, status: int = 200, **head: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.cut_at is not None and len(body) > self.server.cut_at:
            body, self.server.cut_at = body[: self.server.cut_at], None
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    with Hub() as hub_server:
        thread = threading.Thread(target=hub_server.serve_forever, args=(0.01,))
        thread.start()
        yield hub_server
        hub_server.shutdown()
        thread.join()


def test_the_files_of_a_checkpoint_are_fetched_from_a_mirror(server: Hub) -> None:
    result = CliRunner().invoke(main, ["pull", MODEL, "--mirror", server.url])
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in FILES.items() if not name.endswith(".png")
    }


def test_an_interrupted_download_is_resumed(server: Hub) -> None:
    server.cut_at = 300_000
    with pytest.raises(HubError, match="the same command resumes"):
        hub.pull(MODEL, server.url)
    folder = hub.pull(MODEL, server.url)
    assert (folder / "model.safetensors").read_bytes() == LARGE
    ranges = [asked for name, asked in server.fetched if name == "model.safetensors"]
    assert ranges[0] is None
    assert ranges[-1] is not None
    assert 0 < int(ranges[-1][6:-1]) <= 300_000


def test_a_corrupted_download_is_named_and_fetched_again_by_the_next_pull(server: Hub) -> None:
    server.damaged = True
    with pytest.raises(HubError, match=r"checksum of model\.safetensors does not match"):
        hub.pull(MODEL, server.url)
    server.damaged = False
    folder = hub.pull(MODEL, server.url)
    assert (folder / "model.safetensors").read_bytes() == LARGE


def test_a_file_that_is_corrupted_in_the_cache_is_found_by_the_next_pull(server: Hub) -> None:
    for name in ("config.json", "model.safetensors"):
        path = hub.pull(MODEL, server.url) / name
        path.write_bytes(FILES[name][:-1] + b"?")
        with pytest.raises(HubError, match=rf"checksum of .*{re.escape(name)}"):
            hub.pull(MODEL, server.url)


@pytest.fixture(name="unreachable")
def _unreachable() -> Iterator[str]:
    """The URL of a port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.usefixtures("server")
def test_if_the_hub_cannot_be_reached_the_error_names_alternatives(unreachable: str) -> None:
    with pytest.raises(HubError, match=r"--mirror URL.*copy the cache"):
        hub.pull(MODEL, unreachable)


def test_if_the_hub_cannot_be_reached_an_incomplete_checkpoint_is_an_error(
    server: Hub, unreachable: str
) -> None:
    (hub.pull(MODEL, server.url) / "tokenizer.json").unlink()
    with pytest.raises(HubError, match=r"tokenizer\.json is missing"):
        hub.pull(MODEL, unreachable)

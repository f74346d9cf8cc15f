"""A server under load: ``voxcpm-openai bench``, and what the HTTP layer costs.

    python benchmarks/server.py [URL] [the options of voxcpm-openai bench]

Without a URL, this project's own gunicorn is started on a free port with the settings of the
environment.  Then the last line says what the HTTP layer adds to the first byte: the median over
HTTP less the median of the engine's own first chunk in this process, measured in turn, both for
one stream at a time, the same text, and pcm.  (The engine is then loaded twice.)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
from click.core import ParameterSource

from voxcpm_openai.cli.bench import bench
from voxcpm_openai.errors import VoxcpmError
from voxcpm_openai.load import TEXTS, LoadError, LoadPlan, run
from voxcpm_openai.registry import choose_engine, load_registry
from voxcpm_openai.resolve import Resolver, SpeechRequest
from voxcpm_openai.settings import load_settings
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.owners import OPERATOR
from voxcpm_openai.voices.store import Store

ROOT = Path(__file__).parent.parent
ROUNDS = 40
START_S = 600.0
"""How long the engine may take to load."""


@contextmanager
def own_server(
    variables: Mapping[str, str] | None = None, patience: float = START_S
) -> Iterator[str]:
    """Serve this checkout on a free port of the loopback; give its URL once it is ready.

    ``variables``: settings beside those of the environment, such as ``VOXCPM_ENGINE``.
    ``patience``: seconds that the engine may take to load.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT,
        env={
            **os.environ,
            **(variables or {}),
            "VOXCPM_HOST": "127.0.0.1",
            "VOXCPM_PORT": str(port),
            "VOXCPM_LOG_LEVEL": "warning",
        },
    )
    try:
        _wait_ready(process, url, patience)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], url: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise click.ClickException("The server did not start; its own words are above.")
        try:
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
        except urllib.error.URLError:  # not listening yet, or 503: loading
            time.sleep(0.1)
        else:
            return
    raise click.ClickException(f"The engine was not ready after {patience:.0f} s.")


@contextmanager
def own_engine(model: str, voice: str, text: str) -> Iterator[Callable[[], float]]:
    """Start the engine in this process; give a function that speaks and times the first chunk."""
    settings = load_settings()
    registry = load_registry(settings)
    spec = choose_engine(registry, settings).spec
    engine = spec.start(settings)
    try:
        catalog = Catalog(registry.voices, Store(Data(settings.data_folder), settings))
        resolver = Resolver(registry, catalog, settings, spec.name)
        utterance, _ = resolver.resolve(SpeechRequest(model, text, voice), engine, OPERATOR)

        def first_chunk() -> float:
            begun = time.perf_counter()
            with closing(engine.speak(utterance)) as stream:
                next(stream)
                waited = time.perf_counter() - begun
                for _ in stream:  # to its end, as the server has to
                    pass
            return waited

        yield first_chunk
    finally:
        engine.stop()


def http_cost(plan: LoadPlan) -> dict[str, float]:
    """Compare the two in turn, so that what else the machine does hits both alike.

    Returns the medians, ``http`` and ``engine``, in seconds to the first sound.
    """
    over_http, in_process = [], []
    with own_engine(plan.model, plan.voice, plan.texts[0]) as first_chunk:
        for _ in range(ROUNDS):
            report = run(plan)  # it warms up with a request of its own
            if report.first_byte is None:
                raise LoadError(f"A request failed: {report.faults}")
            over_http.append(report.first_byte.p50)
            first_chunk()
            in_process.append(first_chunk())
    return {"http": median(over_http), "engine": median(in_process)}


def print_cost(cost: dict[str, float]) -> None:
    """Print what the HTTP layer adds, and the ratio."""
    http, engine = cost["http"] * 1e3, cost["engine"] * 1e3
    click.echo(
        f"first byte, one stream, p50 of {ROUNDS}: {http:.2f} ms over HTTP, {engine:.2f} ms from "
        f"the engine in process: the HTTP layer adds {http - engine:.2f} ms ({http / engine:.2f}x)"
    )


@click.command(params=list(bench.params), help=bench.help)
@click.pass_context
def main(ctx: click.Context, /, **options: Any) -> None:
    """Bench the server at the URL, or one of our own."""
    try:
        if ctx.get_parameter_source("url") is not ParameterSource.DEFAULT:
            ctx.invoke(bench, **options)
            return
        with own_server() as url:
            options["url"] = url
            ctx.invoke(bench, **options)
            cost = http_cost(
                LoadPlan(
                    url,
                    requests=1,
                    texts=(options["text"] or TEXTS[0],),
                    voice=options["voice"],
                    model=options["model"],
                    api_key=options["api_key"],
                )
            )
        print_cost(cost)
        if (file := options["json_file"]) is not None:
            rows = [*json.loads(file.read_text()), {"first_byte_p50": cost}]
            file.write_text(json.dumps(rows, indent=1) + "\n")
    except VoxcpmError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()

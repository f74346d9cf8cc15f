"""A server under load: ``voxcpm-openai bench``, and the cost of the HTTP layer.

    python benchmarks/server.py [URL] [the options of voxcpm-openai bench]

Without a URL, this project's own gunicorn is started on a free port with the settings of the
environment.  Then the last line shows what the HTTP layer adds to the first byte: the median over
HTTP less the median of the engine's own first chunk in this process, measured in turn, both for
one stream at a time, the same text, and pcm.  (The engine is then loaded twice.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import click
from click.core import ParameterSource

if not __package__:
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.lib.listen import listen
from benchmarks.lib.report import write_json
from benchmarks.lib.server import own_server
from voxcpm_openai.cli.bench import bench
from voxcpm_openai.context import AppContext
from voxcpm_openai.errors import VoxcpmError
from voxcpm_openai.load_test import TEXTS, LoadError, LoadPlan, run
from voxcpm_openai.principal import OPERATOR
from voxcpm_openai.settings import load_settings
from voxcpm_openai.speech_request import SpeechRequest

ROUNDS = 40
OUTPUTS = ("output", "as_json")
"""Options of ``voxcpm-openai bench`` that this one has not: ``--json FILE``, as all benchmarks."""


def http_cost(plan: LoadPlan) -> dict[str, float]:
    """Return the median seconds to the first sound, ``http`` and ``engine``, measured in turn."""
    over_http, in_process = [], []
    ctx = AppContext.open(load_settings())
    with ctx.running_engine() as engine:
        request = SpeechRequest(plan.model, plan.texts[0], plan.voice)
        utterance, _ = ctx.resolver.resolve(request, engine, OPERATOR)
        for _ in range(ROUNDS):
            report = run(plan)  # it warms up with a request of its own
            if report.first_byte is None:
                raise LoadError(f"A request failed: {report.faults}")
            over_http.append(report.first_byte.p50)
            replies = [listen(engine, utterance) for _ in range(2)]
            in_process.append(replies[1].first_byte)
    return {"http": median(over_http), "engine": median(in_process)}


@click.command(params=[one for one in bench.params if one.name not in OUTPUTS], help=bench.help)
@click.option("--json", "file", type=Path, help="Write all rows to this file.")
@click.pass_context
def main(ctx: click.Context, /, file: Path | None, **options: Any) -> None:
    options |= {"output": file and str(file), "as_json": False}
    try:
        if ctx.get_parameter_source("url") is not ParameterSource.DEFAULT:
            ctx.invoke(bench, **options)
            return
        with own_server() as url:
            ctx.invoke(bench, **{**options, "url": url})
            text, fields = options["text"] or TEXTS[0], ("voice", "model", "api_key")
            plan = LoadPlan(
                url, requests=1, texts=(text,), **{name: options[name] for name in fields}
            )
            cost = http_cost(plan)
    except (VoxcpmError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    http, engine = cost["http"] * 1e3, cost["engine"] * 1e3
    print(
        f"first byte, one stream, p50 of {ROUNDS}: {http:.2f} ms over HTTP, {engine:.2f} ms from "
        f"the engine in process: the HTTP layer adds {http - engine:.2f} ms ({http / engine:.2f}x)"
    )
    if file is not None:
        rows = json.loads(file.read_text(encoding="utf-8"))["data"]
        write_json(file, [*rows, {"first_byte_p50": cost}])


if __name__ == "__main__":
    main()

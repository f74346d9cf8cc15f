"""nano-vllm-voxcpm on the same weights: engines, streams that come together, in turn.

Both make utterances of the same fixed length, of the same text, with the same steps and guidance,
in slots of the same length, as fast as they can.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.gpu import nano_process
from benchmarks.gpu.bench import Bench, Task
from benchmarks.gpu.engine import CAPTURE_SECONDS, fixed_runner
from benchmarks.lib.listen import listen
from benchmarks.lib.models import running, utterance, warm_graphs
from benchmarks.lib.report import Row, percentiles
from voxcpm_openai.load_test import Reply

NEEDED = ("nanovllm_voxcpm", "transformers", "pydantic", "xxhash", "huggingface_hub", "tqdm")
TARGETS = {("2", 64): 1.8}  # the ratios to reach on an H100, by model and streams
LENGTH = 256  # positions of a slot on both sides: a page of the package's cache
START_SECONDS, ROUND_SECONDS = 240.0, 60.0
"""How long the package may take to load, and for a round, before its process is ended."""
LINKED = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")

Round = list[Reply]  # a reply for each stream


def tasks(bench: Bench) -> Iterator[Task]:
    return bench.sweep("streams", measure)


def measure(bench: Bench, model: str, streams: int) -> Row:
    """Run both in turn; their engines stay for the next row.

    ``ratio``: ours by theirs in seconds of audio per second; ``worst``: the lowest of a pair of
    rounds.  ``attention``: what serves the package's calls to flash-attn.
    """
    scale = bench.scale
    most = max(scale.first if streams in scale.first else scale.sweep)
    contest = bench.resource(f"nano {model} {most}", partial(Contest, bench, model, most))
    rounds = [
        (contest.ours(streams), contest.theirs(streams)) for _ in range(bench.scale.repeats + 1)
    ][1:]
    ours, theirs = zip(*rounds, strict=True)
    ratios = [_rate(our) / _rate(their) for our, their in rounds]
    row = {**bench.row(model), "streams": streams, "attention": contest.attention}
    row |= {**_figures("ours", ours), **_figures("nano", theirs)}
    target = TARGETS.get((model, streams)) if bench.true else None
    return {**row, "ratio": median(ratios), "worst": min(ratios), "target": target}


def _figures(name: str, rounds: Sequence[Round]) -> Row:
    replies = [reply for each in rounds for reply in each]
    return {
        **percentiles(f"{name}_first", (reply.first_byte for reply in replies)),
        f"{name}_rtf": median(reply.total / reply.audio for reply in replies),
        f"{name}_rest_rtf": median(reply.rest_rtf for reply in replies),
        f"{name}_audio_per_second": median(map(_rate, rounds)),
    }


def _rate(replies: Round) -> float:
    return sum(reply.audio for reply in replies) / max(reply.total for reply in replies)


class Contest:
    def __init__(self, bench: Bench, model: str, most: int) -> None:
        self._patches = bench.scale.spoken
        with ExitStack() as stack:
            self._peer = stack.enter_context(closing(Peer(folder_for(bench.folder(model)), most)))
            self._runner = fixed_runner(bench, model, most, LENGTH)
            self._runner.capture(CAPTURE_SECONDS)
            warm_graphs(self._runner, most)
            self.attention = self._peer.receive(START_SECONDS)
            self._engine = stack.enter_context(running(self._runner))
            self._pool = stack.enter_context(ThreadPoolExecutor(most))
            self.close = stack.pop_all().close

    def ours(self, streams: int) -> Round:
        asked = time.perf_counter()
        futures = [
            self._pool.submit(listen, self._engine, utterance(seed), asked)
            for seed in range(streams)
        ]
        replies = [future.result() for future in futures]
        wanted = self._patches * self._runner.patch_seconds
        for reply in replies:
            if abs(reply.audio - wanted) > wanted / 4:  # silence at its ends may be cut off
                raise RuntimeError(f"a stream of {reply.audio:.2f} s and not of {wanted:.2f} s.")
        return [replace(reply, audio=wanted) for reply in replies]

    def theirs(self, streams: int) -> Round:
        seconds = self._runner.patch_seconds
        return [
            Reply.of([(first, seconds), (total, (self._patches - 1) * seconds)])
            for first, total in self._peer.speak(streams, self._patches)
        ]


class Peer:
    def __init__(self, folder: Path, streams: int) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        given = (theirs, folder.resolve(), streams, LENGTH)
        self._process = context.Process(target=nano_process.serve, args=given, daemon=True)
        self._process.start()
        theirs.close()

    def speak(self, streams: int, patches: int) -> Any:
        with suppress(BrokenPipeError):  # it has ended: there will be no answer
            self._connection.send((streams, patches))
        return self.receive(ROUND_SECONDS)

    def close(self) -> None:
        self._connection.close()
        self._process.join(30)
        self._process.kill()

    def receive(self, seconds: float) -> Any:
        with suppress(EOFError, ConnectionResetError):
            if self._connection.poll(seconds):
                return self._connection.recv()
        self._process.kill()
        raise RuntimeError(
            f"nano-vllm-voxcpm has ended, or took more than {seconds:.0f} s; see its messages."
        )


def folder_for(home: Path) -> Path:
    """Return a folder beside a checkpoint, made once, with the files that the package looks for."""
    folder = home.with_name(f"{home.name}-nano")
    if (folder / "audiovae.pth").exists():
        return folder
    folder.mkdir(exist_ok=True)
    for name in LINKED:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to((home / name).resolve())
    tensors = load_file(home / "audiovae.safetensors")
    for part in ("weight_g", "weight_v", "bias"):  # not used, but looked for
        tensors[f"encoder.fc_logvar.{part}"] = tensors[f"encoder.fc_mu.{part}"].clone()
    config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    if bounds := config["audio_vae_config"].get("sr_bin_boundaries"):
        tensors["decoder.sr_bin_boundaries"] = torch.tensor(bounds, dtype=torch.int32)
    partial_file = folder / "audiovae.part"
    torch.save({"state_dict": tensors}, partial_file)
    partial_file.rename(folder / "audiovae.pth")  # last: a folder without it is incomplete
    return folder

"""nano-vllm-voxcpm in a process of its own: it speaks on demand and says when each patch came.

    python -m benchmarks.on_gpu.nano_process FOLDER --streams N --length L

Its engine is stepped as its own server's loop does, without the queues between that server's
processes, which would only cost it time.  Orders come as lines of JSON on standard input,
``{"streams": 2, "patches": 32}``; answers go to standard output in the same way, the first of
them, ``Ready``, unasked.  The end of the input ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.checkpoints import TEXT
from benchmarks.on_gpu import flash_shim
from benchmarks.on_gpu.bench import CFG, STEPS

SERVERS = {
    "voxcpm": ("nanovllm_voxcpm.models.voxcpm.server", "VoxCPMServerImpl"),
    "voxcpm2": ("nanovllm_voxcpm.models.voxcpm2.server", "VoxCPM2ServerImpl"),
}
"""What steps the engine in its server, by the architecture of ``config.json``."""
UNUSED = ("librosa", "torchaudio")
"""What it imports to read clips, of which there are none here."""
BATCH_TOKENS = 16384
"""Tokens of text that it reads at once; the default of its own."""
MEMORY = 0.5
"""Its part of the device's memory: the other side is there too."""


@dataclass(frozen=True, slots=True)
class Ready:
    """``attention``: what stands in for flash-attn; ``tokens``: of the text; ``seconds``: to
    load.
    """

    attention: str
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """Seconds from the asking to the first and the last patch of each stream."""

    firsts: list[float]
    totals: list[float]


def load(folder: Path, streams: int, length: int) -> Any:
    """Start its engine on a folder of the files that it looks for."""
    import_module("transformers")  # first, lest it takes the stand-ins for what they are not
    for name in UNUSED:
        if find_spec(name) is None:
            flash_shim.stand_in(name)
    architecture = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architecture"]
    module, server = SERVERS[architecture]
    return getattr(import_module(module), server)(
        str(folder),
        inference_timesteps=STEPS,
        max_num_batched_tokens=BATCH_TOKENS,
        max_num_seqs=streams,
        max_model_len=length,
        gpu_memory_utilization=MEMORY,
        devices=[0],
    )


def speak(server: Any, streams: int, patches: int) -> Spoken:
    """Let so many streams that come together make so many patches each.

    Raises RuntimeError where one ends early (the stop head of the weights must be zero), and where
    what is heard at the end is no sound.
    """
    asked = time.perf_counter()
    for number in range(streams):
        server.add_request(str(number), TEXT, max_generate_length=patches, cfg_value=CFG)
    came: dict[str, list[float]] = {str(number): [] for number in range(streams)}
    stepped: list[Any] = []
    while not server.is_finished():
        stepped = server.step()
        now = time.perf_counter() - asked
        for sequence in stepped:
            came[sequence.seq_id].append(now)
    if (fewest := min(len(times) for times in came.values())) != patches:
        raise RuntimeError(f"a stream ended after {fewest} patches and not after {patches}.")
    for sequence in stepped:
        if not np.isfinite(sequence.custom_payload.generated_waveforms[-1]).all():
            raise RuntimeError("the last patch of a stream is not finite.")
    return Spoken([times[0] for times in came.values()], [times[-1] for times in came.values()])


def serve(server: Any, ready: Ready, answer: Callable[[str], object]) -> None:
    """Answer the orders until there are no more."""
    answer(json.dumps(asdict(ready)))
    for line in sys.stdin:
        order = json.loads(line)
        answer(json.dumps(asdict(speak(server, order["streams"], order["patches"]))))


def main() -> None:
    """Load, and serve."""
    parser = argparse.ArgumentParser(description="nano-vllm-voxcpm, to be measured.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--streams", type=int, required=True, help="most at a time")
    parser.add_argument("--length", type=int, required=True, help="positions of a stream")
    options = parser.parse_args()
    # The package and torch may print what they like: that is no answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    begun = time.perf_counter()
    attention = flash_shim.choose(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    flash_shim.install(attention)
    server = load(options.folder, options.streams, options.length)
    tokens = len(server.llm.tokenizer(TEXT))
    ready = Ready(attention.name, tokens, time.perf_counter() - begun)
    serve(server, ready, lambda line: answers.write(line + "\n"))


if __name__ == "__main__":
    main()

"""nano-vllm-voxcpm in a process of its own.

Its engine is stepped as in its own server's loop, without the queues between that server's
processes, which would only cost it time.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import flash_shim
from benchmarks.lib.models import CFG, STEPS
from voxcpm_openai.testing.checkpoints import TEXT, TOKENS

SERVERS = {"voxcpm": "VoxCPMServerImpl", "voxcpm2": "VoxCPM2ServerImpl"}
"""What steps the engine in its server, by the architecture of ``config.json``."""
UNUSED = ("librosa", "torchaudio")  # what it imports to read clips, of which there are none here


def load(folder: Path, streams: int, length: int) -> Any:
    import_module("transformers")  # first: it inspects these packages, and stand-ins confuse it
    for name in UNUSED:
        if find_spec(name) is None:
            flash_shim.stand_in(name)
    architecture = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architecture"]
    module = import_module(f"nanovllm_voxcpm.models.{architecture}.server")
    return getattr(module, SERVERS[architecture])(
        str(folder),
        inference_timesteps=STEPS,
        max_num_batched_tokens=16384,  # its own default
        max_num_seqs=streams,
        max_model_len=length,
        gpu_memory_utilization=0.5,  # our engine is on the device, too
        devices=[0],
    )


def speak(server: Any, streams: int, patches: int) -> list[tuple[float, float]]:
    """Run streams that come together; return the seconds to the first and last patch of each.

    Raises RuntimeError where a stream ends early (the stop head of the weights must be zero), and
    where the last samples are not finite.
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
    return [(times[0], times[-1]) for times in came.values()]


def serve(connection: Connection, folder: Path, streams: int, length: int) -> None:
    """Load it, send what serves its calls to flash-attn, and run rounds.

    A round is ordered by its streams and patches; the closed connection ends it.
    """
    attention = flash_shim.choose(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    flash_shim.install(attention)
    server = load(folder, streams, length)
    if (tokens := len(server.llm.tokenizer(TEXT))) != TOKENS:
        raise RuntimeError(f"it reads {tokens} tokens where we read {TOKENS}.")
    connection.send(attention.name)
    with suppress(EOFError):
        while True:
            connection.send(speak(server, *connection.recv()))

"""nano-vllm-voxcpm as the other side of a contest: its process, and the files that it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.checkpoints import TOKENS

ROOT = Path(__file__).parent.parent.parent
LENGTH = 256
"""Positions of a slot, on both sides: a page of their cache, and more than is spoken."""
START_SECONDS, ROUND_SECONDS = 240.0, 60.0
"""How long their process may take to load, and to speak, before it is ended."""
LINKED = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the asking to the first and the last sound of each stream."""

    firsts: Sequence[float]
    totals: Sequence[float]


class Peer:
    """The package in ``nano_process``, whose own words go where ours go."""

    def __init__(self, folder: Path, streams: int) -> None:
        """Begin to load it."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.on_gpu.nano_process", str(folder.resolve())),
                *("--streams", str(streams), "--length", str(LENGTH)),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def wait_ready(self) -> str:
        """Wait until it is loaded; return what serves its calls to flash-attn."""
        ready = self._answer(START_SECONDS)
        print(f"nano-vllm-voxcpm was loaded in {ready['seconds']:.0f} s", flush=True)
        if ready["tokens"] != TOKENS:
            raise RuntimeError(f"it reads {ready['tokens']} tokens where we read {TOKENS}.")
        return str(ready["attention"])

    def speak(self, streams: int, patches: int) -> Round:
        """Let it speak."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: there will be no answer
            self._process.stdin.write(json.dumps({"streams": streams, "patches": patches}) + "\n")
            self._process.stdin.flush()
        answer = self._answer(ROUND_SECONDS)
        return Round(answer["firsts"], answer["totals"])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(seconds, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            raise RuntimeError(
                f"nano-vllm-voxcpm has ended, or took more than {seconds:.0f} s; its own words are "
                "above."
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def folder_for(home: Path) -> Path:
    """Return a folder beside a checkpoint, made once, with the files that the package looks for."""
    folder = home.with_name(f"{home.name}-nano")
    if (folder / "audiovae.pth").exists():
        return folder
    folder.mkdir(exist_ok=True)
    for name in LINKED:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to((home / name).resolve())
    tensors = load_file(home / "audiovae.safetensors")
    # What makes no sound, but is looked for.
    for part in ("weight_g", "weight_v", "bias"):
        same = tensors[f"encoder.fc_mu.{part}"].clone()
        tensors.setdefault(f"encoder.fc_logvar.{part}", same)
    config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    if bounds := config["audio_vae_config"].get("sr_bin_boundaries"):
        tensors["decoder.sr_bin_boundaries"] = torch.tensor(bounds, dtype=torch.int32)
    half = folder / "audiovae.part"
    torch.save({"state_dict": tensors}, half)
    half.rename(folder / "audiovae.pth")  # last: a folder without it is half made
    return folder

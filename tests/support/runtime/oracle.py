"""Upstream's package, run with given noise: the reference for our own models."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import soundfile
import torch
from torch import Tensor

from voxcpm_openai.runtime.loading.upstream import install_stubs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    install_stubs()
    from voxcpm.model.voxcpm import VoxCPMModel
    from voxcpm.model.voxcpm2 import VoxCPM2Model


class Oracle:
    """One of upstream's models."""

    def __init__(self, folder: Path, kind: str) -> None:
        upstream = VoxCPM2Model if kind == "voxcpm2" else VoxCPMModel
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model: Any = upstream.from_local(str(folder), optimize=False, device="cpu")
        self.second = kind == "voxcpm2"

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self.model.text_tokenizer(text)
        return ids

    def prompt(
        self, folder: Path, text: str, prompt: Tensor | None, reference: Tensor | None
    ) -> dict[str, Any] | None:
        """Return upstream's prompt cache of clips ``[N]`` at the encoder's rate, and a text."""
        if prompt is None and reference is None:
            return None
        paths = {}
        for name, clip in (("prompt", prompt), ("reference", reference)):
            if clip is not None:
                paths[f"{name}_wav_path"] = path = str(folder / f"{name}.wav")
                rate = self.model.audio_vae.sample_rate
                soundfile.write(path, clip.numpy(), rate, subtype="FLOAT")
        if prompt is not None:
            paths["prompt_text"] = text
        cache: dict[str, Any] = self.model.build_prompt_cache(**paths)
        return cache

    def generate(
        self, text: str, prompt: dict[str, Any] | None, noise: Tensor, steps: int, cfg: float
    ) -> tuple[Tensor, list[bool]]:
        """Return a patch for each ``noise [T, C, P]``: ``[T, P, C]``, and the stop flags."""
        stop_flags: list[bool] = []
        hook = self.model.stop_head.register_forward_hook(
            lambda _, __, logits: stop_flags.append(bool(logits.argmax()))
        )
        patches = []
        with given_noise(noise):
            for _, _, latents in self.model._generate_with_prompt_cache(
                text,
                prompt,
                min_len=len(noise),
                max_len=len(noise),
                inference_timesteps=steps,
                cfg_value=cfg,
                streaming=True,
            ):
                patches.append(latents[-1][0, 0])  # [P, C]
        hook.remove()
        return torch.stack(patches), stop_flags

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode ``[T, P, C]`` in one call: ``[N]``."""
        samples: Tensor = self.model.audio_vae.decode(latents.flatten(0, 1).T[None])
        return samples[0, 0]  # [N]


@contextmanager
def given_noise(noise: Tensor) -> Iterator[None]:
    """Make ``torch.randn`` return ``noise[i][None]`` at its i-th call."""
    patches = iter(noise)
    with patch.object(torch, "randn", lambda *_, **__: next(patches)[None]):
        yield

"""LocDiT and its solver: noise becomes a patch of latents.

Conditional flow matching (arXiv:2210.02747) solved with Euler's method from t = 1 (noise) to t = 0,
on a grid that is denser near the noise, with guidance as in CFG-Zero* (arXiv:2503.18886).  The
solver's arithmetic is in float32; LocDiT itself runs in the dtype of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.lm import Stack


@dataclass(frozen=True)
class Schedule:
    """All that depends on the number of steps alone: E evaluations of LocDiT."""

    times: Tensor  # [E, W'] what LocDiT is told of the time
    strides: Tensor  # [E] how far each goes towards t = 0


@dataclass(frozen=True)
class Grids:
    """The schedules of B rows, filled up to as many evaluations with strides of 0."""

    times: Tensor  # [B, E, W']
    strides: Tensor  # [B, E]


class Flow:
    """The solver, for rows that may differ in guidance and in the number of their steps.

    ``separate_time``: the time is a token of its own (VoxCPM2), not added to the condition.
    """

    def __init__(self, weights: Weights, config: ModelConfig, *, separate_time: bool) -> None:
        dit, width = weights.under("feat_decoder.estimator"), config.dit.width
        self.frames = linear(dit, "in_proj", config.channels, width)
        self.before = linear(dit, "cond_proj", config.channels, width)
        self.out = linear(dit, "out_proj", width, config.channels)
        self.time = _TimeMlp(dit.under("time_mlp"), width)
        self.stride = _TimeMlp(dit.under("delta_time_mlp"), width)
        self.lead = 3 if separate_time else 1  # tokens in front of the frames: condition and time
        self.separate_time = separate_time
        self.ops = weights.ops
        self.stack = Stack(dit.under("decoder"), config.dit, self.lead + 2 * config.patch)
        self.patch = config.patch
        self.mean_velocity = config.mean_velocity
        self.device, self.dtype = weights.device, weights.dtype
        self.schedules: dict[int, Schedule] = {}

    def __call__(
        self, noise: Tensor, condition: Tensor, before: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> Tensor:
        """Solve for ``noise [B, C, P]``; return latents ``[B, P, C]`` in float32.

        ``condition [B, M, W']``: the language models' say, M tokens of LocDiT's width.
        ``before [B, P, C]``: the patch before this one.  ``cfg [B]``: guidance of each row.
        """
        order = sorted(range(len(steps)), key=lambda row: -steps[row])
        mixed = order != list(range(len(steps)))
        noise, cfg = (
            given.to(self.device, torch.float32, non_blocking=True) for given in (noise, cfg)
        )  # as they were
        if mixed:  # longest first, so that the rows that still run are always the first ones
            picked = torch.tensor(order).to(self.device, non_blocking=True)  # [B]
            noise, condition, before, cfg = (
                rows[picked] for rows in (noise, condition, before, cfg)
            )  # as they were
        x = self._solve(
            noise, condition, before, self._evaluations([steps[row] for row in order]), cfg
        )  # [B, P, C]
        if mixed:
            x = torch.empty_like(x).index_copy_(0, picked, x)  # [B, P, C], in the caller's order
        return x

    def on_device(
        self, noise: Tensor, condition: Tensor, before: Tensor, grids: Grids, cfg: Tensor
    ) -> Tensor:
        """Solve as above, from what the device knows, and nothing else.

        All rows take part in all evaluations; those that need fewer stand still in the last ones.
        """
        evaluations = (
            (len(noise), time, stride)
            for time, stride in zip(grids.times.unbind(1), grids.strides.unbind(1), strict=True)
        )
        return self._solve(noise, condition, before, evaluations, cfg)  # [B, P, C]

    def _solve(
        self,
        noise: Tensor,
        condition: Tensor,
        before: Tensor,
        evaluations: Iterable[tuple[int, Tensor, Tensor]],
        cfg: Tensor,
    ) -> Tensor:
        """``evaluations``: as ``_evaluations`` yields them; the rows that take part come first."""
        # Cloned: it is written in place below, and the noise is the caller's.
        x = noise.transpose(1, 2).clone(memory_format=torch.contiguous_format)  # [B, P, C]
        past = self.before(before.to(self.dtype))  # [B, P, W'], the same at every evaluation
        wanted = slice(self.lead + self.patch, None)  # of the tokens: the frames of the new patch
        for rows, time, stride in evaluations:
            tokens = self.ops.line_up(
                condition[:rows],
                time,
                past[:rows],
                self.frames(x[:rows].to(self.dtype)),
                separate=self.separate_time,
            )  # [2 R, lead + 2 P, W']
            hidden = self.stack.encode(tokens, wanted)  # [2 R, P, W']
            self.ops.guide(x[:rows], self.out(hidden), cfg[:rows], stride)
        return x

    def prepare(self, steps: int) -> Schedule:
        """Return the schedule of so many steps, computed at its first use."""
        if steps not in self.schedules:
            self.schedules[steps] = self._schedule(steps)
        return self.schedules[steps]

    def _evaluations(self, steps: Sequence[int]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield for each evaluation: rows that take part, their times [R, W'], strides [R].

        ``steps``: of each row, falling.
        """
        groups = [(self.prepare(count), len(list(rows))) for count, rows in groupby(steps)]
        for turn in range(len(groups[0][0].strides)):
            live = [(plan, rows) for plan, rows in groups if turn < len(plan.strides)]
            times = [plan.times[turn].expand(rows, -1) for plan, rows in live]  # [rows, W'] each
            strides = [plan.strides[turn].expand(rows) for plan, rows in live]  # [rows] each
            yield sum(rows for _, rows in live), torch.cat(times), torch.cat(strides)

    def _schedule(self, steps: int) -> Schedule:
        """The grid is t + cos(pi t / 2) - 1 + t over evenly spaced t, as upstream has it.

        The first steps (one below 49) have velocity zero in CFG-Zero*: they move nothing, and are
        left out.  Time runs on by the strides that were taken, whose sum is kept as upstream does.
        """
        even = torch.linspace(1, 0, steps + 1)  # [steps + 1]
        grid = even + (torch.cos(torch.pi / 2 * even) - 1 + even)  # [steps + 1]
        time, stride = grid[0], grid[0] - grid[1]  # [] each
        times, strides = [], []
        for step in range(1, steps + 1):
            times.append(time)
            strides.append(stride)
            time = time - stride
            if step < steps:
                stride = time - grid[step + 1]
        idle = max(1, int((steps + 1) * 0.04))
        t, dt = torch.stack(times[idle:]), torch.stack(strides[idle:])  # [E] each
        told = dt if self.mean_velocity else torch.zeros_like(dt)  # [E]
        vectors = self.time(self._waves(t)) + self.stride(self._waves(told))  # [E, W']
        return Schedule(vectors, dt.to(self.device))

    def _waves(self, t: Tensor) -> Tensor:
        """Sines and cosines of 1000 ``t [E]`` at falling frequencies: ``[E, W']``."""
        half = self.stack.config.width // 2
        frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))  # [W'/2]
        angles = 1000 * t[:, None] * frequencies  # [E, W'/2]
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1)  # [E, W']
        return waves.to(self.device, self.dtype)


class _TimeMlp:
    """Two layers with SiLU between."""

    def __init__(self, weights: Weights, width: int) -> None:
        self.first = linear(weights, "linear_1", width, width)
        self.second = linear(weights, "linear_2", width, width)

    def __call__(self, waves: Tensor) -> Tensor:
        """``waves [E, W']`` to ``[E, W']``."""
        return self.second(F.silu(self.first(waves)))  # [E, W']

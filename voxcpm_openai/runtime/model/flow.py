"""LocDiT and its solver: noise becomes a patch of latents.

Conditional flow matching (arXiv:2210.02747), solved with Euler's method from t = 1 (noise) to t = 0
on a grid that is denser near the noise, with the guidance of CFG-Zero* (arXiv:2503.18886).  The
solver computes in float32; LocDiT runs in the dtype of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.transformer import Transformer


@dataclass(frozen=True)
class Schedule:
    """The E evaluations of LocDiT for a number of solver steps."""

    time_embeds: Tensor  # [E, W']
    step_sizes: Tensor  # [E] towards t = 0


@dataclass(frozen=True)
class BatchSchedule:
    """The schedules of B rows, padded to the same number of evaluations with step sizes of 0."""

    time_embeds: Tensor  # [B, E, W']
    step_sizes: Tensor  # [B, E]


class Flow:
    """The solver, for rows that may differ in guidance and in the number of steps.

    ``separate_time``: the time is a token of its own (VoxCPM2), not added to the condition.
    """

    def __init__(
        self, weights: Weights, config: ModelConfig, ops: Ops, *, separate_time: bool
    ) -> None:
        dit, hidden_size = weights.under("feat_decoder.estimator"), config.dit.hidden_size
        self.in_proj = linear(dit, "in_proj", config.channels, hidden_size)
        self.cond_proj = linear(dit, "cond_proj", config.channels, hidden_size)
        self.out_proj = linear(dit, "out_proj", hidden_size, config.channels)
        self.time_mlp = _TimeMLP(dit.under("time_mlp"), hidden_size)
        self.delta_time_mlp = _TimeMLP(dit.under("delta_time_mlp"), hidden_size)
        self.prefix_tokens = 3 if separate_time else 1  # the condition and the time
        self.separate_time = separate_time
        self.ops = ops
        self.transformer = Transformer(
            dit.under("decoder"), config.dit, self.prefix_tokens + 2 * config.patch_size, ops
        )
        self.patch_size = config.patch_size
        self.mean_velocity = config.mean_velocity
        self.device, self.dtype = weights.device, weights.dtype
        self.schedules: dict[int, Schedule] = {}

    def __call__(
        self, noise: Tensor, condition: Tensor, previous: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> Tensor:
        """Solve for ``noise [B, C, P]``; return latents ``[B, P, C]`` in float32.

        ``condition [B, M, W']``: the states of the language models, as M tokens of LocDiT.
        ``previous [B, P, C]``: the patch before this one.  ``cfg [B]``: guidance of each row.
        """
        order = sorted(range(len(steps)), key=lambda row: -steps[row])
        mixed = order != list(range(len(steps)))
        noise, cfg = (
            given.to(self.device, torch.float32, non_blocking=True) for given in (noise, cfg)
        )  # same shapes
        if mixed:  # longest first, so that the rows that still run are always the first ones
            index = torch.tensor(order).to(self.device, non_blocking=True)  # [B]
            noise, condition, previous, cfg = (
                rows[index] for rows in (noise, condition, previous, cfg)
            )  # same shapes
        x = self._solve(
            noise, condition, previous, self._evaluations([steps[row] for row in order]), cfg
        )  # [B, P, C]
        if mixed:
            x = torch.empty_like(x).index_copy_(0, index, x)  # [B, P, C], in the caller's order
        return x

    def solve_on_device(
        self,
        noise: Tensor,
        condition: Tensor,
        previous: Tensor,
        schedule: BatchSchedule,
        cfg: Tensor,
    ) -> Tensor:
        """Solve as above, with inputs that are all on the device.

        All rows take part in all evaluations; the padding of a schedule leaves a row unchanged.
        """
        evaluations = (
            (len(noise), time_embed, step_size)
            for time_embed, step_size in zip(
                schedule.time_embeds.unbind(1), schedule.step_sizes.unbind(1), strict=True
            )
        )
        return self._solve(noise, condition, previous, evaluations, cfg)  # [B, P, C]

    def _solve(
        self,
        noise: Tensor,
        condition: Tensor,
        previous: Tensor,
        evaluations: Iterable[tuple[int, Tensor, Tensor]],
        cfg: Tensor,
    ) -> Tensor:
        """``evaluations``: as ``_evaluations`` yields them; the rows that take part come first."""
        # Cloned: it is written in place below, and the noise is the caller's.
        x = noise.transpose(1, 2).clone(memory_format=torch.contiguous_format)  # [B, P, C]
        past = self.cond_proj(previous.to(self.dtype))  # [B, P, W'], the same at every evaluation
        new_patch = slice(self.prefix_tokens + self.patch_size, None)  # of the tokens
        for rows, time_embed, step_size in evaluations:
            tokens = self.ops.build_dit_input(
                condition[:rows],
                time_embed,
                past[:rows],
                self.in_proj(x[:rows].to(self.dtype)),
                separate_time=self.separate_time,
            )  # [2 R, prefix + 2 P, W']
            hidden = self.transformer.encode(tokens, new_patch)  # [2 R, P, W']
            self.ops.cfg_euler_step(x[:rows], self.out_proj(hidden), cfg[:rows], step_size)
        return x

    def schedule(self, steps: int) -> Schedule:
        """Return the schedule of ``steps`` solver steps, computed at its first use."""
        if steps not in self.schedules:
            self.schedules[steps] = self._schedule(steps)
        return self.schedules[steps]

    def _evaluations(self, steps: Sequence[int]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield for each evaluation: the number of rows R, time embeds [R, W'], step sizes [R].

        ``steps``: of each row, falling.
        """
        groups = [(self.schedule(count), len(list(rows))) for count, rows in groupby(steps)]
        for i in range(len(groups[0][0].step_sizes)):
            live = [(schedule, rows) for schedule, rows in groups if i < len(schedule.step_sizes)]
            time_embeds = [s.time_embeds[i].expand(rows, -1) for s, rows in live]  # [rows, W'] each
            step_sizes = [s.step_sizes[i].expand(rows) for s, rows in live]  # [rows] each
            yield sum(rows for _, rows in live), torch.cat(time_embeds), torch.cat(step_sizes)

    def _schedule(self, steps: int) -> Schedule:
        """Return the schedule on upstream's grid: t + cos(pi t / 2) - 1 + t, over even t.

        CFG-Zero* zeroes the velocity of the first steps (one below 49); they change nothing and
        are left out.  Time advances by the accumulated step sizes, as upstream accumulates them.
        """
        even = torch.linspace(1, 0, steps + 1)  # [steps + 1]
        grid = even + (torch.cos(torch.pi / 2 * even) - 1 + even)  # [steps + 1]
        time, step_size = grid[0], grid[0] - grid[1]  # [] each
        times, step_sizes = [], []
        for step in range(1, steps + 1):
            times.append(time)
            step_sizes.append(step_size)
            time = time - step_size
            if step < steps:
                step_size = time - grid[step + 1]
        skipped = max(1, int((steps + 1) * 0.04))
        t, dt = torch.stack(times[skipped:]), torch.stack(step_sizes[skipped:])  # [E] each
        given = dt if self.mean_velocity else torch.zeros_like(dt)  # [E]
        time_embeds = self.time_mlp(self._sinusoidal(t)) + self.delta_time_mlp(
            self._sinusoidal(given)
        )  # [E, W']
        return Schedule(time_embeds, dt.to(self.device))

    def _sinusoidal(self, t: Tensor) -> Tensor:
        """Return sines and cosines of 1000 ``t [E]`` at falling frequencies: ``[E, W']``."""
        half = self.transformer.config.hidden_size // 2
        frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))  # [W'/2]
        angles = 1000 * t[:, None] * frequencies  # [E, W'/2]
        embeds = torch.cat((angles.sin(), angles.cos()), dim=-1)  # [E, W']
        return embeds.to(self.device, self.dtype)


class _TimeMLP:
    """Two layers with SiLU in between."""

    def __init__(self, weights: Weights, hidden_size: int) -> None:
        self.first = linear(weights, "linear_1", hidden_size, hidden_size)
        self.second = linear(weights, "linear_2", hidden_size, hidden_size)

    def __call__(self, x: Tensor) -> Tensor:
        """``x [E, W']`` to ``[E, W']``."""
        return self.second(F.silu(self.first(x)))  # [E, W']

"""The ways to run a step on a GPU: with which operators, and whether CUDA graphs replay them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class ExecutionPath(NamedTuple):
    """``kernels``: ``torch`` or ``triton``.  ``graphs``: replayed as CUDA graphs, or else eager."""

    kernels: str
    graphs: bool

    def __str__(self) -> str:
        return f"{self.kernels} kernels, {'CUDA graphs' if self.graphs else 'eager'}"

    @property
    def eager(self) -> ExecutionPath:
        """The same operators without graphs."""
        return self._replace(graphs=False)


SAFE = ExecutionPath("torch", graphs=False)
"""What every device runs, and others are compared with."""

Verdict = tuple[ExecutionPath, str | None]
"""A path, and why it is refused, or None."""


def allowed_paths(kernels: str, graphs: str) -> list[ExecutionPath]:
    """Return the paths that the settings allow, those with fewer risks first.

    ``kernels``: ``auto``, ``torch`` or ``triton``; ``graphs``: ``auto``, ``on`` or ``off``.
    """
    return [
        ExecutionPath(kind, graph)
        for kind in (("torch", "triton") if kernels == "auto" else (kernels,))
        for graph in ((False, True) if graphs == "auto" else (graphs == "on",))
    ]


@dataclass(frozen=True)
class PathReport:
    """The path that is used, and what the trial measured.

    ``tried``: whether it was chosen by a trial, and not by the settings alone.  ``milliseconds`` of
    a step, by its number of rows, and ``error``, relative to the safe path, are of the chosen one.
    ``refused``: the paths that may not be used or were not faster, each with the reason.
    """

    path: ExecutionPath
    tried: bool = False
    milliseconds: Mapping[int, float] = field(default_factory=dict)
    error: float | None = None
    refused: Mapping[ExecutionPath, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON values, for ``/ready``."""
        return {
            "kernels": self.path.kernels,
            "cuda_graphs": self.path.graphs,
            "chosen_by": "trial" if self.tried else "settings",
            "step_ms": {str(rows): round(ms, 2) for rows, ms in self.milliseconds.items()},
            "error": self.error,
            "refused": {str(path): reason for path, reason in self.refused.items()},
        }

    def __str__(self) -> str:
        times = ", ".join(f"{ms:.1f} ms at {rows}" for rows, ms in self.milliseconds.items())
        return f"{self.path}{f' ({times} rows)' if times else ''}"

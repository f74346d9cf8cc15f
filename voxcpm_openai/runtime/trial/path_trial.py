"""Tries execution paths on a loaded model: each is right, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from voxcpm_openai.errors import Overloaded, StartError
from voxcpm_openai.runtime.device.capture import Capture, enforce_eager
from voxcpm_openai.runtime.device.execution_path import SAFE, ExecutionPath
from voxcpm_openai.runtime.device.faults import device_faults
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.model.ops import Ops
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.trial.speech_check import (
    GRAPH_ERROR,
    INPUTS,
    KERNEL_ERROR,
    ROWS,
    PathRun,
    Speech,
    difference,
    first_line,
    relative_error,
    stops_differ,
)

MakeOps = Callable[[str], Ops]
"""Returns the operators of a name, ``torch`` or ``triton``; StartError if they cannot be had."""


class PathRefused(Exception):
    """A path must not be used; the message says why."""


class PathTrial:
    """Runs a model on one path after the other, and compares what it says.

    The operators of the model are those of the path that was tried last.
    """

    def __init__(
        self, model: VoxCPM, make_ops: MakeOps, make_capture: Callable[[], Capture]
    ) -> None:
        self._model, self._make_ops, self._make_capture = model, make_ops, make_capture
        self._eager: dict[str, list[Speech]] = {}  # of operators, for each of INPUTS
        self._decoded = torch.empty(0)  # [B, N]: the samples of PyTorch's operators

    def compile(self, kernels: str) -> None:
        """Run steps with these operators once, so that what they need is compiled.

        What is wrong with them is found later, by ``check``.
        """
        with suppress(PathRefused), _refusing():
            run = self.run(ExecutionPath(kernels, graphs=False))
            run.speak(INPUTS[0])
            run.warm_up(max(ROWS))

    def check(self, path: ExecutionPath) -> tuple[PathRun, float]:
        """Return a run on a path that is right, and its error relative to the safe path.

        Raises PathRefused, and DeviceError if the device is lost.
        """
        with _refusing():
            self._eager_speech(SAFE.kernels)
            if path.graphs:
                self._eager_speech(path.kernels)
            run = self.run(path)
            return run, self._error(path, run)

    def measure(
        self, path: ExecutionPath, clock: Callable[[], float]
    ) -> tuple[float, dict[int, float]]:
        """Check a path; return its error, and the milliseconds of a step by its rows.

        Raises as ``check``.
        """
        run, error = self.check(path)
        with _refusing():
            return error, {rows: run.step_ms(rows, clock) for rows in ROWS}

    def select(self, path: ExecutionPath) -> None:
        """Give the model the operators of a path."""
        self._model.use(self._make_ops(path.kernels))

    def run(self, path: ExecutionPath) -> PathRun:
        """Return a run on a path, whose operators the model has then."""
        self.select(path)
        capture = self._make_capture() if path.graphs else enforce_eager
        return PathRun(self._model, path, capture)

    def _eager_speech(self, kernels: str) -> list[Speech]:
        """Return what operators say without graphs.  Raises PathRefused if that is wrong."""
        if kernels not in self._eager:
            run = self.run(ExecutionPath(kernels, graphs=False))
            speeches = [run.speak(inputs) for inputs in INPUTS]
            if not all(speech.finite for speech in speeches):
                raise PathRefused("its audio has numbers that are not finite")
            decoded = run.decode()  # [B, N]
            if kernels == SAFE.kernels:
                self._decoded = decoded
            else:
                _check_kernels(speeches, self._eager[SAFE.kernels])
                error = relative_error(decoded, self._decoded)
                if not error <= KERNEL_ERROR:
                    raise PathRefused(
                        f"its VAE differs by {error:.1%} from that of PyTorch's operators, "
                        f"at most {KERNEL_ERROR:.0%} is right"
                    )
            self._eager[kernels] = speeches
        return self._eager[kernels]

    def _error(self, path: ExecutionPath, run: PathRun) -> float:
        """Check the graphs of a path; return how much its first patch differs from the safe one."""
        speeches = self._eager_speech(path.kernels)
        if path.graphs:
            run.speak(INPUTS[0])  # the stages that it takes
            if problem := run.capture_graphs():
                raise PathRefused(problem)
            expected, speeches = speeches, [run.speak(inputs) for inputs in INPUTS]
            _check_graphs(speeches, expected)
        pairs = zip(speeches, self._eager[SAFE.kernels], strict=True)
        return max(_first_patch_error(speech, safe) for speech, safe in pairs)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise PathRefused if the block fails, and DeviceError if it loses the device."""
    try:
        with device_faults():
            yield
    except (PathRefused, DeviceError):
        raise
    except Overloaded as error:
        raise PathRefused("the device has no memory left for it") from error
    except StartError as error:
        raise PathRefused(str(error)) from error
    except Exception as error:  # of PyTorch, a library or a compiler: the next path is tried
        raise PathRefused(first_line(error)) from error


def _check_kernels(speeches: list[Speech], safe: list[Speech]) -> None:
    """Raise PathRefused unless operators say what PyTorch's say."""
    for speech, reference in zip(speeches, safe, strict=True):
        error = _first_patch_error(speech, reference)
        if error > KERNEL_ERROR:
            raise PathRefused(
                f"its first patch differs by {error:.1%} from that of PyTorch's operators, "
                f"at most {KERNEL_ERROR:.0%} is right"
            )
        if stops_differ(speech, reference):
            raise PathRefused("it and PyTorch's operators end a text at different places")


def _first_patch_error(speech: Speech, reference: Speech) -> float:
    return relative_error(speech.latents[0], reference.latents[0])


def _check_graphs(speeches: list[Speech], eager: list[Speech]) -> None:
    """Raise PathRefused unless graphs say what the same operators say without them."""
    for speech, reference in zip(speeches, eager, strict=True):
        if not speech.finite:
            raise PathRefused("its audio has numbers that are not finite")
        error = difference(speech, reference)
        if error > GRAPH_ERROR or stops_differ(speech, reference):
            raise PathRefused(
                f"its graphs differ by {error:.1%} from the same operators without graphs, "
                f"at most {GRAPH_ERROR:.1%} is right"
            )

"""Wrong paths are refused, each for its reason; the fastest one that is right is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

from tests.support.runtime.paths import FakeClock, FaultyCapture, OtherOps, broken, small_trials
from voxcpm_openai.errors import StartError
from voxcpm_openai.runtime.device.execution_path import (
    SAFE,
    ExecutionPath,
    PathReport,
    allowed_paths,
)
from voxcpm_openai.runtime.errors import DeviceError
from voxcpm_openai.runtime.model.ops import Ops, TorchOps
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.runtime.trial import trial_process
from voxcpm_openai.runtime.trial.operator_check import OPERATORS
from voxcpm_openai.runtime.trial.path_choice import choose_path
from voxcpm_openai.runtime.trial.path_trial import PathRefused, PathTrial
from voxcpm_openai.runtime.trial.trial_process import compare_operators, verdicts

Kinds = Callable[[str], VoxCPM]
TORCH_GRAPHS = ExecutionPath("torch", graphs=True)
TRITON, TRITON_GRAPHS = ExecutionPath("triton", graphs=False), ExecutionPath("triton", graphs=True)
ALL = allowed_paths("auto", "auto")


@pytest.fixture(autouse=True)
def _few_steps(model: Kinds) -> Iterator[None]:
    """Few steps; the session's models have PyTorch's operators again after each test."""
    with small_trials():
        yield
    model("voxcpm15").use(TorchOps())
    model("voxcpm2").use(TorchOps())


def ops(other: Ops) -> Callable[[str], Ops]:
    """Return operators that pose as Triton's."""
    return lambda kernels: other if kernels == "triton" else TorchOps()


def refused(model: VoxCPM, path: ExecutionPath, other: Ops, capture: FaultyCapture) -> str:
    """Return why a path is refused."""
    with pytest.raises(PathRefused) as caught:
        PathTrial(model, ops(other), lambda: capture).check(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("wrong", "differ by"),
        ("stale", "differ by"),
        ("not finite", "not finite"),
        ("raises", "a capture failed: RuntimeError: CUDA error: operation not permitted"),
        ("out of memory", "a capture failed: OutOfMemoryError: CUDA out of memory."),
    ],
)
def test_graphs_that_are_wrong_are_refused(model: Kinds, fault: str, reason: str) -> None:
    assert reason in refused(model("voxcpm15"), TORCH_GRAPHS, TorchOps(), FaultyCapture(fault))


@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_graphs_that_are_right_pass(model: Kinds, kind: str) -> None:
    capture = FaultyCapture()
    _, error = PathTrial(model(kind), ops(TorchOps()), lambda: capture).check(TORCH_GRAPHS)
    assert error < 1e-5
    assert capture.replayed > 6, "the graphs were not compared"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (partial(broken, "swiglu", lambda x: x * torch.nan), "not finite"),
        (partial(broken, "swiglu", lambda x: x * 1.5), "its first patch differs by"),
    ],
)
def test_operators_that_are_wrong_are_refused_with_their_graphs(
    model: Kinds, other: Callable[[], Ops], reason: str
) -> None:
    for path in (TRITON, TRITON_GRAPHS):
        assert reason in refused(model("voxcpm15"), path, other(), FaultyCapture())


def test_operators_without_memory_are_refused(model: Kinds) -> None:
    def full(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    reason = refused(model("voxcpm15"), TRITON, broken("norm", full), FaultyCapture())
    assert reason == "the device has no memory left for it"


def test_operators_that_cannot_be_had_are_refused(model: Kinds) -> None:
    def no_compiler(kernels: str) -> Ops:
        if kernels == "triton":
            raise StartError("it needs a C compiler")
        return TorchOps()

    found = dict(verdicts(model("voxcpm15"), ALL, no_compiler, FaultyCapture))
    assert found == {
        SAFE: None,
        TORCH_GRAPHS: None,
        TRITON: "it needs a C compiler",
        TRITON_GRAPHS: "it needs a C compiler",
    }


def test_a_device_that_is_lost_is_no_refusal(model: Kinds) -> None:
    def lost(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    trial = PathTrial(model("voxcpm15"), ops(broken("norm", lost)), FaultyCapture)
    with pytest.raises(DeviceError, match="illegal memory access"):
        trial.check(TRITON)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", ["voxcpm15", "voxcpm2"])
def test_an_operator_that_is_off_by_three_percent_is_named(
    model: Kinds, kind: str, name: str
) -> None:
    compare_operators(model(kind), TorchOps())
    with pytest.raises(PathRefused, match=rf"(^|; )operator {name}: the error is 0\.0"):
        compare_operators(model(kind), broken(name, lambda x: x * 1.03))


def test_operators_are_compared_once_for_all_of_their_paths(
    model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Ops] = []
    monkeypatch.setattr(trial_process, "compare_operators", lambda _, other: compared.append(other))
    found = dict(verdicts(model("voxcpm15"), ALL, ops(OtherOps()), FaultyCapture))
    assert found == dict.fromkeys(ALL)
    assert len(compared) == 1


def test_an_operator_that_writes_a_wrong_key_is_named(model: Kinds) -> None:
    """Not only results are compared, but also what an operator leaves in the slots."""

    class WrongKeys(TorchOps):
        def decode_attention(self, *args: Any) -> torch.Tensor:
            result = super().decode_attention(*args)
            *_, k, _, batch = args
            k[batch.slots, :, batch.positions] *= 1.03
            return result

    with pytest.raises(PathRefused, match="operator decode_attention"):
        compare_operators(model("voxcpm15"), WrongKeys())


def choice(
    model: VoxCPM, other: Ops, fault: str = "", clock: FakeClock | None = None
) -> PathReport:
    clock = clock or FakeClock()
    trial = PathTrial(model, ops(other), lambda: FaultyCapture(fault, clock))
    return choose_path(trial, ALL, {}, clock=clock)


def test_the_fastest_path_that_is_right_is_chosen(model: Kinds) -> None:
    """The clock stands still but in the operators of the safe path."""
    clock, ours = FakeClock(), model("voxcpm15")
    slow = OtherOps(clock, 0.001)
    trial = PathTrial(
        ours, lambda kernels: TorchOps() if kernels == "triton" else slow, FaultyCapture
    )
    report = choose_path(trial, [SAFE, TRITON], {}, clock=clock)
    assert report.path == TRITON
    assert report.refused[SAFE].startswith("it is slower, or not faster by 5%")


def test_a_path_that_is_not_faster_is_left_for_the_safer_one(model: Kinds) -> None:
    clock = FakeClock()
    report = choice(model("voxcpm15"), OtherOps(clock, 0.001), clock=clock)
    assert report.path.kernels == "torch"
    assert "not faster" in report.refused[TRITON]


def test_what_is_not_tried_in_time_is_not_used(model: Kinds) -> None:
    clock = FakeClock()
    report = choice(model("voxcpm15"), TorchOps(), "slow", clock)
    assert report.path == SAFE
    assert "not faster" in report.refused[TORCH_GRAPHS]
    for path in (TRITON, TRITON_GRAPHS):
        assert report.refused[path] == "there was no time to try it within 20 s"


def test_without_a_path_that_is_right_the_start_says_why(model: Kinds) -> None:
    trial = PathTrial(model("voxcpm15"), ops(TorchOps()), lambda: FaultyCapture("raises"))
    with pytest.raises(StartError, match=r"CUDA graphs: a capture failed.*VOXCPM_CUDA_GRAPHS"):
        choose_path(trial, [TORCH_GRAPHS], {})


def test_the_model_has_the_operators_of_the_chosen_path(model: Kinds) -> None:
    ours, other = model("voxcpm15"), OtherOps()
    trial = PathTrial(ours, ops(other), FaultyCapture)
    trial.check(TRITON)
    trial.select(SAFE)
    assert ours.ops.__getattr__("norm").__self__.__class__ is TorchOps


def test_refused_paths_are_not_tried(model: Kinds) -> None:
    def none(kernels: str) -> Ops:
        assert kernels == "torch"
        return TorchOps()

    trial = PathTrial(model("voxcpm15"), none, FaultyCapture)
    known = {TRITON: "it hung", TRITON_GRAPHS: "it hung"}
    report = choose_path(trial, ALL, known)
    assert {path: report.refused[path] for path in known} == known

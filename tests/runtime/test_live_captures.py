"""No request waits for a capture: what a step lacks is captured later, and only some graphs are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.runtime.graph_batch import Counted
from tests.support.runtime.tape import Recorder
from tests.support.stock import load_plugin
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.cuda_graphs import (
    EVALUATION_COUNTS,
    PRESET_EVALUATIONS,
    GraphRunner,
)
from voxcpm_openai.runtime.device.stages import AcousticStage, VAEStage
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

Kinds = Callable[[str], VoxCPM]


def step(graphs: GraphRunner, model: VoxCPM, steps: int, count: int = 1) -> None:
    """Run the first steps of a stream with a number of solver steps."""
    stream = Counted("the", steps=steps)
    parts = stream.begin(model, graphs._slots, 0)
    graphs.begin(0, parts, seed=1, cfg=2.0, steps=steps)
    for _ in range(count):
        graphs.launch([0]).samples()


@pytest.fixture(name="recorder")
def _recorder() -> Recorder:
    return Recorder()


@pytest.fixture(name="graphs")
def _graphs(model: Kinds, recorder: Recorder) -> GraphRunner:
    ours = model("voxcpm15")
    return GraphRunner(ours, ours.new_slots(3, 120), recorder)


def test_the_evaluations_of_all_presets_are_captured_at_the_start(model: Kinds) -> None:
    presets = load_plugin("openai_presets").register_presets()
    presets += load_plugin("voxcpm_engine").register_presets()
    steps = {preset.options["inference_steps"] for preset in presets}
    flow = model("voxcpm15").flow
    assert {len(flow.schedule(count).step_sizes) for count in steps} == set(PRESET_EVALUATIONS)


def test_no_step_captures_a_graph(model: Kinds, graphs: GraphRunner, recorder: Recorder) -> None:
    step(graphs, model("voxcpm15"), steps=10, count=4)
    assert (recorder.captured, recorder.replayed) == (0, 0)
    # The prefill, the acoustic stage, the VAE, the patch.
    assert graphs.status() == {"captured": 0, "wanted": 4, "failed": 0, "skipped": 0}
    assert [graphs.capture_wanted() for _ in range(5)] == [True] * 4 + [False]
    step(graphs, model("voxcpm15"), steps=10, count=4)
    assert (recorder.captured, recorder.replayed) == (4, 12)


def test_clients_can_force_a_few_graphs_only(model: Kinds, graphs: GraphRunner) -> None:
    """``inference_steps`` may be any number from 2 to 100."""
    for steps in range(2, 101, 7):
        step(graphs, model("voxcpm15"), steps, count=2)
    while graphs.capture_wanted():
        pass
    stages = [stage for stage in graphs._graphs._captured if isinstance(stage, AcousticStage)]
    assert {stage.evaluations for stage in stages} <= set(EVALUATION_COUNTS)
    assert max(EVALUATION_COUNTS) == 16


def test_more_evaluations_than_graphs_have_are_not_padded(
    model: Kinds, graphs: GraphRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    run = graphs._stages.run
    monkeypatch.setattr(graphs._stages, "run", lambda stage: (ran.append(stage), run(stage)))
    step(graphs, model("voxcpm15"), steps=18)
    assert ran[-2:] == [AcousticStage(1, 17), VAEStage(1)]


def test_without_graphs_none_is_wanted(model: Kinds) -> None:
    ours = model("voxcpm15")
    graphs = GraphRunner(ours, ours.new_slots(3, 120), enforce_eager)
    step(graphs, ours, steps=10, count=3)
    assert not graphs.capture_wanted()

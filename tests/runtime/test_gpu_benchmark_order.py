"""The parts of the benchmark for GPUs: what tells most comes first, and guests leave in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.on_gpu import nano, served, upstream
from benchmarks.on_gpu.bench import TINY, TRUE, Bench, Task
from benchmarks.on_gpu.ledger import Ledger
from benchmarks.on_gpu.machine import Machine

HERE = Machine("some GPU", "1.0", "2.13.0", "3.11.7")


@dataclass(frozen=True)
class Row:
    label: str


class Visitor:
    """Notes when it comes and goes."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name, self.diary = name, diary
        diary.append(f"{name} comes")

    def close(self) -> None:
        self.diary.append(f"{self.name} goes")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("cpu", TINY, tmp_path)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two parts whose rows have a guest; what happens in them."""
    diary: list[str] = []

    def measure(bench: Bench, part: str, label: str) -> Row:
        bench.host(part, partial(Visitor, part, diary))
        diary.append(f"{part} {label}")
        if label == "broken":
            raise RuntimeError("It fell.")
        return Row(label)

    def tasks(part: str, bench: Bench) -> Iterator[Task]:
        for label in ("late", "early", "broken"):
            yield Task(label, partial(measure, bench, part, label), telling=label == "early")

    for part in ("a", "b"):
        monkeypatch.setitem(gpu.PARTS, part, gpu.Part(partial(tasks, part), {"label": "label"}))
    return diary


def test_what_tells_most_of_all_parts_comes_before_the_rest(
    tmp_path: Path, bench: Bench, diary: list[str]
) -> None:
    assert gpu.run_parts(["a", "b"], bench, Ledger(tmp_path, "tiny", HERE)) == 2
    measured = [line for line in diary if line[-4:] not in ("omes", "goes")]
    assert measured == ["a early", "b early", "a late", "a broken", "b late", "b broken"]


def test_a_guest_stays_for_the_rows_of_its_part_and_no_longer(
    tmp_path: Path, bench: Bench, diary: list[str]
) -> None:
    gpu.run_part("a", bench, Ledger(tmp_path, "tiny", HERE))
    assert diary == ["a comes", "a late", "a early", "a broken", "a goes"]
    gpu.run_part("b", bench, Ledger(tmp_path, "tiny", HERE), telling=True)
    assert diary[5:] == ["b comes", "b early", "b goes"]


def test_a_guest_of_another_key_leaves_before_the_next_one_comes(bench: Bench) -> None:
    diary: list[str] = []
    first = bench.host("one", partial(Visitor, "one", diary))
    assert bench.host("one", partial(Visitor, "none", diary)) is first
    bench.host("two", partial(Visitor, "two", diary))
    assert diary == ["one comes", "one goes", "two comes"]


def test_a_guest_that_failed_is_not_waited_for_again(bench: Bench) -> None:
    diary: list[str] = []

    def fail() -> Visitor:
        diary.append("one fails")
        raise RuntimeError("It takes minutes.")

    with pytest.raises(RuntimeError, match="It takes minutes"):
        bench.host("one", fail)
    with pytest.raises(RuntimeError, match="one has failed before"):
        bench.host("one", fail)
    bench.host("two", partial(Visitor, "two", diary))
    bench.give_up()
    with pytest.raises(RuntimeError, match="two has failed before"):
        bench.host("two", partial(Visitor, "two", diary))
    assert diary == ["one fails", "two comes", "two goes"]


def test_all_parts_share_the_time_of_a_call(
    tmp_path: Path, bench: Bench, diary: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "CALL_SECONDS", -1.0)
    assert gpu.run_parts(["a", "b"], bench, Ledger(tmp_path, "tiny", HERE)) == 6
    assert diary == []


def test_the_first_rows_are_those_that_the_bars_are_of(tmp_path: Path) -> None:
    bench = Bench("cpu", TRUE, tmp_path)
    first = [
        f"{name}: {task.label}"
        for name in gpu.PARTS
        for task in gpu.PARTS[name].tasks(bench)
        if task.telling
    ]
    assert first[:3] == ["nano: 2, 1 streams", "nano: 2, 8 streams", "nano: 2, 64 streams"]
    assert first[6:8] == ["http: 2, 1 streams, burst, pcm", "http: 2, 64 streams, burst, pcm"]
    assert "engine: 2, 256 listeners, burst" in first


def test_the_package_is_left_out_where_it_is_not(
    tmp_path: Path,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(upstream, "NEEDED", ("torch", "no_such_package"))
    assert gpu.run_parts(["upstream"], bench, Ledger(tmp_path, "tiny", HERE)) == 0
    assert capsys.readouterr().out == "upstream is left out for want of no_such_package.\n"


def test_the_list_of_wheels_holds_what_the_parts_look_for() -> None:
    """Beside torch, transformers and what these bring."""
    brought = {"torch", "transformers", "tqdm", "huggingface_hub", "click"}
    lines = Path(upstream.__file__).with_name("wheels.txt").read_text().splitlines()
    carried = {line.partition("==")[0].replace("-", "_") for line in lines} | {"nanovllm_voxcpm"}
    assert {*served.NEEDED, *nano.NEEDED, *upstream.NEEDED} - brought <= carried
    assert "nano-vllm-voxcpm==2.0.5" in lines

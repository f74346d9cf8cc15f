"""How the operators in C++ are compiled and kept, and what runs where they cannot be."""

from __future__ import annotations

import logging
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.runtime.cpp import cpp_ops
from tests.support.runtime.utterances import settings_of
from tests.support.stock import load_plugin
from voxcpm_openai.runtime.device import cpu_dtype
from voxcpm_openai.runtime.device.cpu_operators import choose_ops, isa
from voxcpm_openai.runtime.model.cpu import build
from voxcpm_openai.runtime.model.cpu.cpu_ops import CpuOps
from voxcpm_openai.runtime.model.ops import TorchOps

MakeCompiler = Callable[[str], Path]


@pytest.fixture(autouse=True, scope="module")
def _needs_a_compiler(tmp_path_factory: pytest.TempPathFactory) -> None:
    cpp_ops(tmp_path_factory)


@pytest.fixture(name="fake")
def _fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeCompiler:
    """Make a script the compiler."""

    def make(script: str) -> Path:
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        return path

    return make


@pytest.fixture(name="counted")
def _counted(tmp_path: Path, fake: MakeCompiler) -> Callable[[], int]:
    """Count how often the real compiler runs; without optimization, to be quick."""
    real, log = build.compiler(), tmp_path / "runs"
    fake(f'echo run >> {log}\nexec {real} "$@" -O0')
    return lambda: len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def works(folder: Path) -> bool:
    ops = CpuOps(build.load(folder, isa()))
    x = torch.ones(2, 3, 8)
    return torch.allclose(ops.norm(x, x[0, 0], 1e-5), x, atol=1e-4)


def test_the_library_is_compiled_once_and_needs_no_compiler_then(
    tmp_path: Path, counted: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "operators"
    assert build.missing(folder) is None
    assert works(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("CXX", "/nowhere")
    assert works(folder)
    assert build.missing(folder) is None
    assert counted() == 1


def _load(folder: Path) -> None:
    assert works(folder)


def test_two_processes_compile_once(tmp_path: Path, counted: Callable[[], int]) -> None:
    folder, context = tmp_path / "operators", multiprocessing.get_context("spawn")
    processes = [context.Process(target=_load, args=(folder,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert counted() == 1


def short(content: bytes) -> bytes:
    return content[:5000]


def empty(_: bytes) -> bytes:
    return b""


def changed(content: bytes) -> bytes:
    return content[:5000] + b"x" + content[5001:]


@pytest.mark.parametrize("breaks", [short, empty, changed])
def test_a_broken_file_is_compiled_again(
    tmp_path: Path, counted: Callable[[], int], breaks: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "operators"
    assert works(folder)
    (path,) = folder.glob("*.so")
    content = path.read_bytes()
    path.unlink()  # it is in use
    path.write_bytes(breaks(content))
    assert works(folder)
    assert counted() == 2


def test_other_flags_are_another_library(tmp_path: Path, counted: Callable[[], int]) -> None:
    folder = tmp_path / "operators"
    build.load(folder, isa())
    build.load(folder, isa(), flags=("-DOTHER",))
    assert counted() == 2
    assert len(list(folder.glob("*.so"))) == 2


def test_a_folder_that_cannot_be_used_holds_nothing_and_the_operators_run(
    tmp_path: Path, counted: Callable[[], int]
) -> None:
    (tmp_path / "file").touch()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)  # others could put a library there
    for number, folder in enumerate([tmp_path / "file" / "operators", shared], start=1):
        assert works(folder)
        assert counted() == number
    assert not list(shared.iterdir())


def test_a_folder_of_somebody_else_holds_nothing(
    tmp_path: Path, counted: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if (tmp_path / "theirs").stat().st_uid != 0:
        assert works(tmp_path / "theirs")
        assert not list((tmp_path / "theirs").iterdir())
        assert counted() == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'no such header' >&2; exit 1", "no such header"),
        ("exit 1", "no message"),
        ("sleep 60", "timed out"),
        ('for last; do :; done; echo garbage > "$last"', "cannot be loaded"),
    ],
)
def test_a_compiler_that_fails_leaves_pytorchs_operators(
    tmp_path: Path, fake: MakeCompiler, monkeypatch: pytest.MonkeyPatch, script: str, reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(build, "SECONDS", 0.5)
    fake(script)
    with caplog.at_level(logging.INFO):
        ops = choose_ops("auto", tmp_path / "operators")
    assert isinstance(ops, TorchOps)
    assert len(caplog.messages) == 1
    assert reason in caplog.text
    assert "1.4 times" in caplog.text


def test_without_a_compiler_pytorchs_operators_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.INFO):
        assert isinstance(choose_ops("auto", tmp_path / "operators"), TorchOps)
    assert "no C++ compiler" in caplog.text
    assert "a C++ compiler" in str(build.missing(tmp_path / "operators"))


@pytest.mark.parametrize(
    ("platform", "machine", "kind"),
    [("linux", "aarch64", "DEFAULT"), ("linux", "x86_64", "DEFAULT"), ("darwin", "x86_64", "AVX2")],
)
def test_other_processors_run_pytorchs_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, kind: str
) -> None:
    monkeypatch.setattr(build.sys, "platform", platform)
    monkeypatch.setattr(build.platform, "machine", lambda: machine)
    with pytest.raises(build.NotBuilt, match="x86-64"):
        build.load(tmp_path, kind)


def test_torch_is_asked_for(tmp_path: Path, counted: Callable[[], int]) -> None:
    assert isinstance(choose_ops("torch", tmp_path), TorchOps)
    assert isinstance(choose_ops("auto", tmp_path / "operators"), CpuOps)
    assert counted() == 1


def test_no_second_openmp_runtime_is_loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its threads and PyTorch's would take turns."""
    cpp_ops(tmp_path_factory)
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    runtimes = {word for word in maps if "libgomp" in word or "libomp" in word}
    assert len(runtimes) == 1


def test_check_says_what_is_missing_and_what_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin: Any = load_plugin("voxcpm_engine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = settings_of("any")
    (threads,) = plugin.cpu_notes(settings)
    assert threads.startswith("threads on the CPU: 1")
    monkeypatch.setenv("CXX", "/nowhere")
    _, missing = plugin.cpu_notes(settings)
    assert "1.4 times faster with a C++ compiler" in missing
    operators = settings.cache_folder / plugin.OPERATORS
    operators.mkdir(parents=True)
    (operators / "kept.so").touch()
    assert list(plugin.cpu_notes(settings)) == [threads]
    monkeypatch.setattr(cpu_dtype, "measure", lambda: {"float32": 60.4, "bfloat16": 30.0})
    cpu_dtype.fastest(settings.cache_folder / plugin.DTYPES, 1)
    _, times = plugin.cpu_notes(settings)
    assert "float32 60 ms, bfloat16 30 ms; VOXCPM_DTYPE=auto is bfloat16" in times

"""Nothing that is loaded can run code: no pickle, no eval, no shell, weights as data only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import NAME, shown, sources

UNSAFE_MODULES = set(
    "pickle cPickle dill cloudpickle marshal shelve joblib yaml jsonpickle".split()
)
UNSAFE_CALLS = set("eval exec compile __import__".split())
UNSAFE_METHODS = {("os", "system"), ("os", "popen"), ("tempfile", "mktemp")}
REQUIRED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls, and the argument that makes each safe."""


def problems(source: str) -> Iterator[str]:
    """Yield what a source does that could run what it loads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            yield from call_problems(node)
            continue
        else:
            continue
        yield from (f"import {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES)


def call_problems(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {word.arg: word.value for word in node.keywords}
    if name in UNSAFE_CALLS or tuple(name.split(".")) in UNSAFE_METHODS:
        yield name
    if (shell := given.get("shell")) and ast.unparse(shell) != "False":
        yield f"{name}(shell=...)"
    if name in REQUIRED:
        argument, value = REQUIRED[name]
        if argument not in given or ast.unparse(given[argument]) != str(value):
            yield f"{name} without {argument}={value}"


@pytest.mark.parametrize("path", sources(NAME, "plugins", "examples"), ids=shown)
def test_a_source_loads_nothing_that_can_run_code(path: Path) -> None:
    assert list(problems(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
    ],
)
def test_the_check_finds_what_is_unsafe(source: str) -> None:
    assert list(problems(source))

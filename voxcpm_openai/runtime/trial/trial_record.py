"""What is known of the execution paths on this machine, kept in a file from start to start."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxcpm_openai import __version__
from voxcpm_openai.files import replaced
from voxcpm_openai.runtime.device.execution_path import SAFE, ExecutionPath, PathReport
from voxcpm_openai.runtime.errors import DeviceError

logger = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
"""How long a process may try a path; an older mark was left by one that has ended."""


class TrialRecord:
    """The verdicts on the paths, by all that they depend on: each ``key`` has its own file.

    ``key``: GPU, driver, PyTorch, Triton, our version, the model.  Workers share the file; what one
    of them writes at the same time as another may be lost, and is then found out again.
    """

    def __init__(self, folder: Path, key: Mapping[str, object]) -> None:
        self._key = dict(key)
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()[:16]
        self._file = folder / f"{digest}.json"

    @property
    def verdicts(self) -> dict[ExecutionPath, str | None]:
        """Why each path was refused by the trial in a process of its own, or None."""
        return _paths(self._read().get("verdicts", {}))

    @property
    def lost(self) -> dict[ExecutionPath, str]:
        """The paths on which a process was lost, with the reason."""
        content = self._read()
        tried = {
            name: "a process ended while it was tried"
            for name, mark in content.get("trying", {}).items()
            if _abandoned(mark)
        }
        found = _paths({**tried, **content.get("lost", {})})
        return {path: str(reason) for path, reason in found.items()}

    def keep(self, verdicts: Mapping[ExecutionPath, str | None]) -> None:
        """Remember the verdicts of the trial."""
        self._update("verdicts", {_name(path): reason for path, reason in verdicts.items()})

    def keep_choice(self, report: PathReport) -> None:
        """Remember what was chosen, for ``described``."""
        refused = [f"{path}: {reason}" for path, reason in report.refused.items()]
        self._update("chosen", {"path": str(report), "refused": refused})

    def lose(self, path: ExecutionPath, reason: str) -> None:
        """Refuse a path from the next start on, but the safe one: there is nothing instead."""
        if path != SAFE:
            self._update("lost", {_name(path): reason})

    @contextmanager
    def trying(self, path: ExecutionPath) -> Iterator[None]:
        """Try a path in this process.  If the process does not come to the end, it is refused."""
        if path == SAFE:
            yield
            return
        self._update("trying", {_name(path): [os.getpid(), time.time()]})
        try:
            yield
        except DeviceError as error:
            self.lose(path, f"the device was lost while it was tried: {error}")
            raise
        finally:
            self._update("trying", {_name(path): None})

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) and content.get("key") == self._key else {}

    def _update(self, part: str, values: Mapping[str, object]) -> None:
        """Change values of a part of the file; None removes one, but for verdicts."""
        parts = ("verdicts", "lost", "trying", "chosen")
        content = {**{name: {} for name in parts}, **self._read(), "key": self._key}
        content[part] = {**content[part], **values}
        content["trying"] = {name: mark for name, mark in content["trying"].items() if mark}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replaced(self._file) as draft:
                draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
        except OSError as error:  # without the file, each start tries anew
            logger.warning("the verdict on execution paths is not kept: %s", error)


def described(folder: Path, config: Mapping[str, object]) -> Iterator[str]:
    """Yield what was chosen for a model on each kind of GPU, with the reasons; one line each.

    ``config``: the content of its ``config.json``.
    """
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            key, chosen = content["key"], content["chosen"]
            if key["config"] != config or key["voxcpm_openai"] != __version__ or not chosen:
                continue
            yield f"{key['gpu']}, {key['dtype']}, PyTorch {key['torch']}: {chosen['path']}"
            yield from (f"  not {reason}" for reason in chosen["refused"])
        except (OSError, ValueError, KeyError, TypeError):  # not ours
            continue


def _name(path: ExecutionPath) -> str:
    return f"{path.kernels}{'+graphs' if path.graphs else ''}"


def _paths(values: Mapping[str, Any]) -> dict[ExecutionPath, Any]:
    """Return values by the paths whose names they have in the file."""
    return {
        ExecutionPath(name.removesuffix("+graphs"), name.endswith("+graphs")): value
        for name, value in values.items()
    }


def _abandoned(mark: tuple[int, float]) -> bool:
    """Return whether the process that left a mark of its trial has ended."""
    pid, since = mark
    if pid == os.getpid() or time.time() > since + FRESH_SECONDS:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False

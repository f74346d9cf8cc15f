"""The rows that are done, kept on disk, so that a benchmark that is cut off can go on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.machine import Machine


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that is done: of which part, which one, measured where, at which size."""

    part: str
    label: str
    size: str
    machine: dict[str, str]
    row: dict[str, Any]


class Ledger:
    """The file ``rows.jsonl`` of a folder, a line for each entry.

    What another kind of device or another size has left there stays, and does not count as done.
    """

    def __init__(self, folder: Path, size: str, machine: Machine) -> None:
        """Make the folder, and read what is there; half a line at the end was cut off and goes."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "rows.jsonl"
        self._size = size
        self._machine = machine
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        self._entries = [Entry(**json.loads(line)) for line in whole.splitlines()]

    def rows(self, part: str) -> dict[str, dict[str, Any]]:
        """Return the rows of a part that were measured at this size on such a device, by label."""
        return {entry.label: entry.row for entry in self.entries() if entry.part == part}

    def entries(self) -> list[Entry]:
        """Return all entries of this size and such a device, in the order in which they came."""
        here = (self._size, self._machine.device)
        return [entry for entry in self._entries if (entry.size, entry.machine["device"]) == here]

    def add(self, part: str, label: str, row: dict[str, Any]) -> None:
        """Keep a row; it is on disk when this returns."""
        entry = Entry(part, label, self._size, asdict(self._machine), row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._entries.append(entry)

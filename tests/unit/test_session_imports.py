"""Which module of sessions may import which, read from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_import_rules import NAME, imports, modules_imported, shown, sources

# Module of sessions -> the others that it may import.  The cutter knows nothing of engines.
ALLOWED_SESSION_PARTS: dict[str, set[str]] = {
    "shape": set(),
    "blocks": set(),
    "markup": {"blocks"},
    "borders": {"markup", "shape"},
    "cutter": {"blocks", "borders", "markup", "shape"},
    "alignment": {"shape"},
    "timeline": {"alignment", "cutter"},
    "events": {"alignment", "cutter"},
    "passage_queue": {"cutter"},
    "session": {"alignment", "cutter", "events", "passage_queue", "timeline"},
    "__init__": {"alignment", "cutter", "events", "session"},
}


@pytest.mark.parametrize("path", sources(f"{NAME}/session"), ids=shown)
def test_a_module_of_sessions_imports_only_what_it_may(path: Path) -> None:
    prefix = f"{NAME}.session."
    inside = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if prefix in name}
    assert inside <= ALLOWED_SESSION_PARTS[path.stem]
    outside = {name.split(".")[1] for name in modules_imported(path) if "." in name} - {"session"}
    if path.stem not in ("session", "events", "passage_queue", "__init__"):
        assert outside <= {"text"}

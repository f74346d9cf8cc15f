"""Who may import whom: the walls of the house, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "voxcpm_openai"

# Third-party package -> the only places, relative to the root, that may import it.
HOMES = {
    "flask": ("voxcpm_openai/app.py", "voxcpm_openai/web/"),
    "flask_cors": ("voxcpm_openai/web/",),
    "werkzeug": ("voxcpm_openai/web/",),
    "marshmallow": ("voxcpm_openai/web/schemas.py", "voxcpm_openai/settings.py"),
    "torch": ("voxcpm_openai/runtime/", "plugins/voxcpm_engine.py", "plugins/upstream_engine.py"),
    "triton": ("voxcpm_openai/runtime/kernels/",),
    "av": (
        "plugins/av_encoders.py",
        "voxcpm_openai/audio.py",
        "voxcpm_openai/load.py",
        "voxcpm_openai/voices/decode.py",
    ),
    "faster_whisper": ("plugins/whisper_transcriber.py",),
    "hibari": ("plugins/hibari_engine.py",),
    "pluggy": ("voxcpm_openai/hookspecs.py", "voxcpm_openai/registry.py"),
    "gunicorn": ("voxcpm_openai/web/worker.py", "voxcpm_openai/cli/serve.py"),
    "click": ("voxcpm_openai/cli/",),
}

# Part of the package -> the parts that it may import.
LEAVES = {"errors", "settings", "contracts"}
CORE = LEAVES | {"audio", "hookspecs", "registry", "resolve", "running", "speech", "text", "turns"}
CORE |= {"voices"}
WALLS = {
    "errors": set(),
    "settings": {"errors"},
    "contracts": {"errors", "settings"},
    "audio": {"contracts"},
    "text": {"contracts"},
    "turns": {"errors"},
    "hookspecs": {"contracts", "settings"},
    "registry": LEAVES | {"hookspecs"},
    "voices": LEAVES | {"registry"},
    "running": LEAVES | {"registry"},
    "resolve": LEAVES | {"registry", "voices", "text"},
    "speech": LEAVES | {"audio", "resolve", "turns"},
    "load": {"errors"},
    "runtime": {"audio", "contracts", "errors"},
    "web": CORE | {"__init__"},
    "app": CORE | {"web"},
    "wsgi": {"app", "errors", "settings", "web"},
    "gunicorn_conf": {"errors", "registry", "settings"},
    "cli": CORE | {"__init__", "load", "runtime"},
    "__init__": {"audio", "contracts", "errors", "hookspecs", "settings", "turns"},
    "__main__": {"cli"},
}


def sources() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *(ROOT / "plugins").glob("*.py")]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", HOMES)
def test_each_package_is_imported_only_at_home(package: str) -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name.split(".")[0] == package for name in imports(path))
        and not str(path.relative_to(ROOT)).startswith(HOMES[package])
    ]
    assert strangers == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_each_part_imports_only_what_it_may(path: Path) -> None:
    part = part_of(path)
    inside = {name for name in imports(path) if name.split(".")[0] == "voxcpm_openai"}
    # `from voxcpm_openai import x`: x is a module of the package, or a name of its surface.
    modules = {p.stem for p in PACKAGE.iterdir()}
    used = {name.split(".")[1] if name.split(".")[1] in modules else "__init__" for name in inside}
    assert used - {part} <= WALLS[part]


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("*.py")), ids=str)
def test_plugins_use_the_public_surface_alone(path: Path) -> None:
    import voxcpm_openai

    inside = {name for name in imports(path) if name.split(".")[0] == "voxcpm_openai"}
    doors = {  # the runtime's own
        "voxcpm_engine": ("voxcpm_openai.runtime",),
        "upstream_engine": ("voxcpm_openai.runtime.upstream", "voxcpm_openai.runtime.weights"),
    }
    inside = {name for name in inside if not name.startswith(doors.get(path.stem, ()))}
    assert inside <= {f"voxcpm_openai.{name}" for name in voxcpm_openai.__all__}


def test_the_runtime_is_entered_by_the_two_voxcpm_engines_and_by_pull_alone() -> None:
    entrants = {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name.startswith("voxcpm_openai.runtime") for name in imports(path))
        and "runtime" not in path.parts
    }
    assert entrants == {
        "plugins/upstream_engine.py",
        "plugins/voxcpm_engine.py",
        "voxcpm_openai/cli/pull.py",
    }


def test_importing_the_package_starts_no_thread_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, threading, voxcpm_openai\n"
        "assert threading.active_count() == 1\n"
        "heavy = {'torch', 'flask', 'onnxruntime', 'hibari', 'gunicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_public_surface_is_what_all_says() -> None:
    import voxcpm_openai

    assert voxcpm_openai.__all__ == sorted(voxcpm_openai.__all__, key=_as_ruff_sorts)
    assert all(hasattr(voxcpm_openai, name) for name in voxcpm_openai.__all__)


def _as_ruff_sorts(name: str) -> tuple[bool, bool, str]:
    return (name[0].islower() or name[0] == "_", name[0] != "_", name)


def test_no_file_has_outgrown_its_noun() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 330
    }
    assert long == {}

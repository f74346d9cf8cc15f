"""Which module may import which, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxcpm_openai
from tests.support import ROOT
from tests.support.sources import NAME, PACKAGE, shown, sources

SCHEMAS = "web/fields.py web/queries.py web/schemas.py web/sockets/schemas.py setting".split()

# Third-party package -> the only places, relative to the root, that may import it.
ALLOWED_PLACES = {
    "flask": (f"{NAME}/app.py", f"{NAME}/web/", f"{NAME}/server/"),
    **dict.fromkeys(("flask_cors", "werkzeug"), (f"{NAME}/web/",)),
    "marshmallow": tuple(f"{NAME}/{place}" for place in SCHEMAS),
    "apispec": (f"{NAME}/web/openapi/document.py",),
    "websockets": (f"{NAME}/web/sockets/", f"{NAME}/server_check.py"),
    "torch": (
        f"{NAME}/runtime/device/",
        f"{NAME}/runtime/loading/",
        f"{NAME}/runtime/model/",
        f"{NAME}/runtime/trial/",
        f"{NAME}/testing/",
        "plugins/upstream_engine.py",
        "plugins/voxcpm_engine.py",
    ),
    "triton": (f"{NAME}/runtime/model/kernels/",),
    "av": ("plugins/av_encoders.py", f"{NAME}/audio.py", f"{NAME}/voices/intake/"),
    "faster_whisper": ("plugins/whisper_transcriber.py",),
    "hibari": ("plugins/embedded_engine.py", f"{NAME}/embedded/"),
    **dict.fromkeys(("misaki", "jieba", "pypinyin"), (f"{NAME}/embedded/mandarin.py",)),
    "piper_plus_g2p": (f"{NAME}/embedded/spanish.py",),
    "num2words": (f"{NAME}/spanish/numbers.py",),
    "pluggy": (f"{NAME}/hookspecs.py", f"{NAME}/plugin_loader.py", f"{NAME}/registry.py"),
    "normt2s": (f"{NAME}/english/",),
    "gunicorn": (f"{NAME}/server/", f"{NAME}/web/errors.py", f"{NAME}/cli/server.py"),
    **dict.fromkeys(("click", "rich"), (f"{NAME}/cli/",)),
    "sounddevice": (f"{NAME}/cli/player.py",),
    **dict.fromkeys(("limits", "redis"), (f"{NAME}/accounts/rates.py",)),
    "prometheus_client": (f"{NAME}/metrics/",),
}

# Part of the package -> the other parts that it may import.
LEAVES = set("clips contracts errors files formats playout principal".split())
LEAVES |= {"setting_sources", "setting_types", "settings"}
CORE = LEAVES | set(
    "accounts audio cache context gate lexicons lifecycle limits names registry resolve".split()
)
CORE |= {"logs", "metrics", "session", "speech", "speech_request", "text", "voices"}
ALLOWED_PARTS: dict[str, set[str]] = {
    **{
        part: set()
        for part in (
            "addresses cores english errors files load_client logs names playout server_check "
            "setting_types"
        ).split()
    },
    "setting_sources": {"setting_types"},
    "settings": {"addresses", "errors", "logs", "setting_sources", "setting_types"},
    **{part: {"errors"} for part in ("gate", "gpus", "principal")},
    "contracts": {"settings"},
    **{part: {"contracts"} for part in ("formats", "generator_stream")},
    "contract_checks": {"contracts", "setting_types", "text"},
    "listing": {"contracts", "voices"},
    "checked_stream": {"contract_checks", "contracts", "errors"},
    "clips": {"files"},
    "audio": {"clips", "contracts", "errors"},
    "chinese": {"english"},
    "spanish": {"english"},
    "text": {"contracts", "settings"},
    "plugin_loader": {"errors", "hookspecs", "settings"},
    "limits": {"cores", "errors", "gate"},
    "accounts": {"errors", "files", "limits", "principal", "settings"},
    "metrics": {"__init__", "cache", "errors", "lifecycle", "limits", "playout"},
    "hookspecs": {"contracts", "formats", "settings"},
    "registry": {"contract_checks", "contracts", "errors", "files", "formats", "hookspecs"}
    | {"plugin_loader", "setting_sources", "settings"},
    "voices": LEAVES | {"checked_stream", "names", "text"},
    "lexicons": LEAVES | {"text", "voices"},
    "engine_handle": {"contract_checks", "contracts"},
    "engine_start": {"contract_checks", "contracts", "errors", "gpus", "registry", "settings"},
    "lifecycle": LEAVES | {"contract_checks", "engine_handle", "engine_start", "registry"},
    "voice_preparation": {"contracts", "errors", "lifecycle", "voices"},
    "worker_plan": {"gpus", "registry", "settings"},
    "text_planner": LEAVES | {"lexicons", "registry", "text"},
    "speech_request": {"formats"},
    "resolve": LEAVES
    | {"lexicons", "names", "registry", "speech_request", "text", "text_planner", "voices"},
    "output_chain": set("audio contracts errors formats gate playout speech_request".split()),
    "speech": {"checked_stream", "contracts", "errors", "gate", "output_chain", "speech_request"},
    "session": LEAVES
    | {"accounts", "checked_stream", "limits", "output_chain", "resolve", "speech_request", "text"},
    "cache": {"clips", "contracts", "errors", "files", "settings", "speech_request", "__init__"},
    "context": LEAVES
    | {"voice_preparation"}
    | set("accounts cache text lexicons lifecycle limits metrics registry resolve voices".split()),
    "load_test": {"audio", "errors", "load_client", "playout"},
    "embedded": {"audio", "contracts", "english", "errors", "gate", "playout"},
    "runtime": {"__init__", "audio", "contracts", "cores", "errors", "files", "gpus", "playout"}
    | {"setting_types", "settings"},
    "web": CORE | {"__init__", "listing", "output_chain"},
    "app": {"context", "settings", "web"},
    "server": {"context", "cores", "errors", "lifecycle", "settings", "web"},
    "wsgi": {"addresses", "app", "context", "errors", "gpus", "serving", "settings", "web"},
    "start_checks": set("accounts addresses errors lexicons registry settings worker_plan".split()),
    "serving": {"addresses", "settings"},
    "master": set("addresses errors metrics server serving settings start_checks".split())
    | {"worker_plan"},
    "gunicorn_conf": {"errors", "gpus", "logs", "master", "server", "serving", "settings"},
    "cli": CORE | {"__init__", "listing", "load_test", "runtime", "server_check", "start_checks"},
    "__init__": LEAVES | {"audio", "cores", "gate", "generator_stream", "hookspecs"},
    "__main__": {"cli"},
    "testing": {
        "__init__",
        "contract_checks",
        "contracts",
        "errors",
        "playout",
        "runtime",
        "settings",
        "lifecycle",
    },
}

# Part of the runtime -> the other parts of it that it may import.
ALLOWED_RUNTIME_PARTS = {
    "dtype_times": set(),
    "errors": set(),
    "gpu": set(),
    "settings": set(),
    "threads": set(),
    "engine": {"errors"},
    "loading": {"errors"},
    "model": {"errors", "loading"},
    "device": {"dtype_times", "engine", "errors", "gpu", "loading", "model", "threads"},
    "trial": {"device", "errors", "gpu", "loading", "model"},
}

RUNTIME_USERS = {
    "plugins/upstream_engine.py",
    "plugins/voxcpm_engine.py",
    f"{NAME}/cli/memory.py",
    f"{NAME}/cli/models.py",
}

# Plugin -> the part of the package that it makes available.
OWN_PARTS = {
    "plugins/embedded_engine.py": f"{NAME}.embedded",
    "plugins/kokoro_voices.py": f"{NAME}.embedded",
    "plugins/chinese_normalizer.py": f"{NAME}.chinese",
    "plugins/english_normalizer.py": f"{NAME}.english",
    "plugins/spanish_normalizer.py": f"{NAME}.spanish",
}


def imports(path: Path) -> set[str]:
    """Return the full names that a file imports anywhere, for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in sources(NAME)}


def modules_imported(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports."""
    for name in imports(path):
        if name in MODULES:
            yield name
        elif (parent := name.rpartition(".")[0]) in MODULES:
            yield parent


def parts_imported(path: Path) -> set[str]:
    parts = {name.split(".")[1] if "." in name else "__init__" for name in modules_imported(path)}
    return parts - {path.relative_to(PACKAGE).parts[0].removesuffix(".py")}


@pytest.mark.parametrize("package", ALLOWED_PLACES)
def test_a_third_party_package_is_imported_only_where_it_belongs(package: str) -> None:
    others = [
        shown(path)
        for path in sources(NAME, "plugins")
        if any(name.split(".")[0] == package for name in imports(path))
        and not shown(path).startswith(ALLOWED_PLACES[package])
    ]
    assert others == []


@pytest.mark.parametrize("path", sources(NAME), ids=shown)
def test_a_part_imports_only_what_it_may(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert parts_imported(path) <= ALLOWED_PARTS[part]


@pytest.mark.parametrize("path", sources(f"{NAME}/runtime"), ids=shown)
def test_a_part_of_the_runtime_imports_only_what_it_may(path: Path) -> None:
    part = path.relative_to(PACKAGE / "runtime").parts[0].removesuffix(".py")
    if part == "__init__":
        return
    prefix = f"{NAME}.runtime."
    inside = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if prefix in name}
    assert inside - {part} <= ALLOWED_RUNTIME_PARTS[part]


def test_no_modules_import_each_other_in_a_cycle_not_even_for_types() -> None:
    graph = {
        name: {other for other in modules_imported(path) if other != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, stack: tuple[str, ...]) -> None:
        if name in stack:
            raise AssertionError(" -> ".join([*stack[stack.index(name) :], name]))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*stack, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("path", sources("plugins", "examples"), ids=shown)
def test_plugins_use_only_the_public_api(path: Path) -> None:
    inside = {name for name in imports(path) if name.split(".")[0] == NAME}
    if shown(path) in RUNTIME_USERS:
        inside = {name for name in inside if not name.startswith(f"{NAME}.runtime")}
    if own := OWN_PARTS.get(shown(path)):
        inside = {name for name in inside if not name.startswith(own)}
    assert inside <= {f"{NAME}.{name}" for name in voxcpm_openai.__all__}


def test_only_the_voxcpm_engines_and_their_commands_use_the_runtime() -> None:
    users = {
        shown(path)
        for path in sources(NAME, "plugins")
        if any(name.startswith(f"{NAME}.runtime") for name in imports(path))
        and not shown(path).startswith((f"{NAME}/runtime/", f"{NAME}/testing/"))
    }
    assert users == RUNTIME_USERS


@pytest.mark.parametrize(("folder", "other"), [("tests", "benchmarks"), ("benchmarks", "tests")])
def test_tests_and_benchmarks_do_not_import_each_other(folder: str, other: str) -> None:
    importers = [
        shown(path)
        for path in sources(folder)
        if any(name.split(".")[0] == other for name in imports(path))
    ]
    assert importers == []


def test_the_server_imports_nothing_of_the_test_kit() -> None:
    importers = [
        shown(path)
        for path in sources(NAME, "plugins")
        if any(name.startswith(f"{NAME}.testing") for name in imports(path))
        and not shown(path).startswith(f"{NAME}/testing/")
    ]
    assert importers == []


@pytest.mark.parametrize("language", ["chinese", "spanish"])
def test_other_languages_use_of_english_only_what_a_rule_is(language: str) -> None:
    used = {name for path in sources(f"{NAME}/{language}") for name in modules_imported(path)}
    assert {name for name in used if ".english" in name} == {f"{NAME}.english.rule"}


def test_words_in_chinese_need_no_package() -> None:
    packages = ("misaki", "jieba", "pypinyin", "cn2an", "normt2s")
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in packages)
    script = f"import sys\n{blocked}from {NAME}.chinese.words import to_words\nto_words('3')\n"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_importing_the_package_starts_no_thread_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, threading, voxcpm_openai\n"
        "assert threading.active_count() == 1\n"
        "heavy = {'torch', 'flask', 'onnxruntime', 'hibari', 'gunicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_torch_free_part_of_the_runtime_is_imported_without_torch() -> None:
    with_torch = set("checkpoint inspection packed_int8 pickled quantized random_weights".split())
    with_torch |= {"shapes", "tokenizer", "upstream"}
    names = [
        name
        for name in MODULES
        if name.startswith(f"{NAME}.runtime")
        and not name.startswith(tuple(f"{NAME}.runtime.{p}." for p in ("device", "model", "trial")))
        and name.removeprefix(f"{NAME}.runtime.loading.") not in with_torch
    ]
    names += [f"{NAME}.runtime.trial.trial_record", f"{NAME}.runtime.trial.trial_run"]
    assert f"{NAME}.runtime.engine.scheduler" in names
    script = "import sys\nsys.modules['torch'] = None\n" + "\n".join(f"import {n}" for n in names)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_public_api_is_what_all_lists() -> None:
    names = voxcpm_openai.__all__
    assert names == sorted(names, key=_as_ruff_sorts)
    assert all(hasattr(voxcpm_openai, name) for name in names)


def _as_ruff_sorts(name: str) -> tuple[bool, bool, str]:
    return (name[0].islower() or name[0] == "_", name[0] != "_", name)

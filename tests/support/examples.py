"""The examples, as the tests import them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.support import EXAMPLES


def load_example(name: str) -> ModuleType:
    """Import ``examples/<name>.py`` by path."""
    module_name = f"example_{name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(module_name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module

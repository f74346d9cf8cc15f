"""Triton's kernels without a GPU: its interpreter runs them with NumPy, program by program.

Triton looks at ``TRITON_INTERPRET`` when it is imported, so that this module comes before it; the
whole process then interprets.  Kernels are compiled in a process of their own, see ``compiled.py``.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

from triton.runtime import interpreter

_patch = interpreter._patch_lang_tensor


def _patch_tensors(tensor: Any, scope: Any) -> None:
    """Triton 3.6 has scalars as arrays of one number, which NumPy 2.4 no longer takes as bounds."""
    _patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())


interpreter._patch_lang_tensor = _patch_tensors

"""What a processor must be able to do for a test."""

from __future__ import annotations

import pytest

from voxcpm_openai.runtime.model import linear

needs_int8 = pytest.mark.skipif(
    not linear.multiplies_int8(), reason="this CPU has no exact 8-bit products"
)

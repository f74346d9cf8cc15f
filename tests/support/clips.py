"""Rejected recordings."""

from __future__ import annotations

import pytest

from voxcpm_openai.errors import InvalidRequest
from voxcpm_openai.voices.intake.clip import clean


def rejection(content: bytes) -> str:
    """Return the message with which a file is rejected."""
    with pytest.raises(InvalidRequest) as caught:
        clean(content, param="recording")
    assert (caught.value.status, caught.value.param) == (400, "recording")
    return caught.value.message

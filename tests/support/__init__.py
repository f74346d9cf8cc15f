"""Helpers and fixtures of the tests."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TONE_PLUGINS = ROOT / "voxcpm_openai" / "testing" / "plugins"

"""OpenAI's model ids, with the inference steps of the earlier server."""

from __future__ import annotations

from voxcpm_openai import Preset, hookimpl


@hookimpl
def register_presets() -> list[Preset]:
    """Return OpenAI's ids; they are equal on engines without inference steps."""
    balanced = {"inference_steps": 7}
    return [
        Preset("tts-1", options={"inference_steps": 5}, sse=False),
        Preset("tts-1-hd", options={"inference_steps": 10}, sse=False),
        Preset("gpt-4o-mini-tts", options=balanced),
        Preset("gpt-4o-mini-tts-2025-12-15", options=balanced),
    ]

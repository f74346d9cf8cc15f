"""OpenAI's model ids, with the inference steps of the earlier server."""

from __future__ import annotations

from voxcpm_openai import Preset, hookimpl


@hookimpl
def register_presets() -> list[Preset]:
    """Return OpenAI's ids; they are equal on engines without inference steps."""
    fast, good, balanced = ({"inference_steps": steps} for steps in (5, 10, 7))
    return [
        Preset("tts-1", options=fast, sse=False),
        Preset("tts-1-1106", options=fast, sse=False),
        Preset("tts-1-hd", options=good, sse=False),
        Preset("tts-1-hd-1106", options=good, sse=False),
        Preset("gpt-4o-mini-tts", options=balanced),
        Preset("gpt-4o-mini-tts-2025-12-15", options=balanced),
        # What OpenAI names as the successor, in programs that only change the model.
        Preset("gpt-realtime-2.1-mini", options=balanced),
        Preset("gpt-realtime", options=balanced),
    ]

"""A voice, as an installable package."""

from voxcpm_openai import Voice, hookimpl


@hookimpl
def register_voices() -> list[Voice]:
    """Return Robin, a fast and high voice."""
    settings = {"pitch": 1.4, "formant": 0.95, "pace": 1.05}
    return [Voice(id="robin", name="Robin", language="en", options={"hibari": settings})]

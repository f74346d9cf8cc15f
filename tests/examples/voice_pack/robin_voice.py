"""A voice in a package of its own."""

from voxcpm_openai import Voice, hookimpl


@hookimpl
def register_voices() -> list[Voice]:
    """Give Robin, who is quick and high."""
    settings = {"pitch": 1.4, "formant": 0.95, "pace": 1.05}
    return [Voice(id="robin", name="Robin", language="en", options={"hibari": settings})]

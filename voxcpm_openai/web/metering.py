"""The meter of a speech that the current request asks for."""

from __future__ import annotations

from collections.abc import Callable

from flask import g

from voxcpm_openai.contracts import Voice
from voxcpm_openai.metrics.speech_meter import SpeechMeter
from voxcpm_openai.speech_request import SpeechRequest
from voxcpm_openai.voices.library import kind
from voxcpm_openai.web.access_log import log_context
from voxcpm_openai.web.app_context import current_context


def open_meter(asked: SpeechRequest) -> SpeechMeter:
    """Return the meter of the only speech of the current request; the log line gets its facts."""
    log_context(model=asked.model, format=asked.response_format)
    if current_context().settings.log_text:
        log_context(text=asked.input)
    return _meter(asked, g.log_context.update)


def open_item_meter(asked: SpeechRequest) -> SpeechMeter:
    """Return the meter of one of several speeches."""
    return _meter(asked, lambda _facts: None)


def resolved(meter: SpeechMeter, asked: SpeechRequest, voice: Voice) -> None:
    """Tell a meter what a request has been resolved to."""
    meter.resolved(current_context().resolver.preset(asked.model).id, kind(voice))


def _meter(asked: SpeechRequest, on_end: Callable[[dict[str, object]], None]) -> SpeechMeter:
    return SpeechMeter(
        current_context().metrics,
        asked.model,
        asked.response_format,
        characters=len(asked.input),
        begun=g.begun,
        on_end=on_end,
    )

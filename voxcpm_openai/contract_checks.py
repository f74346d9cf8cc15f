"""Checks of what plugins return: engine specs, engines, capabilities, statuses and chunks.

Each function lists what is wrong, for an error message of its caller; none of them raises.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Collection, Mapping
from numbers import Real

import numpy as np

from voxcpm_openai.contracts import (
    Capabilities,
    Chunk,
    Engine,
    EngineSpec,
    EngineStatus,
    TranscriberSpec,
    Usage,
    Voice,
)
from voxcpm_openai.setting_types import TABLE
from voxcpm_openai.text.lexicon import LexiconError
from voxcpm_openai.text.lexicon_files import rules_of_table

logger = logging.getLogger(__name__)

SERVER_FIELDS = frozenset(
    "model input voice response_format speed stream_format sample_rate lexicon normalize lead_ms "
    "tail_ms".split()
)
"""The request fields that the server acts on itself."""
RATES = range(8_000, 192_001)
"""Sample rates that an engine may have, in Hz."""
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
PARAM = re.compile(r"[a-z][a-z0-9_]*")
FLAGS = (
    "cloning",
    "needs_transcript",
    "voice_design",
    "spoken_text",
    "phonemes",
    "default_speaker",
    "continues",
)


def item_problems(item: object) -> list[str]:
    """List what is wrong with what a hook returned, beyond its class and its name."""
    if isinstance(item, EngineSpec | TranscriberSpec):
        return spec_problems(item)
    if isinstance(item, Voice):
        try:
            rules_of_table(item.lexicon)
        except LexiconError as error:
            return [f"lexicon: {error}"]
    return []


def spec_problems(spec: EngineSpec | TranscriberSpec) -> list[str]:
    """List what is wrong with what ``register_engines`` or ``register_transcribers`` returned."""
    found = [
        f"{name} = {getattr(spec, name)!r}: must be callable"
        for name in ("start", "unavailable_reason", "device", "free")
        if not callable(getattr(spec, name, min))  # a TranscriberSpec has two of them
    ]
    kind = spec.settings
    if kind is not None and not (isinstance(kind, type) and hasattr(kind, TABLE)):
        found.append(f"settings = {kind!r}: must be a class made by plugin_settings")
    if isinstance(spec, EngineSpec):
        if not _is_whole(spec.priority):
            found.append(f"priority = {spec.priority!r}: must be a whole number")
        if not isinstance(spec.install_hint, str):
            found.append(f"install_hint = {spec.install_hint!r}: must be a string")
        if not isinstance(spec.more_languages, Mapping):
            found.append(f"more_languages = {spec.more_languages!r}: must be a mapping")
        if spec.capabilities is not None and not isinstance(spec.capabilities, Capabilities):
            found.append(f"capabilities = {spec.capabilities!r}: must be a Capabilities")
    return found


def engine_problems(engine: object) -> list[str]:
    """List what is wrong with what ``EngineSpec.start`` returned."""
    if not isinstance(engine, Engine):
        return [f"start returned {engine!r}, which is not an Engine"]
    try:
        capabilities = getattr(engine, "capabilities", None)
        if not isinstance(capabilities, Capabilities):
            return [f"{type(engine).__name__}.capabilities is not a Capabilities"]
        return capability_problems(capabilities) + status_problems(engine.status())
    except (Exception, SystemExit) as error:  # a plugin may fail in any way
        logger.exception("capabilities or status() failed")
        return [f"capabilities or status() failed: {type(error).__name__}: {error}"]


def capability_problems(capabilities: Capabilities) -> list[str]:
    """List the wrong values of an engine's capabilities."""
    found = []
    if not _is_whole(capabilities.sample_rate) or capabilities.sample_rate not in RATES:
        found.append(
            f"sample_rate = {capabilities.sample_rate!r}: must be a whole number from {RATES[0]} "
            f"to {RATES[-1]}, in Hz"
        )
    for name, pattern in (("languages", LANGUAGE), ("params", PARAM)):
        value = getattr(capabilities, name)
        if isinstance(value, str) or not isinstance(value, Collection):
            found.append(f"{name} = {value!r}: must be a tuple or a set of strings")
            continue
        for item in value:
            if not isinstance(item, str) or not pattern.fullmatch(item):
                example = "a code such as 'en'" if name == "languages" else "a field's name"
                found.append(f"{name}: {item!r} is not {example}")
            elif name == "params" and item in SERVER_FIELDS:
                found.append(f"params: {item!r} is a request field that belongs to the server")
    found += [
        f"{name} = {value!r}: must be True or False"
        for name in FLAGS
        if not isinstance(value := getattr(capabilities, name), bool)
    ]
    return found + _speed_problems(capabilities.native_speed)


def status_problems(status: object) -> list[str]:
    """List what is wrong with what ``Engine.status`` returned."""
    if not isinstance(status, EngineStatus):
        return [f"status() returned {status!r}, which is not an EngineStatus"]
    found = []
    if status.state not in ("ready", "failed", "stopped"):
        found.append(f"status().state = {status.state!r}: must be ready, failed or stopped")
    for name in ("streams", "running", "waiting", "completed", "failed", "cancelled"):
        value = getattr(status, name)
        if not _is_whole(value) or value < 0:
            found.append(f"status().{name} = {value!r}: must be a whole number, at least 0")
    if not isinstance(status.summary, str):
        found.append(f"status().summary = {status.summary!r}: must be a text")
    try:
        json.dumps(dict(status.details))
    except (TypeError, ValueError) as error:
        found.append(f"status().details are not JSON values: {error}")
    return found


def stream_problems(stream: object, *, continues: bool = False) -> list[str]:
    """List what is wrong with what ``synthesize`` returned; ``continues``: of such an engine."""
    names = ["__next__", "close", "usage", *(["continuation"] if continues else [])]
    if missing := [name for name in names if name not in dir(stream)]:
        return [
            f"synthesize returned {stream!r}, which is not "
            f"{'a ContinuingStream' if continues else 'an AudioStream'}: it has no "
            f"{', '.join(missing)} (a GeneratorStream makes one from a generator)"
        ]
    return []


def chunk_problems(chunk: object) -> list[str]:
    """List what is wrong with what a stream yielded."""
    if not isinstance(chunk, Chunk):
        return [f"its stream yielded {chunk!r}, which is not a Chunk"]
    samples = chunk.samples
    if not isinstance(samples, np.ndarray) or samples.ndim != 1:
        shape = getattr(samples, "shape", type(samples).__name__)
        return [f"its stream yielded samples of shape {shape}, which must be an array (n,)"]
    if samples.dtype != np.float32:
        return [f"its stream yielded samples of {samples.dtype}, which must be float32"]
    if not _is_whole(chunk.segment):
        return [f"its stream yielded the segment {chunk.segment!r}, which must be a whole number"]
    return []


def usage_problems(usage: object) -> list[str]:
    """List what is wrong with the usage of a stream."""
    if not isinstance(usage, Usage):
        return [f"usage is {usage!r}, which is not a Usage"]
    return [
        f"usage.{name} = {value!r}: must be a whole number above 0"
        for name, value in dataclasses.asdict(usage).items()
        if not _is_whole(value) or value <= 0
    ]


def _speed_problems(speeds: object) -> list[str]:
    if (
        not isinstance(speeds, tuple)
        or len(speeds) != 2
        or not all(isinstance(speed, Real) for speed in speeds)
        or not 0 < speeds[0] <= speeds[1]
    ):
        return [f"native_speed = {speeds!r}: must be (slowest, fastest), two numbers above 0"]
    if not speeds[0] <= 1.0 <= speeds[1]:
        return [f"native_speed = {speeds!r}: must contain 1.0"]
    return []


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

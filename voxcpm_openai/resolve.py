"""Decides all names and numbers of a request at once: what the engine speaks, what goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxcpm_openai import text
from voxcpm_openai.contracts import AudioFormat, Engine, Preset, Utterance, Voice
from voxcpm_openai.errors import InvalidRequest, UnknownModel, UnknownVoice
from voxcpm_openai.registry import Registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.voices.catalog import Catalog, require_speech

ENGINE_FIELDS = ("seed", "instructions", "language", "cfg_value", "inference_steps")
"""The request fields that an engine may honour or not (``Engine.honours``)."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A speech request, each field checked by itself; None where the client said nothing.

    ``unknown`` names the fields that are no part of the contract.
    """

    model: str
    input: str
    voice: str | None = None
    response_format: str = "mp3"
    speed: float = 1.0
    instructions: str | None = None
    stream_format: str = "audio"
    seed: int | None = None
    sample_rate: int | None = None
    cfg_value: float | None = None
    inference_steps: int | None = None
    language: str | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the engine's sound goes out.

    ``tempo`` is the part of the speed that the engine does not make by itself; ``rate`` in Hz;
    ``ignored`` names the request's fields that changed nothing.
    """

    format: AudioFormat
    rate: int
    tempo: float = 1.0
    sse: bool = False
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolver:
    """Turns requests into utterances and plans, for one running engine.

    ``engine_name`` is the name that voices' options and presets know the engine by.
    """

    registry: Registry
    catalog: Catalog
    settings: Settings
    engine_name: str

    def resolve(
        self, request: SpeechRequest, engine: Engine, viewer: str | None
    ) -> tuple[Utterance, Plan]:
        """Decide everything.  Raises RequestError for all that can be refused.

        ``viewer`` is who asks, as ``voices.owners`` has it: None is the operator.
        """
        preset = self.preset(request.model)
        voice = self.voice(request.voice, engine, viewer)
        format_ = self._format(request.response_format)
        segments = text.split(self._input(request.input, engine))
        rate = format_.rate(engine.sample_rate, request.sample_rate)
        slowest, fastest = engine.native_speed
        speed = min(max(request.speed, slowest), fastest)
        utterance = Utterance(
            segments=segments,
            voice=voice,
            options=_options(preset, request, engine),
            speed=speed,
            seed=request.seed if "seed" in engine.honours else None,
            instructions=request.instructions if "instructions" in engine.honours else None,
        )
        plan = Plan(
            format=format_,
            rate=rate,
            tempo=request.speed / speed,
            sse=request.stream_format == "sse" and preset.sse,
            ignored=self._ignored(request, preset, engine, rate),
        )
        return utterance, plan

    def preset(self, id_: str) -> Preset:
        """Return the preset of a model id.  Raises UnknownModel, which says how to get it."""
        preset = self.registry.presets.get(id_)
        if preset is None:
            served = ", ".join(p.id for p in self.registry.presets_for(self.engine_name))
            raise UnknownModel(f"The model '{id_}' does not exist. There are: {served}.")
        if preset.engine not in (None, self.engine_name):
            raise UnknownModel(
                f"The model '{id_}' needs the engine {preset.engine}, and {self.engine_name} is "
                f"running. Start the server with VOXCPM_ENGINE={preset.engine} to use it."
            )
        return preset

    def voice(self, id_: str | None, engine: Engine, viewer: str | None) -> Voice:
        """Return the voice that a request asks for, and that the engine can use."""
        try:
            voice = self.catalog.get(id_ or self.settings.default_voice, viewer)
        except UnknownVoice as error:  # in a speech request a wrong voice is a wrong field
            raise InvalidRequest(error.message, param="voice") from error
        require_speech(voice, self.engine_name, engine.clones)
        return voice

    def _format(self, name: str) -> AudioFormat:
        format_ = self.registry.formats.get(name)
        if format_ is None:
            raise InvalidRequest(
                f"'{name}' is not a response_format. There are: "
                f"{', '.join(self.registry.formats)}.",
                param="response_format",
            )
        return format_

    def _input(self, raw: str, engine: Engine) -> str:
        """Check the length, clean the text, and refuse what the engine cannot say."""
        trimmed = raw.strip()
        limit = self.settings.max_input_chars
        if not 1 <= len(trimmed) <= limit:
            raise InvalidRequest(
                f"'input' must have 1 to {limit} characters, and has {len(trimmed)}. "
                "(The operator sets the limit: VOXCPM_MAX_INPUT_CHARS.)",
                param="input",
            )
        cleaned = text.clean(trimmed)
        if not text.speakable(cleaned):
            raise InvalidRequest(
                "'input' has nothing that can be spoken: no letter, digit or spoken sign is left "
                "once emoji and markup are taken away.",
                param="input",
            )
        if foreign := text.foreign_letters(cleaned, engine.languages):
            raise InvalidRequest(_foreign_message(foreign, self.engine_name, engine), param="input")
        return cleaned

    def _ignored(
        self, request: SpeechRequest, preset: Preset, engine: Engine, rate: int
    ) -> tuple[str, ...]:
        if request.unknown and self.settings.strict:
            raise InvalidRequest(
                f"'{request.unknown[0]}' is not a field of a speech request.",
                param=request.unknown[0],
            )
        ignored = [
            name
            for name in ENGINE_FIELDS
            if getattr(request, name) is not None and name not in engine.honours
        ]
        if request.sample_rate not in (None, rate):
            ignored.append("sample_rate")
        if request.stream_format == "sse" and not preset.sse:
            ignored.append("stream_format")
        return (*ignored, *request.unknown)


def _options(preset: Preset, request: SpeechRequest, engine: Engine) -> Mapping[str, object]:
    """Merge the preset's options and the request's, and keep what the engine honours."""
    asked = {
        name: getattr(request, name)
        for name in ("language", "cfg_value", "inference_steps")
        if getattr(request, name) is not None
    }
    merged = {**preset.options, **asked}
    return {name: value for name, value in merged.items() if name in engine.honours}


def _foreign_message(foreign: Mapping[str, str], name: str, engine: Engine) -> str:
    scripts = " and ".join(
        f"{script} ({', '.join(letters)})" for script, letters in foreign.items()
    )
    spoken = ", ".join(engine.languages)
    return (
        f"'input' has letters that the running engine cannot speak: {scripts}. {name} speaks "
        f"these languages alone: {spoken}. VoxCPM2 speaks more (VOXCPM_ENGINE=voxcpm, "
        "VOXCPM_MODEL=openbmb/VoxCPM2)."
    )

"""Resolves a request: every name and number is decided once, before any header is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxcpm_openai import names
from voxcpm_openai.contracts import (
    Capabilities,
    Engine,
    Preset,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import InvalidRequest, UnknownModel, UnknownVoice
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.lexicons import LexiconSources
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.registry import Registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.text.normalizers import Normalizers
from voxcpm_openai.text.plan import TextPlan
from voxcpm_openai.text_planner import TextPlanner, speaks
from voxcpm_openai.voices.library import VoiceLibrary, speaker_source

DEFAULT_MODEL = "gpt-4o-mini-tts"
UTTERANCE_PARAMS = ("seed", "instructions")
"""Those of ``PARAMS`` that are fields of ``Utterance``."""
OPTION_PARAMS = ("language", "cfg_value", "inference_steps")
"""Those of ``PARAMS`` that are options of the utterance."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Turns requests into utterances and output specs, for one engine.

    ``engine_name`` is the name by which presets and the options of voices know the engine.
    """

    registry: Registry
    voices: VoiceLibrary
    settings: Settings
    engine_name: str
    lexicons: LexiconSources
    normalizers: Normalizers

    def resolve(
        self, request: SpeechRequest, engine: Engine, principal: Principal = ANONYMOUS
    ) -> tuple[Utterance, OutputSpec]:
        """Decide everything.  All validation errors are raised here, as RequestError."""
        preset, voice, format_ = self._named(request, engine, principal)
        said = self.plan_text(request, voice, engine.capabilities, principal)
        return self._with_text(request, engine, preset, voice, format_, said)

    def resolve_session(
        self, request: SpeechRequest, engine: Engine, principal: Principal = ANONYMOUS
    ) -> tuple[Utterance, OutputSpec]:
        """Decide everything but the text, which comes later: the utterance has no segments.

        ``request.input`` is not read.  All other validation errors are raised here.
        """
        preset, voice, format_ = self._named(request, engine, principal)
        said = self.planner(request, voice, engine.capabilities, principal).plan_nothing()
        return self._with_text(request, engine, preset, voice, format_, said)

    def _named(
        self, request: SpeechRequest, engine: Engine, principal: Principal
    ) -> tuple[Preset, Voice, AudioFormat]:
        """Return what a request names.  Raises RequestError."""
        preset = self.preset(request.model)
        voice = self.voice(request.voice, engine.capabilities, principal)
        return preset, voice, self._format(request.response_format)

    def _with_text(
        self,
        request: SpeechRequest,
        engine: Engine,
        preset: Preset,
        voice: Voice,
        format_: AudioFormat,
        said: TextPlan,
    ) -> tuple[Utterance, OutputSpec]:
        can = engine.capabilities
        rate = format_.rate(can.sample_rate, request.sample_rate)
        slowest, fastest = can.native_speed
        speed = min(max(request.speed, slowest), fastest)
        tempo = request.speed / speed
        utterance = Utterance(
            segments=said.segments,
            voice=voice,
            options=_options(preset, request, can),
            speed=speed,
            seed=request.seed if "seed" in can.params else None,
            instructions=request.instructions if "instructions" in can.params else None,
            tempo=tempo * said.fastest,
            languages=said.languages,
        )
        rates = tuple(segment.rate for segment in said.written)
        output = OutputSpec(
            format=format_,
            rate=rate,
            tempo=tempo,
            rates=rates if set(rates) != {1.0} else (),
            lead=said.lead + _seconds(request.lead_ms, self.settings.lead_ms),
            tail=_seconds(request.tail_ms, self.settings.tail_ms),
            bit_rate=request.bit_rate,
            sse=request.stream_format == "sse" and preset.sse,
            written=tuple(segment.text for segment in said.written),
            ignored=self._ignored(request, preset, can, rate, said),
        )
        return utterance, output

    def plan_text(
        self,
        request: SpeechRequest,
        voice: Voice,
        can: Capabilities,
        principal: Principal = ANONYMOUS,
    ) -> TextPlan:
        """Decide what an engine of these capabilities is asked to say.  Raises InvalidRequest."""
        return self.planner(request, voice, can, principal).plan(request.input)

    def planner(
        self,
        request: SpeechRequest,
        voice: Voice,
        can: Capabilities,
        principal: Principal = ANONYMOUS,
    ) -> TextPlanner:
        """Return what plans texts as this request wants it; its own input is not read."""
        return TextPlanner(
            self.registry,
            self.settings,
            self.engine_name,
            self.lexicons,
            self.normalizers,
            voice,
            can,
            request.language,
            request.lexicon,
            request.normalize,
            principal,
        )

    def show(
        self, request: SpeechRequest, can: Capabilities, principal: Principal = ANONYMOUS
    ) -> tuple[TextPlan, tuple[str, ...]]:
        """Decide what would be said, and which fields would be ignored.

        The model may be empty.  Raises the errors of ``resolve``.
        """
        preset = self.preset(request.model) if request.model else None
        voice = self.voice(request.voice, can, principal)
        format_ = self._format(request.response_format)
        said = self.plan_text(request, voice, can, principal)
        rate = format_.rate(can.sample_rate, request.sample_rate)
        return said, self._ignored(request, preset, can, rate, said)

    def preset(self, id_: str) -> Preset:
        """Return the preset of a model id.  Raises UnknownModel, which says how to get it."""
        presets = self.registry.presets
        preset = names.find(presets, id_) or names.find(presets, names.without_provider(id_))
        if preset is None:
            served = ", ".join(p.id for p in self.registry.presets_for(self.engine_name))
            raise UnknownModel(f"The model '{id_}' does not exist. There are: {served}.")
        if preset.engine not in (None, self.engine_name):
            raise UnknownModel(
                f"The model '{id_}' needs the engine {preset.engine}, and {self.engine_name} is "
                f"running. Start the server with VOXCPM_ENGINE={preset.engine} to use it."
            )
        return preset

    @property
    def default_model(self) -> str:
        """The model of clients that name none, or one of another server."""
        served = [preset.id for preset in self.registry.presets_for(self.engine_name)]
        return DEFAULT_MODEL if DEFAULT_MODEL in served else served[0]

    def voice(self, id_: str | None, can: Capabilities, principal: Principal = ANONYMOUS) -> Voice:
        """Return the voice that a request names, which the engine can speak with.

        Raises InvalidRequest, or CannotClone.
        """
        try:
            voice = self.voices.find(id_ or self.settings.default_voice, principal)
        except UnknownVoice as error:  # in a speech request a wrong voice is a wrong field
            raise InvalidRequest(error.message, param="voice") from error
        hint = self.registry.other_engines(self.engine_name)
        speaker_source(voice, self.engine_name, can, hint=hint)
        return voice

    def _format(self, name: str) -> AudioFormat:
        format_ = names.find(self.registry.formats, name)
        if format_ is None:
            raise InvalidRequest(
                f"'{name}' is not a response_format. There are: "
                f"{', '.join(self.registry.formats)}.",
                param="response_format",
            )
        return format_

    def _ignored(
        self,
        request: SpeechRequest,
        preset: Preset | None,
        can: Capabilities,
        rate: int,
        said: TextPlan,
    ) -> tuple[str, ...]:
        """List the fields without effect.  Raises InvalidRequest in strict mode."""
        unknown = [name for name in request.extra if name not in can.params]
        if unknown and self.settings.strict:
            raise InvalidRequest(
                f"'{unknown[0]}' is not a field of a speech request.", param=unknown[0]
            )
        ignored = [
            name
            for name in (*UTTERANCE_PARAMS, *OPTION_PARAMS)
            if getattr(request, name) is not None and name not in can.params
        ]
        if said.words and speaks(can, request.language):
            ignored = [name for name in ignored if name != "language"]
        if request.normalize is not None and (
            can.spoken_text if not request.normalize else said.language not in self.normalizers
        ):
            ignored.append("normalize")
        if request.sample_rate not in (None, rate):
            ignored.append("sample_rate")
        if request.stream_format == "sse" and preset and not preset.sse:
            ignored.append("stream_format")
        return (*ignored, *unknown)


def _options(preset: Preset, request: SpeechRequest, can: Capabilities) -> Mapping[str, object]:
    """Merge the options of the preset and the request, and keep those that the engine knows."""
    requested = {
        name: value for name in OPTION_PARAMS if (value := getattr(request, name)) is not None
    }
    own = {name: value for name, value in request.extra.items() if value is not None}
    merged = {**preset.options, **own, **requested}
    return {name: value for name, value in merged.items() if name in can.params}


def _seconds(requested: int | None, default: int) -> float:
    """Return a silence in seconds; ``requested`` and ``default`` are milliseconds."""
    return (default if requested is None else requested) / 1000

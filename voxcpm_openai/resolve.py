"""Resolves a request: every name and number is decided once, before any header is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxcpm_openai import names, text
from voxcpm_openai.contracts import (
    AudioFormat,
    Capabilities,
    Engine,
    Preset,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import InvalidRequest, UnknownModel, UnknownVoice
from voxcpm_openai.lexicons import LexiconSources
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.registry import Registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.speech_request import OutputSpec, SpeechRequest
from voxcpm_openai.text.language import base_language
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.text.normalizers import Normalizers
from voxcpm_openai.text.plan import TextPlan, plan
from voxcpm_openai.voices.library import VoiceLibrary, speaker_source

DEFAULT_MODEL = "gpt-4o-mini-tts"
UTTERANCE_PARAMS = ("seed", "instructions")
"""Those of ``PARAMS`` that are fields of ``Utterance``."""
MAX_GROWTH = 10
"""How many times as long as the longest input a lexicon may make a text."""
_OTHER_SCRIPTS = frozenset("zh ja ko ru uk el ar he hi th fa ur".split())
"""Languages that are not written in Latin letters: with such a voice, these are English."""
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
        can = engine.capabilities
        preset = self.preset(request.model)
        voice = self.voice(request.voice, can, principal)
        format_ = self._format(request.response_format)
        said = self.plan_text(request, voice, can, principal)
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
        marks = Marks()
        rules = self.lexicons.lexicon(voice, request.lexicon, principal)
        cleaned = text.clean(self._checked_length(request.input), marks)
        cleaned = rules.apply(cleaned, marks, can.phonemes)
        self._check_growth(cleaned)
        cleaned = self._in_known_letters(cleaned, marks, can)
        self._check_language(request.language, can)
        asked = request.language if _speaks(can, request.language) else None
        only = can.languages[0] if len(can.languages) == 1 else None
        normalize = self.settings.normalize if request.normalize is None else request.normalize
        return plan(
            cleaned,
            marks,
            language=base_language(asked or only or _latin(voice, can)),
            fixed=bool(asked or only),
            normalizers=self.normalizers if can.spoken_text or normalize else None,
            phonemes=can.phonemes,
            mixed=can.spoken_text and "zh" in map(base_language, can.languages),
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

    def _checked_length(self, raw: str) -> str:
        """Return the text of a request.  Raises InvalidRequest if it is too long or empty."""
        trimmed = raw.strip()
        limit = self.settings.max_input_chars
        if not 1 <= len(trimmed) <= limit:
            raise InvalidRequest(
                f"'input' must have 1 to {limit} characters, and has {len(trimmed)}. "
                "(The operator sets the limit: VOXCPM_MAX_INPUT_CHARS.)",
                param="input",
            )
        return trimmed

    def _check_language(self, language: str | None, can: Capabilities) -> None:
        """Raise InvalidRequest for a language that the engine speaks once something is installed.

        Any other language that it does not speak is reported as ignored.
        """
        spec = self.registry.engines.get(self.engine_name)
        more = spec.more_languages if spec and not _speaks(can, language) else {}
        if missing := more.get(base_language(language or "")):
            raise InvalidRequest(
                f"'language' = '{language}': {self.engine_name} cannot speak it yet. {missing}",
                param="language",
            )

    def _check_growth(self, cleaned: str) -> None:
        """Raise InvalidRequest if the lexicon has made a text much longer."""
        if len(cleaned) > MAX_GROWTH * self.settings.max_input_chars:
            raise InvalidRequest(
                f"The lexicon makes a text of {len(cleaned)} characters, which is more than "
                f"{MAX_GROWTH} times the longest 'input'.",
                param="lexicon",
            )

    def _in_known_letters(self, cleaned: str, marks: Marks, can: Capabilities) -> str:
        """Return a text with the letters of scripts that the engine does not have in Latin ones.

        Raises InvalidRequest for a text that is mostly in such scripts or cannot be spoken.
        """
        shown = marks.plain(cleaned)
        if not text.speakable(shown):
            raise InvalidRequest(
                "'input' has nothing that can be spoken: no letter, digit or spoken sign is left "
                "after emoji and markup are removed.",
                param="input",
            )
        languages = tuple(can.languages)
        foreign = text.foreign_letters(shown, languages)
        if not foreign:
            return cleaned
        latin = text.to_latin(cleaned, marks, languages)
        if text.is_foreign(shown, languages) or not text.speakable(marks.plain(latin)):
            hint = self.registry.other_engines(self.engine_name)
            message = _foreign_message(foreign, self.engine_name, can)
            spec = self.registry.engines.get(self.engine_name)
            own = f"It speaks {spec.install_hint}." if spec and spec.install_hint else ""
            raise InvalidRequest(" ".join(filter(None, (message, own, hint))), param="input")
        return latin

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
        if said.words and _speaks(can, request.language):
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


def _speaks(can: Capabilities, language: str | None) -> bool:
    """Return whether an engine speaks the language of this code, as far as it says."""
    spoken = {base_language(code) for code in can.languages}
    return not spoken or base_language(language or "") in spoken


def _latin(voice: Voice, can: Capabilities) -> str:
    """Return the language that Latin letters are assumed to be in."""
    language = base_language(voice.language)
    if not language or language in _OTHER_SCRIPTS:
        language = "en"
    return language if _speaks(can, language) else base_language(can.languages[0])


def _foreign_message(foreign: Mapping[str, str], name: str, can: Capabilities) -> str:
    scripts = " and ".join(
        f"{script} ({', '.join(letters)})" for script, letters in foreign.items()
    )
    return (
        f"'input' has letters that the running engine cannot speak: {scripts}. {name} speaks "
        f"these languages only: {', '.join(can.languages)}."
    )

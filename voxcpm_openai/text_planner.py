"""The text of a request → what an engine of some capabilities is asked to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxcpm_openai import text
from voxcpm_openai.contracts import Capabilities, Voice
from voxcpm_openai.errors import InvalidRequest, NothingToSay
from voxcpm_openai.lexicons import LexiconSources
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.registry import Registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.language import base_language
from voxcpm_openai.text.marks import Marks
from voxcpm_openai.text.normalizers import Normalizers
from voxcpm_openai.text.plan import TextPlan, plan

MAX_GROWTH = 10
"""How many times as long as the longest input a lexicon may make a text."""
_OTHER_SCRIPTS = frozenset("zh ja ko ru uk el ar he hi th fa ur".split())
"""Languages that are not written in Latin letters: with such a voice, these are English."""


@dataclass(frozen=True, slots=True)
class TextPlanner:
    """Plans texts for one voice on one engine, with the fields of one request.

    ``language``, ``rules`` (a lexicon) and ``normalize`` are the request's.
    """

    registry: Registry
    settings: Settings
    engine_name: str
    lexicons: LexiconSources
    normalizers: Normalizers
    voice: Voice
    can: Capabilities
    language: str | None = None
    rules: Mapping[str, object] | None = None
    normalize: bool | None = None
    principal: Principal = ANONYMOUS

    def plan(self, raw: str, *, continued: bool = False) -> TextPlan:
        """Decide what the engine is asked to say.

        ``continued``: the text goes on after another one, which is heard before it; letters of
        scripts that the engine does not have are written in Latin ones, however many there are.
        Raises InvalidRequest, and NothingToSay.
        """
        marks = Marks()
        rules = self.lexicons.lexicon(self.voice, self.rules, self.principal)
        cleaned = text.clean(self._checked_length(raw), marks, alone=not continued)
        cleaned = rules.apply(cleaned, marks, self.can.phonemes)
        self._check_growth(cleaned)
        cleaned = self._in_known_letters(cleaned, marks, continued=continued)
        return self._plan(cleaned, marks, continued=continued)

    def plan_nothing(self) -> TextPlan:
        """Return the plan of an empty text.  Raises InvalidRequest for the language."""
        return self._plan("", Marks(), continued=False)

    def _plan(self, cleaned: str, marks: Marks, *, continued: bool) -> TextPlan:
        can = self.can
        self._check_language()
        asked = self.language if speaks(can, self.language) else None
        only = can.languages[0] if len(can.languages) == 1 else None
        normalize = self.settings.normalize if self.normalize is None else self.normalize
        return plan(
            cleaned,
            marks,
            language=base_language(asked or only or _latin(self.voice, can)),
            fixed=bool(asked or only),
            normalizers=self.normalizers if can.spoken_text or normalize else None,
            phonemes=can.phonemes,
            mixed=can.spoken_text and "zh" in map(base_language, can.languages),
            continued=continued,
        )

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

    def _check_language(self) -> None:
        """Raise InvalidRequest for a language that the engine speaks once something is installed.

        Any other language that it does not speak is reported as ignored.
        """
        language = self.language
        spec = self.registry.engines.get(self.engine_name)
        more = spec.more_languages if spec and not speaks(self.can, language) else {}
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

    def _in_known_letters(self, cleaned: str, marks: Marks, *, continued: bool) -> str:
        """Return a text with the letters of scripts that the engine does not have in Latin ones.

        Raises InvalidRequest for a text that is mostly in such scripts (unless ``continued``) or
        cannot be spoken.
        """
        shown = marks.plain(cleaned)
        if not text.speakable(shown):
            raise NothingToSay(
                "'input' has nothing that can be spoken: no letter, digit or spoken sign is left "
                "after emoji and markup are removed."
            )
        languages = tuple(self.can.languages)
        foreign = text.foreign_letters(shown, languages)
        if not foreign:
            return cleaned
        latin = text.to_latin(cleaned, marks, languages)
        mostly = text.is_foreign(shown, languages) and not continued
        if mostly or not text.speakable(marks.plain(latin)):
            hint = self.registry.other_engines(self.engine_name)
            message = _foreign_message(foreign, self.engine_name, self.can)
            spec = self.registry.engines.get(self.engine_name)
            own = f"It speaks {spec.install_hint}." if spec and spec.install_hint else ""
            raise NothingToSay(" ".join(filter(None, (message, own, hint))))
        return latin


def speaks(can: Capabilities, language: str | None) -> bool:
    """Return whether an engine speaks the language of this code, as far as it says."""
    spoken = {base_language(code) for code in can.languages}
    return not spoken or base_language(language or "") in spoken


def _latin(voice: Voice, can: Capabilities) -> str:
    """Return the language that Latin letters are assumed to be in."""
    language = base_language(voice.language)
    if not language or language in _OTHER_SCRIPTS:
        language = "en"
    return language if speaks(can, language) else base_language(can.languages[0])


def _foreign_message(foreign: Mapping[str, str], name: str, can: Capabilities) -> str:
    scripts = " and ".join(
        f"{script} ({', '.join(letters)})" for script, letters in foreign.items()
    )
    return (
        f"'input' has letters that the running engine cannot speak: {scripts}. {name} speaks "
        f"these languages only: {', '.join(can.languages)}."
    )

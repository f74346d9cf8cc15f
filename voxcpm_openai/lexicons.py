"""The lexicon of a request: the rules of the server, the voice, the API key and the request.

For the same text, a rule of a later one of these wins.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxcpm_openai.contracts import Voice
from voxcpm_openai.errors import InvalidRequest, SettingsError
from voxcpm_openai.principal import ANONYMOUS, Principal
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.lexicon import Lexicon, LexiconError
from voxcpm_openai.text.lexicon_files import read_file, rules_of_table
from voxcpm_openai.voices.store.dictionaries import DictionaryStore


def server_lexicon(settings: Settings) -> Lexicon:
    """Read the server's own lexicon.  Raises SettingsError with the file and the wrong entry."""
    if settings.lexicon is None:
        return Lexicon()
    try:
        return Lexicon(read_file(settings.lexicon))
    except LexiconError as error:
        raise SettingsError(f"VOXCPM_LEXICON = {str(settings.lexicon)!r}: {error}") from error


class LexiconSources:
    """Where rules come from.  Any thread may use it."""

    def __init__(self, settings: Settings, dictionaries: DictionaryStore) -> None:
        """Read the server's lexicon.  Raises SettingsError."""
        self._server = server_lexicon(settings)
        self._dictionaries = dictionaries
        self._voices: dict[str, tuple[Mapping[str, object], Lexicon]] = {}  # by id

    def lexicon(
        self,
        voice: Voice,
        request_rules: Mapping[str, object] | None = None,
        principal: Principal = ANONYMOUS,
    ) -> Lexicon:
        """Return the rules for a request.  Raises InvalidRequest if the request's are wrong."""
        return Lexicon.merged(
            self._server,
            self._of_voice(voice),
            self._dictionaries.lexicon(principal),
            _of_request(request_rules),
        )

    def _of_voice(self, voice: Voice) -> Lexicon:
        """Return a voice's rules, which the registry has checked."""
        if not voice.lexicon:
            return Lexicon()
        table, lexicon = self._voices.get(voice.id, (None, Lexicon()))
        if table is not voice.lexicon:
            lexicon = Lexicon(rules_of_table(voice.lexicon))
            self._voices[voice.id] = voice.lexicon, lexicon
        return lexicon


def _of_request(table: Mapping[str, object] | None) -> Lexicon:
    if table is None:
        return Lexicon()
    try:
        return Lexicon(rules_of_table(table))
    except LexiconError as error:
        raise InvalidRequest(f"'lexicon' is wrong: {error}", param="lexicon") from error

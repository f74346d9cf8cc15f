"""The application: settings, plugins, voices, engine and limits, wired once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from voxcpm_openai.accounts.account import Accounts
from voxcpm_openai.accounts.usage import UsageRecorder
from voxcpm_openai.accounts.usage_store import UsageStore
from voxcpm_openai.cache.speech_cache import SpeechCache
from voxcpm_openai.contracts import Engine
from voxcpm_openai.errors import StorageUnwritable
from voxcpm_openai.lexicons import LexiconSources
from voxcpm_openai.lifecycle import EngineLifecycle
from voxcpm_openai.limits import SocketLimiter, StreamLimiter
from voxcpm_openai.metrics.state import StatePublisher
from voxcpm_openai.registry import Registry, choose_engine, load_registry
from voxcpm_openai.resolve import Resolver
from voxcpm_openai.settings import Settings
from voxcpm_openai.text.normalizers import Normalizers
from voxcpm_openai.voice_preparation import VoicePreparation
from voxcpm_openai.voices.intake.transcribe import ClipTranscriber
from voxcpm_openai.voices.library import VoiceLibrary
from voxcpm_openai.voices.preview import PreviewCache
from voxcpm_openai.voices.store.candidates import CandidateStore
from voxcpm_openai.voices.store.consents import ConsentStore
from voxcpm_openai.voices.store.data_folder import DataFolder
from voxcpm_openai.voices.store.dictionaries import DictionaryStore
from voxcpm_openai.voices.store.voices import VoiceStore

if TYPE_CHECKING:
    from voxcpm_openai.metrics.families import Metrics


class AppContext:
    """What the web app, the command line and the benchmarks share.  Made by ``open``."""

    def __init__(self, settings: Settings, registry: Registry, workers: int = 1) -> None:
        self.settings = settings
        self.workers = workers
        self.registry = registry
        data = DataFolder(settings.data_folder)
        self.store = VoiceStore(data, settings)
        self.voices = VoiceLibrary(registry.voices, self.store, registry.find_voice)
        self.consents = ConsentStore(data, settings)
        self.candidates = CandidateStore(data)
        self.dictionaries = DictionaryStore(data)
        self.lexicons = LexiconSources(settings, self.dictionaries)
        self.previews = PreviewCache(data.root)
        self.transcriber = ClipTranscriber(registry.transcribers, settings)
        self.limits = StreamLimiter(settings.max_streams)
        self.sockets = SocketLimiter(settings.max_sockets)
        self.usage = UsageStore(data.root)
        self.normalizers = Normalizers(registry.normalizers, settings)
        self._data = data

    @classmethod
    def open(cls, settings: Settings, workers: int = 1) -> AppContext:
        """Load the plugins and wire the parts; nothing is started.  Raises StartError.

        ``workers``: how many processes like this one the server has.
        """
        return cls(settings, load_registry(settings), workers)

    @cached_property
    def accounts(self) -> Accounts:
        """What is counted by API key.  Raises SettingsError if the keys cannot be read."""
        return Accounts(self.settings, UsageRecorder(self.usage), self.workers)

    @cached_property
    def cache(self) -> SpeechCache | None:
        """The cache of speech, or None if it is off.  Raises SettingsError if no engine can run."""
        if not self.settings.cache_mb:
            return None
        spec = self.registry.engine(self.engine.name)
        own = self.settings.of(spec.settings) if spec and spec.settings else None
        return SpeechCache(self.settings, own, self.workers)

    @cached_property
    def engine(self) -> EngineLifecycle:
        """The engine that is chosen, not started yet.  Raises SettingsError if none can run."""
        choice = choose_engine(self.registry, self.settings)
        return EngineLifecycle(choice, self.settings, self._prepare)

    @cached_property
    def preparation(self) -> VoicePreparation:
        """Prepares voices in the background.  Raises SettingsError if no engine can run."""
        return VoicePreparation(self.engine)

    def prepare_voices(self) -> None:
        """Let the engine prepare the plugins' voices in the background, the default one first."""
        voices, default = self.registry.voices, self.settings.default_voice
        others = [voice for id_, voice in sorted(voices.items()) if id_ != default]
        if self.workers > 1:
            random.shuffle(others)  # what one worker has encoded the others find on disk
        self.preparation.add([voices[default]] if default in voices else [])
        self.preparation.add(others)

    @cached_property
    def resolver(self) -> Resolver:
        """Resolves requests for the chosen engine.  Raises SettingsError if none can run."""
        return self.resolver_for(self.engine.name)

    @cached_property
    def metrics(self) -> Metrics:
        """What this process measures.  Raises SettingsError if no engine can run."""
        from voxcpm_openai.metrics.families import Metrics

        return Metrics(self.registry.presets, self.registry.formats, self.engine.name)

    @cached_property
    def state(self) -> StatePublisher:
        """Publishes the state of this process to ``metrics``."""
        model = self.resolver.default_model
        counts = self.cache.counts if self.cache else None
        return StatePublisher(self.metrics, self.engine, self.limits, self.sockets, model, counts)

    def resolver_for(self, engine_name: str) -> Resolver:
        """Return what resolves requests for an engine, which need not run."""
        return Resolver(
            self.registry,
            self.voices,
            self.settings,
            engine_name,
            self.lexicons,
            self.normalizers,
        )

    def _prepare(self, engine: Engine) -> None:
        """Load the normalizers of an engine's languages: the first request must not wait."""
        if engine.capabilities.spoken_text:
            self.normalizers.start(engine.capabilities.languages)

    @property
    def other_engines(self) -> str:
        """A sentence about the engines beside the chosen one, for error messages."""
        return self.registry.other_engines(self.engine.name)

    @contextmanager
    def running_engine(self) -> Iterator[Engine]:
        """Start the engine in this thread and stop it after the ``with`` block."""
        try:
            yield self.engine.run()
        finally:
            self.engine.stop()

    def sweep(self) -> None:
        """Remove what dead writers and expired candidates left in the data folder."""
        try:
            self._data.sweep()
        except StorageUnwritable:
            pass  # it has been logged; existing voices can be read, and speech works

"""What the voices' commands work on: the settings, the plugins, the data folder."""

from __future__ import annotations

from dataclasses import dataclass

from voxcpm_openai.registry import Choice, Registry, choose_engine, load_registry
from voxcpm_openai.settings import Settings, load_settings
from voxcpm_openai.voices.candidates import Candidates
from voxcpm_openai.voices.catalog import Catalog
from voxcpm_openai.voices.consents import Consents
from voxcpm_openai.voices.data import Data
from voxcpm_openai.voices.spoken import SpokenSamples
from voxcpm_openai.voices.store import Store


@dataclass(frozen=True, slots=True)
class House:
    """The parts; a server may work on the same data folder at the same time."""

    settings: Settings
    registry: Registry
    store: Store
    catalog: Catalog
    consents: Consents
    candidates: Candidates
    spoken: SpokenSamples

    @classmethod
    def open(cls) -> House:
        """Read the settings and load the plugins.  Raises StartError."""
        settings = load_settings()
        registry = load_registry(settings)
        data = Data(settings.data_folder)
        store = Store(data, settings)
        return cls(
            settings=settings,
            registry=registry,
            store=store,
            catalog=Catalog(registry.voices, store),
            consents=Consents(data),
            candidates=Candidates(data),
            spoken=SpokenSamples(data.root),
        )

    def choice(self) -> Choice:
        """Return the engine that would run.  Raises SettingsError where none can."""
        return choose_engine(self.registry, self.settings)

"""What ``voxcpm-openai check`` finds out before a start, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from voxcpm_openai.contracts import EngineSpec
from voxcpm_openai.errors import StartError
from voxcpm_openai.registry import Registry
from voxcpm_openai.setting_sources import Source, read_values, sources
from voxcpm_openai.settings import Settings, read_settings
from voxcpm_openai.start_checks import examine


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting: its value as JSON, never a secret, and where that comes from."""

    key: str
    variable: str
    value: object
    origin: str

    @property
    def shown(self) -> str:
        """The value as text."""
        value = self.value
        if value is None:
            return "none"
        return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine or a transcriber; ``reason``: why it cannot run here, else None."""

    kind: str
    name: str
    available: bool
    reason: str | None
    hint: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The engine that would run, why, and what to know of how."""

    name: str
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers the server would have, and why."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything; the server can start if there are no ``problems``.  ``plugins``: with origins."""

    settings: tuple[SettingRow, ...]
    plugins: Mapping[str, str] = field(default_factory=dict)
    engines: tuple[EngineRow, ...] = ()
    chosen: Chosen | None = None
    workers: Workers | None = None
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the server can start."""
        return not self.problems

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        facts = asdict(self)
        facts["plugins"] = [{"name": name, "origin": at} for name, at in self.plugins.items()]
        facts["engine"] = facts.pop("chosen")
        rows = facts.pop("engines")
        for kind in ("engine", "transcriber"):
            own = [row for row in rows if row["kind"] == kind]
            facts[f"{kind}s"] = [{k: v for k, v in row.items() if k != "kind"} for row in own]
        return facts


def report_of() -> Report:
    """Read the settings, and check whether the server can start."""
    settings, wrong = read_settings()
    found = examine(settings, problems=wrong)
    problems = list(found.problems)
    registry, choice = found.registry, found.choice
    engines: tuple[EngineRow, ...] = ()
    if registry:
        try:
            engines = tuple(_engines(registry, settings))
        except StartError as error:
            problems.append(str(error))
    return Report(
        settings=tuple(_settings(settings, registry.plugin_settings() if registry else [])),
        plugins={one.name: one.origin for one in registry.plugins} if registry else {},
        engines=engines,
        chosen=Chosen(choice.spec.name, choice.reason, tuple(choice.spec.notes(settings)))
        if choice
        else None,
        workers=Workers(found.plan.workers, found.plan.reason) if found.plan else None,
        warnings=found.warnings,
        problems=tuple(dict.fromkeys(problems)),
    )


def _settings(settings: Settings, plugin_settings: Iterable[type]) -> Iterator[SettingRow]:
    """Yield every setting; one that is wrong has its default."""
    for kind in (Settings, *plugin_settings):
        values = read_values(kind, settings.raw)[0]
        for source in sources(kind, settings.raw):
            value = _value(source, values)
            value = list(value) if isinstance(value, tuple) else value
            json = value if isinstance(value, int | float | list | None) else str(value)
            yield SettingRow(source.key, source.variable, json, source.origin)


def _value(source: Source, values: Mapping[str, object]) -> object:
    """Return a setting's value as it may be shown; never a key."""
    if source.origin != "default" and source.name not in values:
        return "(wrong)"
    value = values.get(source.name, source.value)
    if source.name == "api_keys":
        return f"{len(value) if isinstance(value, tuple) else 0} keys"
    if source.secret:
        return "***" if value else "none"
    if source.name == "data_dir":
        return value or Settings().data_folder
    return value


def _engines(registry: Registry, settings: Settings) -> Iterator[EngineRow]:
    for spec in registry.specs:
        reason = registry.unavailable_reason(spec, settings)
        engine = isinstance(spec, EngineSpec)
        hint = spec.install_hint if isinstance(spec, EngineSpec) else ""
        kind = "engine" if engine else "transcriber"
        yield EngineRow(kind, spec.name, reason is None, reason, hint)

"""What must be right before a server starts: ``serve``, a reload and ``check`` ask here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Literal

from voxcpm_openai.accounts.check import check_accounts
from voxcpm_openai.addresses import Address, address_of, is_loopback, problem_of, shown
from voxcpm_openai.errors import StartError
from voxcpm_openai.lexicons import server_lexicon
from voxcpm_openai.registry import EngineChoice, Registry, choose_engine, read_registry
from voxcpm_openai.settings import Settings
from voxcpm_openai.worker_plan import WorkerPlan, plan_workers


@dataclass(frozen=True, slots=True)
class StartReport:
    """What the checks found.  The server can start if there are no ``problems``."""

    registry: Registry | None
    choice: EngineChoice | None
    plan: WorkerPlan | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def examine(
    settings: Settings,
    addresses: Sequence[Address] | None = None,
    *,
    problems: Iterable[str] = (),
    must_be_free: Iterable[Address] = (),
    workers: int | Literal["auto"] | None = None,
) -> StartReport:
    """Check the settings, the addresses, the plugins, the engine, the lexicon, the data folder.

    ``addresses``: where the server listens, if not where the settings say; ``problems``: those
    that are known already; ``must_be_free``: the addresses where no other server may listen;
    ``workers``: how many the server has, if not as many as the settings say.
    """
    if addresses is None:
        addresses = [address_of(settings.host, settings.port)]
        if settings.admin_address is not None:
            addresses.append(settings.admin_address)
    taken = set(must_be_free)
    at = (problem_of(address, must_be_free=address in taken) for address in addresses)
    found = [*problems, *filter(None, at)]
    registry: Registry | None = None
    choice: EngineChoice | None = None
    plan: WorkerPlan | None = None
    found += _admin_problems(addresses, settings)
    try:
        check_open([at for at in addresses if at != settings.admin_address], settings)
    except StartError as error:
        found.append(str(error))
    try:
        registry, wrong = read_registry(settings)
        found += wrong
        choice = choose_engine(registry, settings)
        if not wrong:
            plan = plan_workers(settings, choice, workers or settings.workers)
    except StartError as error:
        found.append(str(error))
    try:
        server_lexicon(settings)
    except StartError as error:
        found.append(str(error))
    missing, warnings = _check_data_folder(settings)
    wrong, limits = check_accounts(settings, plan.workers if plan else 1)
    found, warnings = found + wrong, warnings + limits
    if plan is not None:
        warnings += plan.warnings
    return StartReport(
        registry, choice, plan, tuple(dict.fromkeys(found + missing)), tuple(warnings)
    )


def check_open(addresses: Sequence[Address], settings: Settings) -> None:
    """Raise StartError if the server would listen beyond loopback without API keys."""
    if settings.keyed or settings.allow_open:
        return
    if beyond := [shown(address) for address in addresses if not is_loopback(address)]:
        raise StartError(
            f"listening on {', '.join(beyond)} would admit anyone. Set VOXCPM_API_KEYS, or "
            "VOXCPM_ALLOW_OPEN=1 if that is intended."
        )


def _admin_problems(addresses: Sequence[Address], settings: Settings) -> list[str]:
    """List what is wrong with ``admin_bind``."""
    bind = f"VOXCPM_ADMIN_BIND = {settings.admin_bind!r}"
    if settings.admin_address is None:
        return []
    if settings.admin_address == address_of(settings.host, settings.port):
        return [f"{bind}: it is the address of the clients; it must be another."]
    if settings.admin_address not in addresses:
        return [f"{bind}: gunicorn's own option bind leaves it out; name it there, too."]
    return []


def _check_data_folder(settings: Settings) -> tuple[list[str], list[str]]:
    """Return problems and warnings of the folder where added voices are kept."""
    folder, exists = settings.data_folder, False
    try:
        exists = folder.exists()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with TemporaryDirectory(prefix=".voxcpm-", dir=there):
            return [], []
    except OSError as error:
        reason = error.strerror or str(error)
    if settings.data_dir is not None and not exists:
        return [f"VOXCPM_DATA_DIR = '{folder}': the folder cannot be created: {reason}."], []
    # The voices in it can be read, and speech needs none.
    return [], [f"no voice can be added: {folder} cannot be written: {reason}."]

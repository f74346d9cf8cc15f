"""What a worker process knows of the server that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxcpm_openai.addresses import Listener
from voxcpm_openai.settings import Settings


@dataclass(frozen=True, slots=True)
class Serving:
    """The settings that the server has checked, its workers, where it listens, who is told of it.

    A worker that starts later uses the same settings as the others, although the file of the
    settings may have changed.
    """

    settings: Settings
    listeners: tuple[Listener, ...]
    report_ready: Callable[[], None]
    workers: int = 1


class _Process:
    serving: Serving | None = None


def belong_to(serving: Serving) -> None:
    """Make this process a worker of a server."""
    _Process.serving = serving


def current() -> Serving | None:
    """Return what this process serves, or None if another WSGI server has loaded the app."""
    return _Process.serving

"""Metrics collected at scrape time: the processes of a server, and its version."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voxcpm_openai import __version__

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
"""Per second of CPU time."""
LABELS = ("role", "pid")


class ServerCollector(Collector):
    """The workers and their master."""

    def __init__(self, engine: str, workers: Iterable[int], started: int) -> None:
        """``workers``: their process ids, empty outside a server; ``started``: as in ``render``."""
        self._started = started
        self._engine = engine
        self._workers = list(workers)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        info = GaugeMetricFamily(
            "voxcpm_build_info", "The version and the engine.", labels=("version", "engine")
        )
        info.add_metric((__version__, self._engine), 1)
        yield info
        if self._workers:
            yield CounterMetricFamily(
                "voxcpm_workers_started",
                "Workers since the start of the server.",
                self._started,
            )
        yield from self._processes()

    def _processes(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "voxcpm_process_resident_memory_bytes", "Memory of a process.", labels=LABELS
        )
        cpu = CounterMetricFamily(
            "voxcpm_process_cpu_seconds", "CPU time of a process.", labels=LABELS
        )
        handles = GaugeMetricFamily(
            "voxcpm_process_open_fds", "Open file handles of a process.", labels=LABELS
        )
        roles = dict.fromkeys(self._workers or [os.getpid()], "worker")
        if self._workers:
            roles[os.getppid()] = "master"
        for pid, role in roles.items():
            try:
                pages, seconds, open_ = _usage(pid)
            except (OSError, ValueError, IndexError):  # it has ended, or there is no /proc
                continue
            memory.add_metric((role, str(pid)), pages * PAGE)
            cpu.add_metric((role, str(pid)), seconds)
            handles.add_metric((role, str(pid)), open_)
        yield from (memory, cpu, handles)


def _usage(pid: int) -> tuple[int, float, int]:
    """Return the resident pages, the CPU seconds and the file handles of a process: proc(5)."""
    folder = Path("/proc") / str(pid)
    pages = int((folder / "statm").read_text().split()[1])
    after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[11]) + int(after_name[12])
    return pages, ticks / TICKS, len(os.listdir(folder / "fd"))  # noqa: PTH208

"""The metrics of a process, and of all workers of its server, as Prometheus reads them.

Import it late: prometheus_client decides when it is imported whether several processes share its
metrics.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from voxcpm_openai.metrics.folder import reading, shared_folder
from voxcpm_openai.metrics.server import ServerCollector

SPEECH = ("model", "voice_kind", "format")
"""The labels of what is measured of a speech."""
UNKNOWN = "unknown"
"""The label of what a client has named and the server does not have."""
OTHER = "other"
"""The label of all values beyond ``MOST_VALUES``."""
MOST_VALUES = 64
"""Different values of a label whose values plugins choose."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

FIRST_AUDIO = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.2, 1.5, 2, 5)


class Metrics:
    """All metrics.  In a server, those of its workers are in one folder."""

    def __init__(self, models: Collection[str], formats: Collection[str], engine: str) -> None:
        """``models``, ``formats``: those that there are; ``engine``: the name of the one chosen."""
        self._models = frozenset(models)
        self._formats = frozenset(formats)
        self._engine = engine
        self._codes: set[str] = set()
        self._registry = registry = CollectorRegistry()

        def counter(name: str, help_: str, labels: Iterable[str] = SPEECH) -> Counter:
            return Counter(f"voxcpm_{name}", help_, tuple(labels), registry=registry)

        def histogram(name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"voxcpm_{name}", help_, SPEECH, registry=registry, buckets=buckets)

        def gauge(name: str, help_: str, labels: Iterable[str] = (), mode: str = "sum") -> Gauge:
            mode = f"live{mode}"
            return Gauge(name, help_, tuple(labels), registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.speeches = counter(
            "speeches", "Texts that were to be spoken, by how it ended.", (*SPEECH, "outcome")
        )
        self.first_audio = histogram(
            "first_audio_seconds", "From the request to its first audio.", FIRST_AUDIO
        )
        self.real_time_factor = histogram(
            "real_time_factor", "Seconds of work for a second of audio.", FACTORS
        )
        self.audio_seconds = counter("audio_seconds", "Audio that was made.")
        self.characters = counter("characters", "Characters of the texts that were to be spoken.")
        self.underrun_seconds = counter(
            "underrun_seconds", "Silence because audio was not made in time for its listener."
        )
        self.underruns = counter("speeches_with_underrun", "Speeches that had such a silence.")
        self.refusals = counter("refusals", "Errors that were answered, by code.", ("code",))
        self.http_requests = counter(
            "http_requests", "HTTP requests.", ("route", "method", "status")
        )
        self.streams_running = gauge("voxcpm_streams_running", "Streams that run.")
        self.streams_limit = gauge("voxcpm_streams_limit", "Streams that may run at once.")
        self.requests_waiting = gauge(
            "voxcpm_requests_waiting", "What waits for its turn: in the engine, or for a stream."
        )
        self.sockets_open = gauge("voxcpm_sockets_open", "WebSockets that are open.")
        self.sockets_limit = gauge("voxcpm_sockets_limit", "WebSockets that may be open at once.")
        self.engine_state = gauge(
            "voxcpm_engine_state", "Workers whose engine is in a state.", ("engine", "state")
        )
        self.engine_running = gauge("voxcpm_engine_running", "What engines work on now.")
        self.engine_detail = gauge(
            "voxcpm_engine_detail", "A number that an engine tells of itself.", ("name",), "all"
        )
        # What recipes for autoscaling read.
        self.vllm_running = gauge(
            "vllm:num_requests_running", "Equals voxcpm_streams_running.", ("model_name",)
        )
        self.vllm_waiting = gauge(
            "vllm:num_requests_waiting", "Equals voxcpm_requests_waiting.", ("model_name",)
        )

    def speech_labels(self, model: str, voice_kind: str, format_: str) -> tuple[str, str, str]:
        """Return the labels of a speech; what a client has invented is unknown."""
        return (
            model if model in self._models else UNKNOWN,
            voice_kind,
            format_ if format_ in self._formats else UNKNOWN,
        )

    def refused(self, code: str) -> None:
        """Count an error that is answered."""
        if code not in self._codes:
            if len(self._codes) >= MOST_VALUES:
                code = OTHER
            self._codes.add(code)
        self.refusals.labels(code).inc()

    def answered(self, route: str, method: str, status: int) -> None:
        """Count an HTTP request.  ``route``: empty if there is none."""
        method = method if method in METHODS else UNKNOWN
        self.http_requests.labels(route or UNKNOWN, method, str(status)).inc()

    def render(self, accept: str, workers: Iterable[int], started: int) -> tuple[bytes, str]:
        """Return the metrics of all workers as text, and its content type.

        ``accept``: what the client takes, as in HTTP; ``workers``: their process ids;
        ``started``: how many there have been.
        """
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry()
        registry.register(ServerCollector(self._engine, workers, started))
        with ExitStack() as stack:
            if (folder := shared_folder()) is None:
                registry.register(self._registry)
            else:
                stack.enter_context(reading(folder))
                registry.register(_Files(folder))
            return encode(registry), content_type


class _Files(Collector):
    """Reads the files of all workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, summed up.  A file that a worker is about to make is empty."""
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        return list(MultiProcessCollector.merge(files))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # that of a worker which has just ended
        return 0

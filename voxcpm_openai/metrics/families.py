"""The metrics of a process, and the exposition of those of all workers of its server.

Import it late: prometheus_client chooses its multiprocess mode when it is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from voxcpm_openai.metrics.folder import read_lock, shared_folder
from voxcpm_openai.metrics.server import ServerCollector

SPEECH = ("model", "voice_kind", "format")
"""The labels of the metrics of a speech."""
UNKNOWN = "unknown"
"""The label value for names from a request that the server does not know."""
OTHER = "other"
"""The label value for all codes beyond ``MAX_CODES``."""
MAX_CODES = 64
"""The most values of the label ``code``, which plugins may extend."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

FIRST_AUDIO = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.2, 1.5, 2, 5)


class Metrics:
    """The metrics of this process.  Workers of a server write theirs to a shared folder."""

    def __init__(self, models: Collection[str], formats: Collection[str], engine: str) -> None:
        """``models``, ``formats``: the known label values; ``engine``: the chosen one's name."""
        self._models = frozenset(models)
        self._formats = frozenset(formats)
        self._engine = engine
        self._codes: set[str] = set()
        self._registry = registry = CollectorRegistry()

        def counter(name: str, help_: str, labels: Iterable[str] = SPEECH) -> Counter:
            return Counter(f"voxcpm_{name}", help_, tuple(labels), registry=registry)

        def histogram(name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"voxcpm_{name}", help_, SPEECH, registry=registry, buckets=buckets)

        def gauge(
            name: str,
            help_: str,
            labels: Iterable[str] = (),
            mode: Literal["liveall", "livesum"] = "livesum",
        ) -> Gauge:
            return Gauge(name, help_, tuple(labels), registry=registry, multiprocess_mode=mode)

        self.speeches = counter("speeches", "Synthesis requests by outcome.", (*SPEECH, "outcome"))
        self.first_audio = histogram(
            "first_audio_seconds", "Time from a request to its first audio.", FIRST_AUDIO
        )
        self.real_time_factor = histogram(
            "real_time_factor", "Seconds of processing per second of audio.", FACTORS
        )
        self.audio_seconds = counter("audio_seconds", "Seconds of synthesized audio.")
        self.characters = counter("characters", "Characters of the input texts.")
        self.underrun_seconds = counter(
            "underrun_seconds", "Silence in playback because audio was late."
        )
        self.underruns = counter("speeches_with_underrun", "Synthesis requests with an underrun.")
        self.refusals = counter("refusals", "Error responses by code.", ("code",))
        self.http_requests = counter(
            "http_requests", "HTTP requests.", ("route", "method", "status")
        )
        self.streams_running = gauge("voxcpm_streams_running", "Running streams.")
        self.streams_limit = gauge("voxcpm_streams_limit", "Limit of concurrent streams.")
        self.requests_waiting = gauge(
            "voxcpm_requests_waiting", "Requests that wait in the engine or for a stream."
        )
        self.sockets_open = gauge("voxcpm_sockets_open", "Open WebSockets.")
        self.sockets_limit = gauge("voxcpm_sockets_limit", "Limit of open WebSockets.")
        self.engine_state = gauge(
            "voxcpm_engine_state", "Workers by the state of their engine.", ("engine", "state")
        )
        self.engine_running = gauge(
            "voxcpm_engine_running", "Streams or segments that engines process."
        )
        self.engine_detail = gauge(
            "voxcpm_engine_detail", "A number from an engine's status.", ("name",), "liveall"
        )
        self.cache_hits = counter(
            "cache_hits", "Responses served without a synthesis of their own.", ()
        )
        self.cache_misses = counter("cache_misses", "Responses synthesized with the cache on.", ())
        self.cache_bytes = gauge(
            "voxcpm_cache_bytes", "Bytes that running workers have written to the cache."
        )
        # The names that autoscaling recipes for vLLM use.
        self.vllm_running = gauge(
            "vllm:num_requests_running", "Equals voxcpm_streams_running.", ("model_name",)
        )
        self.vllm_waiting = gauge(
            "vllm:num_requests_waiting", "Equals voxcpm_requests_waiting.", ("model_name",)
        )

    def speech_labels(self, model: str, voice_kind: str, format_: str) -> tuple[str, str, str]:
        """Return the labels of a speech, ``UNKNOWN`` for an unknown model or format."""
        return (
            model if model in self._models else UNKNOWN,
            voice_kind,
            format_ if format_ in self._formats else UNKNOWN,
        )

    def refused(self, code: str) -> None:
        """Count an error response."""
        if code not in self._codes:
            if len(self._codes) >= MAX_CODES:
                code = OTHER
            self._codes.add(code)
        self.refusals.labels(code).inc()

    def answered(self, route: str, method: str, status: int) -> None:
        """Count an HTTP request.  ``route``: empty if none matched."""
        method = method if method in METHODS else UNKNOWN
        self.http_requests.labels(route or UNKNOWN, method, str(status)).inc()

    def render(self, accept: str, workers: Iterable[int], started: int) -> tuple[bytes, str]:
        """Return the metrics of all workers as text, and its content type.

        ``accept``: the request's ``Accept`` header; ``workers``: their process ids;
        ``started``: the number of workers since the start of the server.
        """
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry()
        registry.register(ServerCollector(self._engine, workers, started))
        with ExitStack() as stack:
            if (folder := shared_folder()) is None:
                registry.register(self._registry)
            else:
                stack.enter_context(read_lock(folder))
                registry.register(_Files(folder))
            return encode(registry), content_type


class _Files(Collector):
    """Aggregates the files of all workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the aggregated metrics.  A file that a worker is creating is empty."""
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        return list(MultiProcessCollector.merge(files))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # its worker has just ended
        return 0

"""How a stage becomes a CUDA graph, or stays eager."""

from __future__ import annotations

from collections.abc import Callable

import torch

Run = Callable[[], None]
Capture = Callable[[Run], Run]
"""Returns a function that repeats the work of the given one.

It may call the given one, and then waits until the device has finished all earlier work.
"""


class _Place:
    """Where graphs are captured: a stream, and the pool of their memory."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()


class CudaCapture:
    """Captures graphs on a device, for the stream that is current then, to be replayed on it.

    Graphs for one stream share a memory pool: they run one after the other, and their results are
    in buffers outside the pool.  Those for another run at the same time.  They have another pool,
    and are captured on another stream, since cuBLAS keeps its workspace by stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._places: dict[int, _Place] = {}  # by the stream that is current

    def __call__(self, run: Run) -> Run:
        """Run once, so that libraries are initialized and kernels chosen; then capture.

        ``torch.cuda.graph`` waits until the device has finished all earlier work.
        """
        current = torch.cuda.current_stream(self._device)
        if current.cuda_stream not in self._places:
            self._places[current.cuda_stream] = _Place(self._device)
        place = self._places[current.cuda_stream]
        place.stream.wait_stream(current)
        with torch.cuda.stream(place.stream):
            run()
        current.wait_stream(place.stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # A capture that fails at its end leaves its stream current: the outer block does not.
            # Other threads encode clips meanwhile: their calls must not invalidate the capture.
            with (
                torch.cuda.stream(current),
                torch.cuda.graph(
                    graph, pool=place.pool, stream=place.stream, capture_error_mode="thread_local"
                ),
            ):
                run()
        except BaseException:  # raised again
            place.pool = torch.cuda.graph_pool_handle()  # PyTorch may still record into the old one
            raise
        replay: Run = graph.replay
        return replay


def enforce_eager(run: Run) -> Run:
    """Capture nothing: the eager fallback."""
    return run

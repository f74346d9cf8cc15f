"""Request coalescing: concurrent identical requests share one synthesis.

No request leads the others.  The thread that needs the next chunk produces it, unless another
thread is producing; then it waits.  So the synthesis continues when a client disconnects, and is
cancelled when the last one does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from voxcpm_openai.cache.source import Producer
from voxcpm_openai.errors import ClientLeft


class SharedSpeech:
    """The chunks that were produced so far, and the requests that read them."""

    def __init__(
        self,
        lock: threading.RLock,
        max_bytes: int,
        store: Callable[[SharedSpeech], None],
        on_closed: Callable[[], None],
    ) -> None:
        """``lock``: of all shared speech; ``max_bytes``: a larger one is not joined nor stored.

        ``store``: called when all chunks were produced without an error; ``on_closed``: called
        once, with the lock held, when no further request can subscribe.
        """
        self.chunks: list[bytes] = []
        self.producer: Producer | None = None
        self.subscribers: set[Subscriber] = set()
        self._size = 0
        self._max_bytes = max_bytes
        self._store = store
        self._on_closed = on_closed
        self._failure: BaseException | None = None
        self._open = True  # further requests can subscribe: all chunks are kept
        self._producing = self._done = False
        self._freed = 0  # leading chunks that were delivered to all subscribers
        self._changed = threading.Condition(lock)

    def subscribe(self, producer: Producer) -> Subscriber:
        """Return a new subscriber, which reads from the first chunk on.  The lock is held.

        ``producer``: is opened if no other request's has been.
        """
        subscriber = Subscriber(self, producer)
        self.subscribers.add(subscriber)
        return subscriber

    def next_for(self, subscriber: Subscriber) -> bytes:
        """Return a subscriber's next chunk: wait for it, or produce it in this thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._producing or self._has_news(subscriber))
                if subscriber.left:
                    raise ClientLeft
                if subscriber.position < len(self.chunks):
                    chunk = self.chunks[subscriber.position]
                    subscriber.position += 1
                    self._free_delivered()
                    return chunk
                if self._failure is not None:
                    raise self._failure
                if self._done:
                    raise StopIteration
                self._producing = True
                opened = self.producer is not None
                # Set with the lock held: ``unsubscribe`` can cancel it from now on.
                producer = self.producer = self.producer or subscriber.producer
            try:
                if not opened:
                    self._open_producer(producer)
                self._produce(producer)
            finally:
                with self._changed:
                    self._producing = False
                    self._changed.notify_all()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; the last one cancels the synthesis.

        Any thread may call this, also twice.
        """
        with self._changed:
            subscriber.left = True
            self.subscribers.discard(subscriber)
            producer = None if self.subscribers or self._done else self.producer
            if not self.subscribers:
                self._close()
            self._free_delivered()
            self._changed.notify_all()
        if producer is not None:
            producer.cancel()

    def close_unused(self) -> None:
        """Close the producer if there are no subscribers, and no thread that is producing."""
        with self._changed:
            producer = None if self.subscribers or self._producing else self.producer
        if producer is not None:
            producer.close()

    def _has_news(self, subscriber: Subscriber) -> bool:
        return subscriber.left or self._done or subscriber.position < len(self.chunks)

    def _open_producer(self, producer: Producer) -> None:
        """Open a producer.  Its error concerns its own request: the next one opens its own."""
        try:
            producer.open()
        except BaseException:
            with self._changed:
                self.producer = None
            producer.close()
            raise

    def _produce(self, producer: Producer) -> None:
        """Add the next chunk, or the end."""
        try:
            chunk = next(producer)
        except StopIteration:
            self._finish(producer, None)
        except BaseException as error:  # noqa: BLE001  (all subscribers raise it)
            self._finish(producer, error)
        else:
            with self._changed:
                self.chunks.append(chunk)
                self._size += len(chunk)
                if self._size > self._max_bytes:
                    self._close()

    def _finish(self, producer: Producer, failure: BaseException | None) -> None:
        """Close the producer, store the speech if it is complete, and record the end."""
        producer.close()
        if failure is None and producer.complete and self._open:
            self._store(self)  # before the end: an identical request finds one or the other
        with self._changed:
            self._failure, self._done = failure, True
            self._close()

    def _close(self) -> None:
        """Accept no more subscribers.  The lock is held."""
        if self._open:
            self._open = False
            self._on_closed()

    def _free_delivered(self) -> None:
        """Free the chunks that all have read, once no request can subscribe.  The lock is held."""
        if not self._open:
            needed = min((one.position for one in self.subscribers), default=len(self.chunks))
            for index in range(self._freed, needed):
                self.chunks[index] = b""
            self._freed = max(self._freed, needed)


class Subscriber:
    """A ``Source``: one of the requests that share a speech."""

    def __init__(self, shared: SharedSpeech, producer: Producer) -> None:
        self.producer = producer
        self.position = 0
        """The index of the next chunk."""
        self.left = False
        self._shared = shared

    @property
    def hit(self) -> bool:
        """Whether another request's producer makes the speech."""
        return self._shared.producer is not self.producer

    @property
    def seconds(self) -> float:
        """The audio that was produced so far, in seconds."""
        return self._shared.producer.seconds if self._shared.producer else 0.0

    @property
    def progress(self) -> float:
        """The part of the text that was synthesized so far, from 0 to 1."""
        return self._shared.producer.progress if self._shared.producer else 0.0

    @property
    def complete(self) -> bool:
        """Whether all chunks were produced, without an error."""
        return self._shared.producer is not None and self._shared.producer.complete

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Return the next chunk.  Raises ClientLeft after ``cancel``."""
        return self._shared.next_for(self)

    def cancel(self) -> None:
        """Unsubscribe; wakes a waiting ``next``."""
        self._shared.unsubscribe(self)

    def close(self) -> None:
        """Unsubscribe, and close the producer if it was the last one."""
        self._shared.unsubscribe(self)
        self._shared.close_unused()

"""Publish events to Kafka from ordinary Python: checked, keyed, on the right partition, acknowledged by all.

    from datetime import UTC, datetime
    from events.publisher import Publisher

    with Publisher("/crm/acme", "kafka-1:9092") as crm:
        crm.opportunity("opp-4711", time=datetime.now(UTC), stage="Proposal", amount="12500.00", currency="TWD")

Events leave in batches, from a thread of the client's. Leaving the `with` block, or `flush`, waits until
Kafka has acknowledged every one, and raises DeliveryError if it has not.
"""

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from .delivery import BufferFullError, DeliveryError, Receipt, why
from .errors import UnreachableError
from .event import Event
from .keys import Partitioner, partition_of
from .settings import KafkaSettings
from .statements import Record, Statements, record_of
from .topics import MAX_DEAD_LETTER_BYTES


class Delivery:
    """An event on its way. Nobody needs to look at it: `flush` and `close` look at all of them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.observed = False
        self._done = threading.Event()
        self._receipt: Receipt | None = None
        self._error: DeliveryError | None = None

    @property
    def done(self) -> bool:
        """Whether Kafka has acknowledged it, or never will."""
        return self._done.is_set()

    def wait(self, timeout_s: float | None = None) -> Receipt:
        """Where Kafka keeps it. Raises DeliveryError if it does not, TimeoutError if that is not known in time."""
        if not self._done.wait(timeout_s):
            raise TimeoutError(f"{self.record.type} of {self.record.event.subject!r} is still on its way")
        if self._error is not None:
            self.observed = True
            raise self._error
        assert self._receipt is not None
        return self._receipt

    def settle(self, receipt: Receipt | None, error: DeliveryError | None) -> None:
        """Say how it ended."""
        self._receipt, self._error = receipt, error
        self._done.set()


class Publisher(Statements[Delivery]):
    """Publishes what a source has to say. One serves all threads of a process.

    At most `buffer_events` wait for Kafka; beyond that `publish` waits, or raises BufferFullError, as
    `when_full` says. `on_error` is called, in the client's thread, with each event that failed.
    """

    def __init__(
        self,
        source: str,
        kafka: KafkaSettings | str = "localhost:9092",
        *,
        buffer_events: int = 10_000,
        when_full: Literal["block", "raise"] = "block",
        delivery_timeout_s: float = 120.0,
        linger_ms: int = 5,
        compression: Literal["gzip", "lz4", "snappy", "zstd"] | None = None,
        on_error: Callable[[DeliveryError], None] | None = None,
        client_id: str = "dealpulse-publisher",
    ) -> None:
        self.source = source
        self._settings = KafkaSettings(brokers=kafka) if isinstance(kafka, str) else kafka
        self._buffer_events, self._when_full = buffer_events, when_full
        self._timeout_s = delivery_timeout_s
        self._on_error = on_error
        self._changed = threading.Condition()
        self._held = 0
        self._failed: list[Delivery] = []
        try:
            self._producer = KafkaProducer(
                **self._settings.kafka_python(),
                client_id=client_id,
                enable_idempotence=True,
                acks="all",
                partitioner=partitioner(self._settings.partitioner),
                linger_ms=linger_ms,
                compression_type=compression,
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                request_timeout_ms=int(min(30.0, delivery_timeout_s / 2) * 1000),
                max_block_ms=int(delivery_timeout_s * 1000),
                max_request_size=MAX_DEAD_LETTER_BYTES,
            )
        except (KafkaError, OSError) as error:
            raise UnreachableError(
                f"Kafka at {self._settings.brokers} does not answer: {why(error)}. Is it running, and are "
                "the address and the login right?"
            ) from error

    def publish(self, said: Mapping[str, Any] | Event, *, topic: str | None = None) -> Delivery:
        """Send a CloudEvents document or an event. A resync needs its topic.

        Raises BadEventError, BufferFullError, and DeliveryError if the topic cannot be found in time.
        """
        record = record_of(said, topic)
        delivery = Delivery(record)
        self._take_place()
        try:
            future = self._producer.send(
                record.topic, value=record.value, key=record.key, headers=record.headers
            )
        except Exception as error:
            self._leave_place()
            if isinstance(error, KafkaError):
                raise _delivery_error(record, error) from error
            raise
        future.add_callback(self._acknowledged, delivery)
        future.add_errback(self._refused, delivery)
        return delivery

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until every event so far is acknowledged. Raises DeliveryError, TimeoutError."""
        deadline = time.monotonic() + (self._timeout_s + 30 if timeout_s is None else timeout_s)
        try:
            self._producer.flush(timeout=max(0.0, deadline - time.monotonic()))
        except KafkaError:
            pass  # what was not sent is counted below
        with self._changed:
            if not self._changed.wait_for(lambda: not self._held, max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"{self._held} events are still on their way to {self._settings.brokers}")
        self._raise_failed()

    def close(self, timeout_s: float | None = None) -> None:
        """Flush, and give the connections back. May be called twice. Raises as `flush`."""
        try:
            self.flush(timeout_s)
        finally:
            self._producer.close(timeout=0 if self._held else 10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except (DeliveryError, TimeoutError) as failed:
            error.add_note(str(failed))

    def _take_place(self) -> None:
        with self._changed:
            if self._held >= self._buffer_events:
                if self._when_full == "raise":
                    raise BufferFullError(self._held)
                if not self._changed.wait_for(lambda: self._held < self._buffer_events, self._timeout_s):
                    raise BufferFullError(self._held)
            self._held += 1

    def _leave_place(self) -> None:
        with self._changed:
            self._held -= 1
            self._changed.notify_all()

    def _acknowledged(self, delivery: Delivery, metadata: Any) -> None:
        delivery.settle(Receipt(metadata.topic, metadata.partition, metadata.offset), None)
        self._leave_place()

    def _refused(self, delivery: Delivery, error: BaseException) -> None:
        failed = _delivery_error(delivery.record, error)
        delivery.settle(None, failed)
        with self._changed:
            self._failed.append(delivery)
        self._leave_place()
        if self._on_error is not None:
            self._on_error(failed)

    def _raise_failed(self) -> None:
        with self._changed:
            failed, self._failed = [each for each in self._failed if not each.observed], []
        errors: list[DeliveryError] = []
        for delivery in failed:
            delivery.observed = True
            assert delivery._error is not None
            errors.append(delivery._error)
        if errors:
            first = errors[0]
            raise DeliveryError(first.type, first.subject, first.id, first.why, others=errors[1:])


def partitioner(kind: Partitioner) -> Callable[[bytes | None, list[int], list[int]], int]:
    """The partitioner that clients of Kafka are given: the key's place among all partitions."""

    def place(key: bytes | None, partitions: list[int], _available: list[int]) -> int:
        assert key is not None, "every event has a subject"
        return sorted(partitions)[partition_of(key, len(partitions), kind)]

    return place


def _delivery_error(record: Record, error: BaseException) -> DeliveryError:
    return DeliveryError(record.type, record.event.subject, record.event.id, why(error, record.topic))

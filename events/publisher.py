"""Publish events to Kafka from ordinary Python: checked, keyed, on the right partition, acknowledged by all.

    from datetime import UTC, datetime
    from events.publisher import Publisher

    with Publisher("/crm/acme", "kafka-1:9092") as crm:
        crm.opportunity("opp-4711", time=datetime.now(UTC), stage="Proposal", amount="12500.00", currency="TWD")

Events leave in batches, from a thread of the client's. Leaving the `with` block, or `flush`, waits until
Kafka has acknowledged every one, and raises DeliveryError if it has not.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from .delivery import BufferFullError, DeliveryError, Receipt, why
from .errors import UnreachableError
from .event import Event
from .keys import partition_of
from .log import get_logger
from .settings import KafkaSettings
from .statements import Record, Statements, record_of
from .topics import MAX_DEAD_LETTER_BYTES

_CONNECT_S = 10.0
_CLOSE_S = 5.0
_TOO_LATE = "no acknowledgement in time"
_settling = threading.Lock()
_log = get_logger("publisher")


class Delivery:
    """An event on its way. Nobody needs to look at it: `flush` and `close` look at all of them."""

    def __init__(self, record: Record, *, deadline: float) -> None:
        self.record, self.deadline = record, deadline
        self.observed = False
        self.error: DeliveryError | None = None
        self._done = threading.Event()
        self._receipt: Receipt | None = None

    @property
    def done(self) -> bool:
        """Whether Kafka has acknowledged it, or has not in time."""
        return self._done.is_set()

    def wait(self, timeout_s: float | None = None) -> Receipt:
        """Where Kafka keeps it. Raises DeliveryError if it does not, TimeoutError if that is not known in time.

        Without a timeout it waits as long as the publisher's `delivery_timeout_s` allows.
        """
        left = self.deadline - time.monotonic()
        if not self._done.wait(max(0.0, left if timeout_s is None else min(timeout_s, left))):
            if time.monotonic() < self.deadline:
                raise TimeoutError(f"{self.record.type} of {self.record.event.subject!r} is still on its way")
            self.settle(None, _delivery_error(self.record, TimeoutError(_TOO_LATE)))
        if self.error is not None:
            self.observed = True
            raise self.error
        assert self._receipt is not None
        return self._receipt

    def settle(self, receipt: Receipt | None, error: DeliveryError | None) -> bool:
        """Say how it ended; False if that was said before, and stands."""
        with _settling:
            if self._done.is_set():
                return False
            self._receipt, self.error = receipt, error
            self._done.set()
            return True


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
        self._pending: dict[Delivery, None] = {}
        self._failed: list[Delivery] = []
        _require_answer(self._settings.bootstrap_servers)
        try:
            self._producer = KafkaProducer(
                **self._settings.kafka_python(),
                client_id=client_id,
                enable_idempotence=True,
                acks="all",
                linger_ms=linger_ms,
                compression_type=compression,
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                request_timeout_ms=int(min(30.0, delivery_timeout_s / 2) * 1000),
                max_block_ms=int(delivery_timeout_s * 1000),
                max_request_size=MAX_DEAD_LETTER_BYTES,
            )
        except (KafkaError, OSError) as error:
            raise _unreachable(self._settings.brokers, error) from error

    def publish(self, said: Mapping[str, Any] | Event, *, topic: str | None = None) -> Delivery:
        """Send a CloudEvents document or an event. A resync needs its topic.

        Raises BadEventError, BufferFullError, and DeliveryError if the topic cannot be found in time.
        """
        record = record_of(said, topic)
        delivery = Delivery(record, deadline=time.monotonic() + self._timeout_s)
        self._take_place(delivery)
        try:
            future = self._producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=record.headers,
                partition=self._partition(record),
            )
        except Exception as error:
            self._leave_place(delivery)
            if isinstance(error, KafkaError):
                raise _delivery_error(record, error) from error
            raise
        future.add_callback(self._acknowledged, delivery)
        future.add_errback(self._refused, delivery)
        return delivery

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until every event so far is acknowledged, or will not be.

        Raises DeliveryError for those that were not (and that nobody waited for), TimeoutError if some
        are still on their way after `timeout_s`; without one it waits as long as events may take.
        """
        with self._changed:
            latest = max((each.deadline for each in self._pending), default=0.0)
            now = time.monotonic()
            until = latest if timeout_s is None else min(latest, now + timeout_s)
            self._changed.wait_for(lambda: not self._pending, max(0.0, until - now))
        self._expire(until)
        if timeout_s is not None and (left := len(self._pending)):
            raise TimeoutError(f"{left} events are still on their way to {self._settings.brokers}")
        self._raise_failed()

    def close(self, timeout_s: float | None = None) -> None:
        """Flush, and give the connections back. May be called twice. Raises as `flush`."""
        try:
            self.flush(timeout_s)
        finally:
            # kafka-python refuses to close while a batch waits, and would retry it for ever.
            if (sender := getattr(self._producer, "_sender", None)) is not None:
                sender.force_close()
            try:
                self._producer.close(timeout=_CLOSE_S)
            except KafkaError as error:
                _log.warning("publisher.close_failed", error=error)

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

    def _partition(self, record: Record) -> int:
        """Where the key belongs, among all partitions, whether or not they answer at the moment."""
        partitions = sorted(self._producer.partitions_for(record.topic) or ())
        if not partitions:
            raise UnknownTopicOrPartitionError(record.topic)
        return int(partitions[partition_of(record.key, len(partitions), self._settings.partitioner)])

    def _take_place(self, delivery: Delivery) -> None:
        if len(self._pending) >= self._buffer_events:
            self._expire(time.monotonic())
        with self._changed:
            if self._when_full == "block":
                self._changed.wait_for(lambda: len(self._pending) < self._buffer_events, self._timeout_s)
            if (held := len(self._pending)) >= self._buffer_events:
                raise BufferFullError(held)
            delivery.deadline = time.monotonic() + self._timeout_s
            self._pending[delivery] = None

    def _leave_place(self, delivery: Delivery) -> None:
        with self._changed:
            self._pending.pop(delivery, None)
            self._changed.notify_all()

    def _acknowledged(self, delivery: Delivery, metadata: Any) -> None:
        delivery.settle(Receipt(metadata.topic, metadata.partition, metadata.offset), None)
        self._leave_place(delivery)

    def _refused(self, delivery: Delivery, error: BaseException) -> None:
        delivery.settle(None, _delivery_error(delivery.record, error))
        with self._changed:
            if delivery not in self._pending:
                return
            if delivery.error is not None:
                self._failed.append(delivery)
        self._leave_place(delivery)
        if self._on_error is not None and delivery.error is not None:
            self._on_error(delivery.error)

    def _expire(self, until: float) -> None:
        """Give up what had to be acknowledged until then; the client itself retries some batches for ever."""
        with self._changed:
            late = [each for each in self._pending if each.deadline <= until]
        for delivery in late:
            self._refused(delivery, TimeoutError(_TOO_LATE))

    def _raise_failed(self) -> None:
        with self._changed:
            failed, self._failed = [each for each in self._failed if not each.observed], []
        errors: list[DeliveryError] = []
        for delivery in failed:
            delivery.observed = True
            assert delivery.error is not None
            errors.append(delivery.error)
        if errors:
            first = errors[0]
            raise DeliveryError(first.type, first.subject, first.id, first.why, others=errors[1:])


def _require_answer(addresses: list[str]) -> None:
    """Raise UnreachableError unless something listens at one of the addresses.

    kafka-python would ask for 30 seconds, and leave its sockets open when it gives up.
    """
    last: OSError | None = None
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
        except OSError as error:
            last = error
        else:
            return
    assert last is not None, "settings name at least one broker"
    raise _unreachable(",".join(addresses), last) from last


def _unreachable(brokers: str, error: BaseException) -> UnreachableError:
    return UnreachableError(
        f"Kafka at {brokers} does not answer: {why(error)}. Is it running, and are the address and the login right?"
    )


def _delivery_error(record: Record, error: BaseException) -> DeliveryError:
    return DeliveryError(record.type, record.event.subject, record.event.id, why(error, record.topic))

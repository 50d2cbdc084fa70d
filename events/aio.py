"""The publisher for asyncio, over aiokafka: the same methods, awaited.

async with AsyncPublisher("/crm/acme", "kafka-1:9092") as crm:
    await crm.opportunity("opp-4711", time=now, stage="Proposal")          # acknowledged when it returns
    await asyncio.gather(*(crm.account(...) for ...))                      # many, in batches
"""

import asyncio
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from .delivery import BufferFullError, DeliveryError, Receipt, why
from .errors import UnreachableError
from .event import Event
from .producer import start_producer
from .settings import KafkaSettings
from .statements import Record, Statements, record_of


class AsyncDelivery:
    """An event on its way; awaiting it gives the receipt, or raises DeliveryError."""

    def __init__(self, record: Record, task: "asyncio.Task[Receipt]") -> None:
        self.record, self.task = record, task
        self.observed = False

    def error(self) -> BaseException | None:
        """Why it was not acknowledged; None if it was, or was cancelled."""
        return None if self.task.cancelled() else self.task.exception()

    def __await__(self) -> Generator[Any, None, Receipt]:
        self.observed = True
        return self.task.__await__()


class AsyncPublisher(Statements[AsyncDelivery]):
    """Publishes what a source has to say; what each method gives may be awaited for the acknowledgement.

    At most `buffer_events` are with Kafka's client; beyond that one waits for its turn when it is awaited,
    or raises BufferFullError, as `when_full` says. A bad event raises BadEventError before any await. What
    nobody awaits is on its way all the same, and `flush` and `close` tell whether it arrived.
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
        client_id: str = "dealpulse-publisher",
    ) -> None:
        self.source = source
        self._settings = KafkaSettings(brokers=kafka) if isinstance(kafka, str) else kafka
        self._when_full, self._timeout_s = when_full, delivery_timeout_s
        self._places = asyncio.Semaphore(buffer_events)
        self._buffer_events = buffer_events
        self._options: dict[str, Any] = {
            "client_id": client_id,
            "linger_ms": linger_ms,
            "compression_type": compression,
            "request_timeout_ms": int(min(30.0, delivery_timeout_s / 2) * 1000),
        }
        self._producer: Any = None
        self._pending: set[AsyncDelivery] = set()
        self._failed: list[AsyncDelivery] = []

    async def start(self) -> None:
        """Connect. Raises UnreachableError."""
        self._producer = await start_producer(self._settings, **self._options)

    def publish(self, said: Mapping[str, Any] | Event, *, topic: str | None = None) -> AsyncDelivery:
        """Send a CloudEvents document or an event. A resync needs its topic.

        Raises BadEventError and BufferFullError at once; awaiting raises DeliveryError.
        """
        if self._producer is None:
            raise UnreachableError("the publisher is not started: use `async with`, or await start()")
        record = record_of(said, topic)
        if self._when_full == "raise" and len(self._pending) >= self._buffer_events:
            raise BufferFullError(len(self._pending))
        delivery = AsyncDelivery(record, asyncio.get_running_loop().create_task(self._deliver(record)))
        self._pending.add(delivery)
        delivery.task.add_done_callback(lambda _: self._settled(delivery))
        return delivery

    async def flush(self) -> None:
        """Wait until every event so far is acknowledged. Raises DeliveryError for those nobody awaited."""
        await asyncio.gather(*(each.task for each in self._pending), return_exceptions=True)
        failed, self._failed = [each for each in self._failed if not each.observed], []
        errors = [error for each in failed if isinstance(error := each.error(), DeliveryError)]
        if errors:
            first = errors[0]
            raise DeliveryError(first.type, first.subject, first.id, first.why, others=errors[1:])

    async def close(self) -> None:
        """Flush, and give the connections back. May be called twice."""
        try:
            await self.flush()
        finally:
            producer, self._producer = self._producer, None
            if producer is not None:
                await producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except DeliveryError as failed:
            if error is None:
                raise
            error.add_note(str(failed))

    async def _deliver(self, record: Record) -> Receipt:
        from aiokafka.errors import KafkaError

        async with self._places:
            try:
                async with asyncio.timeout(self._timeout_s):
                    sent = await self._producer.send(
                        record.topic, value=record.value, key=record.key, headers=record.headers
                    )
                    told = await sent
            except (KafkaError, TimeoutError, OSError) as error:
                raise DeliveryError(
                    record.type, record.event.subject, record.event.id, why(error, record.topic)
                ) from error
        return Receipt(told.topic, told.partition, told.offset)

    def _settled(self, delivery: AsyncDelivery) -> None:
        self._pending.discard(delivery)
        if delivery.error() is not None:
            self._failed.append(delivery)

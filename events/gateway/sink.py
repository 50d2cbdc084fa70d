"""Into Kafka, acknowledged by all replicas, or the reason why not."""

import asyncio
from asyncio import CancelledError
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from ..adapters.outgoing import Outgoing
from ..clock import Clock
from ..errors import DealpulseError
from ..headers import CONTENT_TYPE
from ..keys import partition_of
from ..log import get_logger
from ..settings import KafkaSettings
from ..topics import MAX_VALUE_BYTES

_LOG = get_logger("gateway")
_LONGEST_PAUSE_S = 5.0
_LINGER_MS = 0
_WORTH_A_BATCH = 4
_BATCH_BYTES = 262_144
_NO_PRODUCER_IDS = "if this broker gives out no producer ids, set gateway.idempotence = false"
# Key, headers and the frame of the batch come on top of the value.
_MAX_REQUEST_BYTES = MAX_VALUE_BYTES + 65_536


class NotAcknowledgedError(DealpulseError):
    """Kafka has not acknowledged in time. The events may yet arrive: sent again, they count once."""

    exit_code = 3


class TooLargeError(DealpulseError):
    """The broker takes no record as large as this event."""


class _Awaited:
    """The acknowledgements that one request waits for."""

    __slots__ = ("all_settled", "fault", "left")

    def __init__(self) -> None:
        self.left = 0
        self.fault: BaseException | None = None
        self.all_settled: asyncio.Future[None] | None = None

    def settle(self, fault: BaseException | None) -> None:
        """One has come, or will not."""
        self.left -= 1
        self.fault = self.fault or fault
        if not self.left and self.all_settled is not None and not self.all_settled.done():
            self.all_settled.set_result(None)


class Sink:
    """One idempotent producer, made anew when it is beyond repair.

    An idempotent producer never gives a batch up: what was sent to a broker that went away arrives
    when it is back, whatever the sender was told. So while such a batch waits, `publish` refuses at
    once instead of queueing more.
    """

    def __init__(
        self, kafka: KafkaSettings, clock: Clock, *, answer_within: float, idempotence: bool = True
    ) -> None:
        self._kafka, self._clock, self._answer_within = kafka, clock, answer_within
        self._idempotence = idempotence
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unacknowledged = 0
        self._stalled = False

    @property
    def connected(self) -> bool:
        """Whether Kafka was reached, and answers."""
        return self._producer is not None and not self._silent

    @property
    def _silent(self) -> bool:
        """Whether something was not acknowledged in time and still waits. If none waits, the next tries."""
        return self._stalled and self._unacknowledged > 0

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Return once Kafka has acknowledged all of them.

        Raises `NotAcknowledgedError` after `answer_within` seconds, or at once while Kafka is known to
        be away; `TooLargeError` for an event that the broker would not take.
        """
        if not events:
            return
        producer = self._producer
        if producer is None:
            raise NotAcknowledgedError("Kafka is not reached yet")
        if self._silent:
            raise NotAcknowledgedError("Kafka has stopped answering")
        loop, awaited = asyncio.get_running_loop(), _Awaited()
        try:
            # One timer for all of it: each costs a request more than the checks of its event.
            async with asyncio.timeout_at(loop.time() + self._answer_within):
                await self._send(producer, events, awaited)
                if awaited.left:
                    awaited.all_settled = loop.create_future()
                    await awaited.all_settled
        except TimeoutError:
            raise self._given_up(producer, events) from None
        except KafkaError as error:
            raise self._refusal(producer, error) from error
        if awaited.fault is not None:
            raise self._refusal(producer, awaited.fault) from awaited.fault

    async def stop(self) -> None:
        """Send what is left, and disconnect."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer, within=self._answer_within)

    async def _send(
        self, producer: AIOKafkaProducer, events: Sequence[Outgoing], awaited: "_Awaited"
    ) -> None:
        """Hand the events over, each for the partition of its key; `awaited` is told of each acknowledgement.

        Many for one partition go as a batch made here: that costs a tenth of sending them one by one.
        """
        places: defaultdict[tuple[str, int], list[tuple[bytes, bytes]]] = defaultdict(list)
        for event in events:
            partitions = producer.client.cluster.partitions_for_topic(event.topic)
            if partitions is None:
                partitions = await producer.partitions_for(event.topic)
            key = event.subject.encode()
            place = event.topic, partition_of(key, len(partitions), self._kafka.partitioner)
            places[place].append((key, event.value))
        for (topic, partition), records in places.items():
            if len(records) >= _WORTH_A_BATCH:
                await self._send_batches(producer, topic, partition, records, awaited)
                continue
            for key, value in records:
                future = await producer.send(
                    topic,
                    value,
                    key=key,
                    partition=partition,
                    timestamp_ms=self._clock.unix_ms(),
                    headers=[CONTENT_TYPE],
                )
                self._await(future, awaited)

    async def _send_batches(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes, bytes]],
        awaited: "_Awaited",
    ) -> None:
        batch, now = producer.create_batch(), self._clock.unix_ms()
        for key, value in records:
            if batch.append(timestamp=now, key=key, value=value, headers=[CONTENT_TYPE]) is None:
                self._await(await producer.send_batch(batch, topic, partition=partition), awaited)
                batch = producer.create_batch()
                batch.append(timestamp=now, key=key, value=value, headers=[CONTENT_TYPE])
        batch.close()
        self._await(await producer.send_batch(batch, topic, partition=partition), awaited)

    def _await(self, future: "asyncio.Future[Any]", awaited: "_Awaited") -> None:
        self._unacknowledged += 1
        awaited.left += 1
        future.add_done_callback(partial(self._settled, awaited))

    def _settled(self, awaited: "_Awaited", future: "asyncio.Future[Any]") -> None:
        self._unacknowledged -= 1
        # Asking for it also marks a failure as seen, for futures whose request is gone.
        fault = CancelledError() if future.cancelled() else future.exception()
        if fault is None and self._stalled:
            self._stalled = False
            _LOG.info("kafka.answers")
        awaited.settle(fault)

    def _given_up(self, producer: AIOKafkaProducer, events: Sequence[Outgoing]) -> NotAcknowledgedError:
        if not self._silent:
            for topic in {event.topic for event in events}:
                if producer.client.cluster.partitions_for_topic(topic) is None:
                    return _missing(topic)
        if not self._stalled and self._unacknowledged:
            self._stalled = True
            _LOG.warning("kafka.silent", waiting=self._unacknowledged, seconds=self._answer_within)
        return NotAcknowledgedError(f"Kafka has not acknowledged within {self._answer_within:g} s")

    def _refusal(self, producer: AIOKafkaProducer, fault: BaseException) -> DealpulseError:
        """What a fault of the producer is to a sender."""
        if isinstance(fault, MessageSizeTooLargeError | RecordTooLargeError):
            return TooLargeError("an event is larger than Kafka takes: see max.message.bytes of its topic")
        self._renew(producer, fault)
        return NotAcknowledgedError(f"Kafka refused: {_reason(fault)}")

    async def _connect(self) -> None:
        pause = 0.1
        while True:
            producer = self._new_producer()
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await _stop(producer, within=1.0)
                hint = _NO_PRODUCER_IDS if self._idempotence and isinstance(error, UnknownError) else None
                _LOG.warning(
                    "kafka.unreachable", brokers=self._kafka.brokers, error=_reason(error), hint=hint
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            except BaseException:
                await _stop(producer, within=1.0)
                raise
            else:
                self._producer, self._stalled = producer, False
                _LOG.info("kafka.connected", brokers=self._kafka.brokers)
                return

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._kafka.aiokafka(),
            client_id="dealpulse-gateway",
            acks="all",
            enable_idempotence=self._idempotence,
            linger_ms=_LINGER_MS,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=max(1_000, round(self._answer_within * 1000)),
        )

    def _renew(self, producer: AIOKafkaProducer, fault: BaseException) -> None:
        """Replace a producer that failed for good: fenced, out of sequence, or its sender ended."""
        passing = getattr(fault, "retriable", False) or isinstance(fault, TopicAuthorizationFailedError)
        if passing or producer is not self._producer:
            return
        _LOG.warning("kafka.producer_renewed", error=_reason(fault))
        self._producer, self._stalled = None, False
        self._ending = asyncio.create_task(_stop(producer, within=self._answer_within))
        self.start()


def _missing(topic: str) -> NotAcknowledgedError:
    return NotAcknowledgedError(f"Kafka has no topic {topic}: run `dealpulse topics ensure`")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _stop(producer: AIOKafkaProducer, *, within: float) -> None:
    """End a producer, whatever state it is in; what it cannot send by then stays unacknowledged."""
    try:
        async with asyncio.timeout(within):
            await producer.stop()
    except (KafkaConnectionError, KafkaError, TimeoutError, OSError) as error:
        _LOG.warning("kafka.close_failed", error=_reason(error))

"""The sink against a producer held in the hand; tests/integration has the real one."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
)

from events.adapters.outgoing import Outgoing
from events.clock import Clock
from events.gateway.sink import NotAcknowledgedError, Sink, TooLargeError
from events.settings import KafkaSettings

EVENT = Outgoing("crm.opportunity", "opp-1", b"{}")


class HeldProducer:
    """Takes records; acknowledges, fails or stays silent as told."""

    def __init__(self, *, faults: list[Exception] | None = None) -> None:
        self.sent: list[tuple[str, bytes, int]] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.answer: Exception | str | None = "ok"
        self.faults = faults or []
        self.stopped = False
        cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1, 2, 3} if "." in topic else None)
        self.client = SimpleNamespace(cluster=cluster)

    async def start(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def stop(self) -> None:
        self.stopped = True

    async def partitions_for(self, topic: str) -> set[int]:
        await asyncio.Event().wait()
        raise AssertionError(topic)

    async def send(self, topic: str, value: bytes, *, key: bytes, partition: int, **more: Any) -> Any:
        del value, more
        self.sent.append((topic, key, partition))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.answer == "ok":
            future.set_result(None)
        elif isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        return future


class HeldSink(Sink):
    """Makes held producers."""

    def __init__(self, *, answer_within: float = 0.05) -> None:
        super().__init__(KafkaSettings(), Clock.standing(0), answer_within=answer_within)
        self.made: list[HeldProducer] = []
        self.faults: list[Exception] = []

    def _new_producer(self) -> HeldProducer:
        self.made.append(HeldProducer(faults=self.faults))
        return self.made[-1]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.001)


def with_sink(test: Callable[[HeldSink], Coroutine[Any, Any, None]], *, answer_within: float = 0.05) -> None:
    async def whole() -> None:
        sink = HeldSink(answer_within=answer_within)
        sink.start()
        await until(lambda: sink.connected)
        await test(sink)
        await sink.stop()
        assert all(producer.stopped for producer in sink.made)

    asyncio.run(whole())


def test_a_record_goes_under_its_subject_to_the_partition_of_its_key() -> None:
    async def test(sink: HeldSink) -> None:
        await sink.publish([EVENT])
        assert sink.made[0].sent == [("crm.opportunity", b"opp-1", 3)]

    with_sink(test)


def test_all_of_a_requests_events_are_waited_for() -> None:
    async def test(sink: HeldSink) -> None:
        (producer,) = sink.made
        producer.answer = None
        publishing = asyncio.create_task(sink.publish([EVENT, EVENT, EVENT]))
        await until(lambda: len(producer.futures) == 3)
        for future in producer.futures[:2]:
            future.set_result(None)
        await asyncio.sleep(0.01)
        assert not publishing.done()
        producer.futures[2].set_result(None)
        await publishing

    with_sink(test, answer_within=5)


def test_one_failure_among_acknowledgements_refuses_the_request() -> None:
    async def test(sink: HeldSink) -> None:
        (producer,) = sink.made
        producer.answer = None
        publishing = asyncio.create_task(sink.publish([EVENT, EVENT]))
        await until(lambda: len(producer.futures) == 2)
        producer.futures[0].set_exception(NotLeaderForPartitionError())
        producer.futures[1].set_result(None)
        with pytest.raises(NotAcknowledgedError, match="NotLeaderForPartition"):
            await publishing

    with_sink(test, answer_within=5)


def test_an_acknowledgement_that_is_cancelled_is_none() -> None:
    async def test(sink: HeldSink) -> None:
        sink.made[0].answer = None
        publishing = asyncio.create_task(sink.publish([EVENT]))
        await until(lambda: len(sink.made[0].futures) == 1)
        sink.made[0].futures[0].cancel()
        with pytest.raises(NotAcknowledgedError):
            await publishing

    with_sink(test, answer_within=5)


def test_silence_refuses_at_once_until_something_is_acknowledged() -> None:
    async def test(sink: HeldSink) -> None:
        (producer,) = sink.made
        producer.answer = None
        with pytest.raises(NotAcknowledgedError, match=r"within 0\.05 s"):
            await sink.publish([EVENT])
        assert not sink.connected
        with pytest.raises(NotAcknowledgedError, match="stopped answering"):
            await sink.publish([EVENT])
        assert len(producer.sent) == 1, "nothing more is queued"
        producer.answer = "ok"
        producer.futures[0].set_result(None)
        await until(lambda: sink.connected)
        await sink.publish([EVENT])

    with_sink(test)


def test_silence_that_ends_in_a_failure_is_tried_again() -> None:
    async def test(sink: HeldSink) -> None:
        (producer,) = sink.made
        producer.answer = None
        with pytest.raises(NotAcknowledgedError):
            await sink.publish([EVENT])
        producer.answer = "ok"
        producer.futures[0].set_exception(NotLeaderForPartitionError())
        await asyncio.sleep(0)
        await sink.publish([EVENT])
        assert sink.made == [producer]

    with_sink(test)


def test_a_producer_that_is_out_of_sequence_is_made_anew() -> None:
    async def test(sink: HeldSink) -> None:
        sink.made[0].answer = OutOfOrderSequenceNumber()
        with pytest.raises(NotAcknowledgedError, match="OutOfOrderSequenceNumber"):
            await sink.publish([EVENT])
        await until(lambda: sink.connected)
        await sink.publish([EVENT])
        await until(lambda: sink.made[0].stopped)
        assert len(sink.made) == 2

    with_sink(test)


def test_a_record_that_is_too_large_is_told_apart() -> None:
    async def test(sink: HeldSink) -> None:
        sink.made[0].answer = MessageSizeTooLargeError()
        with pytest.raises(TooLargeError, match=r"max\.message\.bytes"):
            await sink.publish([EVENT])
        assert len(sink.made) == 1

    with_sink(test)


def test_a_topic_that_is_missing_is_named() -> None:
    async def test(sink: HeldSink) -> None:
        with pytest.raises(NotAcknowledgedError, match="dealpulse topics ensure"):
            await sink.publish([Outgoing("nowhere", "x", b"{}")])

    with_sink(test)


def test_a_kafka_that_is_away_is_tried_until_it_is_there() -> None:
    async def test() -> None:
        sink = HeldSink()
        sink.faults = [KafkaConnectionError("refused"), OSError("no route")]
        sink.start()
        with pytest.raises(NotAcknowledgedError, match="not reached yet"):
            await sink.publish([EVENT])
        await until(lambda: sink.connected)
        assert [producer.stopped for producer in sink.made] == [True, True, False]
        await sink.publish([])
        await sink.stop()

    asyncio.run(test())

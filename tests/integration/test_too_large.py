"""Records that a topic does not take for their size: an event is never cut."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError

from events.errors import BadEventError
from events.headers import DLQ_EXCEPTION, DLQ_MESSAGE, DLQ_OFFSET
from events.log import captured
from events.topics import MAX_DEAD_LETTER_BYTES, MAX_VALUE_BYTES, dlq_of
from streams.deadletters import dead_letter
from streams.outbox import TOO_LARGE, deliver
from streams.rebuild import _Sender
from streams.rekey import rekeyed
from tests.integration.servers import Broker, remove_topics
from tests.integration.test_letterbox import Original
from tests.integration.traffic import PARTITIONS, envelope, make_topics

TOPIC = "crm.opportunity"


async def last_of(brokers: str, topic: str, partitions: int = PARTITIONS) -> list[Any]:
    """Every record of a topic, which has so many partitions."""
    async with AIOKafkaConsumer(
        bootstrap_servers=brokers,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4_000_000,
    ) as consumer:
        waiting = {TopicPartition(topic, number) for number in range(partitions)}
        consumer.assign(list(waiting))
        found: list[Any] = []
        while waiting:
            for records in (await consumer.getmany(timeout_ms=20)).values():
                found += records
            for tp in list(waiting):
                end = consumer.highwater(tp)
                if end is not None and await consumer.position(tp) >= end:
                    waiting.discard(tp)
        return found


async def delivered(brokers: str, made: Any) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=brokers, max_request_size=2 * MAX_DEAD_LETTER_BYTES
    ) as producer:
        async with asyncio.timeout(20):
            await deliver(_Sender(producer), made)


@pytest.mark.kafka
def test_an_event_that_no_longer_fits_where_it_belongs_becomes_a_dead_letter_with_its_bytes(
    kafka: Broker,
) -> None:
    """Published again it carries one header more than the record that its topic has just taken."""
    remove_topics(kafka)
    make_topics(kafka.brokers)
    value = envelope("opportunity", "changed", "opp-1", 1, {"name": "n"})
    value = value[:-1] + b" " * (MAX_VALUE_BYTES - len(value)) + b"}"

    async def run() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.brokers, max_request_size=4_000_000) as producer:
            size = 65_536  # the topic takes so much beside a value of 1 MiB, key and framing included
            while True:
                try:
                    sent = producer.send(
                        TOPIC, value, key=b"astray", partition=0, headers=[("h", b"x" * size)]
                    )
                    await (await sent)
                    break
                except (MessageSizeTooLargeError, RecordTooLargeError):
                    size -= 8
        (stray,) = await last_of(kafka.brokers, TOPIC)
        await delivered(
            kafka.brokers, [rekeyed(TOPIC, 0, stray, partitions=PARTITIONS, partitioner="murmur2")]
        )

        assert len(await last_of(kafka.brokers, TOPIC)) == 1
        (letter,) = await last_of(kafka.brokers, dlq_of(TOPIC))
        headers = dict(letter.headers)
        assert (letter.key, letter.value) == (b"astray", value)
        assert (headers[DLQ_EXCEPTION], headers[DLQ_OFFSET]) == (b"malformed", b"0")
        assert b"more than crm.opportunity takes" in headers[DLQ_MESSAGE]
        assert TOO_LARGE not in headers

    with captured():
        asyncio.run(run())


@pytest.mark.kafka
def test_only_a_dead_letter_goes_without_its_bytes_and_it_says_so(kafka: Broker) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers)

    record = Original(7, b"k", b"x" * (MAX_DEAD_LETTER_BYTES + 1))

    async def run() -> None:
        letter = dead_letter(TOPIC, 0, record, BadEventError("malformed", "over 1 MiB"))
        await delivered(kafka.brokers, [letter])
        (found,) = await last_of(kafka.brokers, dlq_of(TOPIC))
        assert found.value is None
        assert dict(found.headers)[TOO_LARGE] == b"%d" % (MAX_DEAD_LETTER_BYTES + 1)

    with captured():
        asyncio.run(run())

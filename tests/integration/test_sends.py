"""What workers send elsewhere arrives, whatever it is and whatever Kafka knows by then; what does not is said."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.transport.drivers import aiokafka as driver
from kafka.admin import KafkaAdminClient

from aggregators.meaning import Meaning
from events.clock import Clock
from events.errors import BadEventError, UnreachableError
from events.log import captured
from events.settings import KafkaSettings
from events.topics import TOPICS, dlq_of
from streams.app import App, make_app
from streams.deadletters import DeadLetter, dead_letter
from streams.health import readiness
from streams.metrics import WorkerMetrics
from streams.outbox import Outgoing, Unsent, deliver
from streams.rebuild import _Sender
from streams.settings import RedisSettings, WorkerSettings
from streams.shards import Shards
from tests.integration.servers import Broker, remove_topics
from tests.integration.test_letterbox import Original
from tests.integration.test_replacing import Stand, stands
from tests.integration.test_schedules import PLACE
from tests.integration.test_too_large import delivered, last_of
from tests.integration.traffic import make_topics, until

TOPIC = "crm.opportunity"


@pytest.mark.kafka
def test_a_record_with_neither_key_nor_value_has_a_dead_letter_like_any_other(kafka: Broker) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers)
    error = BadEventError("malformed", "empty")
    letters = [
        dead_letter(TOPIC, 0, Original(offset, None, value), error)
        for offset, value in ((3, None), (4, b"{"))
    ]

    async def run() -> None:
        await delivered(kafka.brokers, letters)
        found = [
            DeadLetter.of(dlq_of(TOPIC), 0, record) for record in await last_of(kafka.brokers, dlq_of(TOPIC))
        ]
        assert sorted((letter.offset, letter.value) for letter in found) == [(3, b""), (4, b"{")]

    with captured():
        asyncio.run(run())


@pytest.mark.kafka
def test_a_partition_that_the_producer_has_not_heard_of_yet_is_waited_for(kafka: Broker) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers)
    admin = KafkaAdminClient(bootstrap_servers=kafka.brokers)

    async def run() -> None:
        async with (
            AIOKafkaProducer(bootstrap_servers=kafka.brokers, metadata_max_age_ms=1_000) as producer,
            asyncio.timeout(30),
        ):
            await producer.send_and_wait(TOPIC, b"0", partition=0)
            await asyncio.to_thread(admin.create_partitions, {TOPIC: 8})
            await deliver(
                _Sender(producer),
                [Outgoing(TOPIC, b"k", b"1", [], partition) for partition in (7, 1)],
            )
            assert len(await last_of(kafka.brokers, TOPIC, 8)) == 3

    try:
        with captured():
            asyncio.run(run())
    finally:
        admin.close()


@pytest.mark.kafka
def test_what_cannot_be_sent_is_named_until_it_arrives(kafka: Broker) -> None:
    remove_topics(kafka)
    unsent = Unsent()
    letter = dead_letter(TOPIC, 0, Original(3, b"k", b"{"), BadEventError("malformed", "no object"))

    async def run() -> None:
        async with (
            AIOKafkaProducer(bootstrap_servers=kafka.brokers, request_timeout_ms=1_000) as producer,
            asyncio.timeout(30),
        ):
            sending = asyncio.create_task(deliver(_Sender(producer), [letter, letter], unsent=unsent))
            await until(lambda: "UnknownTopic" in "".join(unsent.longer_than(0.5)), "the reason is told")
            (said,) = unsent.longer_than(0.5)
            assert said.startswith(f"{dlq_of(TOPIC)}: 2 records wait, the first for ")
            assert unsent.longer_than(60) == []
            await asyncio.to_thread(make_topics, kafka.brokers)
            await sending
            assert unsent.longer_than(0) == []

    with captured() as told:
        asyncio.run(run())
    assert {line["event"] for line in told} >= {"send.failed"}


def test_a_worker_whose_letters_cannot_be_sent_is_not_ready_and_says_where_to(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.health._SENT_WITHIN_S", 0.05)

    async def test(stand: Stand) -> None:
        worker = await stand.worker()
        stand.log.held = []
        stand.log.append(b"k", b"{")
        await stand.folds(worker)

        def check() -> tuple[bool, str]:
            return next((each.ok, each.detail) for each in readiness(worker.shards) if each.name == "sends")

        await until(lambda: not check()[0], "the worker says so")
        assert check()[1].startswith(f"{dlq_of(TOPIC)}: 1 record waits, the first for 0 s: no answer")
        stand.log.release()
        await until(lambda: check() == (True, "all acknowledged"), "it has arrived")

    stands(redis_url, test)


def test_no_checkpoint_goes_past_a_letter_that_was_given_up(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        worker = await stand.written(10)

        stand.log.append(b"k", b"{")
        stand.log.fault = RuntimeError("a client of another mind")
        await stand.folds(worker)
        await stand.writes(worker)

        assert worker.shards.durable(PLACE) == 10
        assert int(stand.meta()[b"offset"]) == 10
        assert isinstance(worker.shards.fault.result(), RuntimeError), "the worker ends, and says why"

    stands(redis_url, test)


def app_of(redis_url: str) -> App:
    kafka, redis, worker = (
        KafkaSettings(brokers="127.0.0.1:1"),
        RedisSettings(url=redis_url),
        WorkerSettings(),
    )
    metrics = WorkerMetrics(TOPICS, version="1")
    shards = Shards(
        kafka=kafka, redis=redis, worker=worker, meaning=Meaning(), clock=Clock(), metrics=metrics
    )
    return make_app(kafka, worker, shards)


def test_the_app_waits_for_nobody_longer_than_deliveries_and_rebalances_can_bear(redis_url: str) -> None:
    async def run() -> None:
        conf = app_of(redis_url).conf

        assert conf.producer_request_timeout <= 20  # commits and rebalances flush the producer
        assert conf.producer_metadata_max_age_ms == conf.consumer_metadata_max_age_ms <= 30_000
        # Shards may wait for Redis, or for a repartition, for days, and poll nothing meanwhile.
        assert conf.broker_max_poll_interval * 1_000 < 2**31
        assert conf.broker_max_poll_interval > 7 * 86_400

    asyncio.run(run())


def test_committed_offsets_that_are_not_told_end_the_worker_before_faust_gives_up_in_silence(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_consumer: object) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        app = app_of(redis_url)
        app.conf.broker_request_timeout = 0.5
        consumer: Any = app.consumer
        monkeypatch.setattr(driver.Consumer, "perform_seek", never)
        try:
            async with asyncio.timeout(0.5):  # as Faust does
                with pytest.raises(UnreachableError, match="has not told the committed offsets"):
                    await consumer.perform_seek()
        finally:
            consumer._thread.thread_loop.close()

    asyncio.run(run())

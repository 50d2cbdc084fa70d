"""Kafka's client is used from one thread alone: what it fetches must not vanish while it looks at it."""

import asyncio
import threading
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from aggregators.meaning import Meaning
from events.clock import Clock
from events.settings import KafkaSettings
from streams.settings import RedisSettings, WorkerSettings
from streams.worker import WorkerConfig, _Worker
from tests.integration.servers import Broker
from tests.integration.traffic import PARTITIONS, deal, make_topics, publish


@pytest.mark.parametrize("broker", ["tansu"], indirect=True)
def test_partitions_are_sought_in_the_thread_that_fetches(
    empty_broker: Broker, redis_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topics(empty_broker.brokers)
    publish(empty_broker.brokers, [deal(number) for number in range(100)])
    fetched_in: set[int] = set()
    sought_in: list[int] = []
    committed: dict[Any, float] = {}
    fetched_records, seek = Fetcher.fetched_records, AIOKafkaConsumer.seek

    async def fetches(self: Any, *arguments: Any, **named: Any) -> Any:
        fetched_in.add(threading.get_ident())
        return await fetched_records(self, *arguments, **named)

    def seeks(self: Any, *arguments: Any) -> None:
        sought_in.append(threading.get_ident())
        seek(self, *arguments)

    monkeypatch.setattr(Fetcher, "fetched_records", fetches)
    monkeypatch.setattr(AIOKafkaConsumer, "seek", seeks)

    async def folds_and_seeks() -> None:
        worker = _Worker(
            WorkerConfig(
                KafkaSettings(brokers=empty_broker.brokers),
                RedisSettings(url=redis_url),
                WorkerSettings(listen="127.0.0.1:0", group=unique, session_timeout=3.0),
                Meaning(),
                "test",
            ),
            Clock(),
            lambda _address: None,
        )
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while not (  # noqa: ASYNC110 - the worker's own state is looked at from outside
                len(worker.shards.live()) == 7 * PARTITIONS
                and sum(shard.base for shard in worker.shards.live()) == 100
            ):
                await asyncio.sleep(0.05)
            worker._stop.set()
            assert await running == 0
        consumer: Any = worker.shards._consumer
        committed.update(consumer._thread.tp_last_committed_at)

    asyncio.run(folds_and_seeks())

    assert len(sought_in) >= 7 * PARTITIONS
    assert set(sought_in) == fetched_in
    assert threading.get_ident() not in fetched_in
    assert {tp.topic for tp in committed} == {"crm.opportunity"}  # else Faust says that it is stuck

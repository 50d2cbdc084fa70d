"""The letterbox reads what is asked for, keeps no more, and gives up on a broker that is silent."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from aggregators.meaning import Meaning
from events.errors import BadEventError
from events.event import EPOCH_UNIX_S
from events.settings import KafkaSettings
from events.topics import dlq_of
from streams import letterbox, log
from streams.deadletters import dead_letter
from streams.letterbox import Choice, Letterbox
from streams.log import LogReader, Place
from streams.settings import RedisSettings
from streams.topics import KafkaUnreachableError
from tests.integration.servers import Broker, Tansu
from tests.integration.test_dead_letters import run as dealpulse
from tests.integration.traffic import (
    PARTITIONS,
    Stored,
    deal,
    envelope,
    make_topics,
    publish,
    require_equal_to_batch,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

DEALS, ACCOUNTS = "crm.opportunity", "crm.account"


class Original:
    """A record that became a dead letter."""

    timestamp = EPOCH_UNIX_S * 1000

    def __init__(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self.offset, self.key, self.value = offset, key, value
        self.headers: Sequence[tuple[str, bytes]] = ()


def put(brokers: str, topic: str, originals: Iterable[Original], reason: str = "unknown_type") -> None:
    """Dead letters of partition 0, as a worker makes them."""

    async def run() -> None:
        async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:
            for each in originals:
                letter = dead_letter(topic, 0, each, BadEventError(reason, "as it was then"))
                await producer.send_and_wait(
                    letter.topic, letter.value, key=letter.key, headers=list(letter.headers)
                )

    asyncio.run(run())


def test_a_good_event_that_is_replayed_twice_counts_once(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    """A letter of an older version, say, that this one can read."""
    brokers = empty_broker.brokers
    servers = ("--brokers", brokers, "--redis", redis_url)
    make_topics(brokers)
    data = {"stage": "Closed Won", "amount": "1000", "currency": "USD", "created_at": "2026-01-01T00:00:00Z"}
    good = envelope("opportunity", "changed", "opp-good", 5, data)
    publish(brokers, [deal(number) for number in range(50)])
    put(brokers, DEALS, [Original(4_711, b"opp-good", good)])

    def shards() -> list[Stored]:
        return [Stored(redis_url, DEALS, partition, Meaning()) for partition in range(PARTITIONS)]

    def counted(name: str) -> int:
        return sum(shard.counts[name] for shard in shards())

    def is_folded(records: int) -> bool:
        return counted("applied") + counted("unchanged") == records

    def figures() -> list[Any]:
        events = [event for shard in shards() for event in shard.state.events()]
        return sorted((event.subject, event.id, event.data.get("amount_minor", 0)) for event in events)

    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
        before = counted("applied")
        told = []
        for times in (1, 2):
            done = dealpulse("dlq", "replay", f"{DEALS}/0/4711", "--json", *servers)
            assert json.loads(done.stdout)["replayed"] == [f"{DEALS}/0/4711"], done.stderr
            wait_until(partial(is_folded, 50 + times), "it is folded")
            told.append((counted("applied"), figures()))

    assert told[0][0] == before + 1
    assert told[0] == told[1]
    assert [subject for subject, _, _ in told[0][1]].count("opp-good") == 1
    require_equal_to_batch(brokers, redis_url)


def test_only_topics_that_can_hold_what_is_asked_are_read_and_only_that_is_kept(
    empty_broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    for topic in (DEALS, ACCOUNTS):
        put(brokers, topic, [Original(number, b"k", b"{%d" % number) for number in range(20)])
    read: list[Place] = []

    class Told(LogReader):
        def __init__(self, kafka: KafkaSettings, places: Iterable[Place]) -> None:
            read.extend(places := list(places))
            super().__init__(kafka, places)

    monkeypatch.setattr(letterbox, "LogReader", Told)

    async def asked(choice: Choice, **more: Any) -> Any:
        box = Letterbox(KafkaSettings(brokers=brokers), RedisSettings(url=redis_url))
        try:
            return await box.letters(choice, **more)
        finally:
            await box.close()

    ((one, fate),) = asyncio.run(asked(Choice(names=frozenset({f"{ACCOUNTS}/0/7"}))))
    assert (one.value, fate) == (b"{7", "waiting")
    assert {topic for topic, _ in read} == {dlq_of(ACCOUNTS)}
    bare = asyncio.run(asked(Choice(reasons=frozenset({"unknown_type"})), bare=True))
    assert len(bare) == 40
    assert {(letter.key, letter.value, tuple(letter.headers)) for letter, _ in bare} == {(None, None, ())}
    assert asyncio.run(asked(Choice(names=frozenset({"nowhere/0/7"})))) == []


def test_a_broker_that_falls_silent_is_given_up(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_PATIENCE_S", 1.0)
    with Tansu() as broker:
        make_topics(broker.brokers)
        put(broker.brokers, DEALS, [Original(1, b"k", b"{")])

        class Silent(LogReader):
            async def fetch(self) -> dict[Place, list[Any]]:
                broker.pause()
                return await super().fetch()

        monkeypatch.setattr(letterbox, "LogReader", Silent)

        async def asked() -> None:
            box = Letterbox(KafkaSettings(brokers=broker.brokers), RedisSettings(url=redis_url))
            try:
                async with asyncio.timeout(20):
                    await box.letters(Choice())
            finally:
                broker.resume()
                await box.close()

        with pytest.raises(KafkaUnreachableError, match="nothing was fetched for 1 s"):
            asyncio.run(asked())

"""What a worker writes is what an exporter's follower reads: loaded, then kept current by deltas."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from aggregators.compare import Differences, compare_facts
from aggregators.meaning import Meaning
from aggregators.state import fingerprint, partition_state
from events.clock import Clock
from events.settings import KafkaSettings
from streams.follower import Follower, ShardState, connect
from streams.rebuild import Rebuild
from streams.settings import RedisSettings
from streams.shard import Shard
from streams.store import Store
from tests.integration.servers import Broker
from tests.integration.traffic import (
    PARTITIONS,
    Message,
    Stored,
    deal,
    make_topics,
    publish,
    wait_for_all,
)
from tests.integration.worker import Worker

SHARDS = [("crm.opportunity", partition) for partition in range(PARTITIONS)]


class Seen:
    """An exporter that only writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.chunks: dict[str, list[bytes]] = {}
        self.states: dict[str, ShardState] = {}

    def replace(self, shard: str, chunks: list[bytes], state: ShardState) -> None:
        self._note("replace", shard, state)
        self.chunks[shard] = list(chunks)

    def extend(self, shard: str, chunk: bytes, state: ShardState) -> None:
        self._note("extend", shard, state)
        assert chunk
        self.chunks[shard].append(chunk)

    def renew(self, shard: str, state: ShardState) -> None:
        self._note("renew", shard, state)

    def missing(self, shard: str, reason: str) -> None:
        self.told.append(("missing", shard))

    def store_up(self, up: bool) -> None:
        """Redis answers in this test, but for a moment at its start."""

    def _note(self, what: str, shard: str, state: ShardState) -> None:
        self.told.append((what, shard))
        self.states[shard] = state


def test_a_follower_holds_what_the_worker_wrote(empty_broker: Broker, redis_url: str, unique: str) -> None:
    brokers, seen = empty_broker.brokers, Seen()
    make_topics(brokers)
    follower: Any = Follower(
        RedisSettings(url=redis_url), SHARDS, fingerprint=fingerprint(Meaning()), sink=seen
    )

    async def until(offset_of: dict[str, int]) -> None:
        async with asyncio.timeout(20):
            while any(  # noqa: ASYNC110 - what a follower is told comes by plain calls
                shard not in seen.states or seen.states[shard].offset < offset
                for shard, offset in offset_of.items()
            ):
                await asyncio.sleep(0.02)

    def stored() -> dict[str, Stored]:
        return {f"{topic}/{n}": Stored(redis_url, topic, n, Meaning()) for topic, n in SHARDS}

    async def follow() -> None:
        following = asyncio.create_task(follower.run())
        try:
            await until(dict.fromkeys((f"{topic}/{n}" for topic, n in SHARDS), 0))
            for start in (0, 100):
                await asyncio.to_thread(publish, brokers, [deal(n) for n in range(start, start + 100)])
                await asyncio.to_thread(wait_for_all, brokers, redis_url)
                await until({shard: each.offset for shard, each in stored().items()})
            # Records that change no entity move the offset all the same.
            letters = [deal(0), Message("crm.opportunity", b"opp-1", b"{")]
            await asyncio.to_thread(publish, brokers, letters)
            await asyncio.to_thread(wait_for_all, brokers, redis_url)
            await until({shard: each.offset for shard, each in stored().items()})
        finally:
            following.cancel()

    with Worker(brokers, redis_url, group=unique), redis.Redis.from_url(redis_url):
        asyncio.run(follow())

    assert ("extend", "crm.opportunity/0") in seen.told
    for shard, each in stored().items():
        assert seen.chunks[shard] == each.facts
        assert seen.states[shard].counts == each.counts


def test_a_follower_takes_a_rebuilt_shard_at_once_though_its_offset_is_lower(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers, seen, shard = empty_broker.brokers, Seen(), "crm.opportunity/1"
    make_topics(brokers)
    publish(brokers, [deal(number) for number in range(200)])
    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.hincrby(f"dealpulse:{{{shard}}}:meta", "offset", 5)

    async def follow() -> None:
        settings = RedisSettings(url=redis_url)
        follower = Follower(settings, SHARDS, fingerprint=fingerprint(Meaning()), sink=seen)
        following = asyncio.create_task(follower.run())
        try:
            async with asyncio.timeout(30):
                while len(seen.states) < PARTITIONS:  # noqa: ASYNC110 - told by plain calls
                    await asyncio.sleep(0.02)
                beyond = seen.states[shard].offset
                rebuild = Rebuild(KafkaSettings(brokers=brokers), settings, Meaning(), Clock())
                (rebuilt,) = await rebuild.run([("crm.opportunity", 1)])
                assert rebuilt.offset == beyond - 5
                while seen.states[shard].offset != rebuilt.offset:  # noqa: ASYNC110 - told by plain calls
                    await asyncio.sleep(0.02)
        finally:
            following.cancel()
        assert seen.told.count(("replace", shard)) == 2

    asyncio.run(follow())


def test_a_compaction_is_one_more_delta_and_a_gap_is_read_from_the_list(redis_url: str) -> None:
    """Neither lets a follower load a shard again, which takes seconds in a large company."""
    seen, name = Seen(), "crm.opportunity/0"
    settings = RedisSettings(url=redis_url)
    follower: Any = Follower(
        settings, [("crm.opportunity", 0)], fingerprint=fingerprint(Meaning()), sink=seen
    )

    async def follow() -> None:
        store, shard = Store(settings), _empty_shard()
        follower._redis = connect(settings)
        kept = 16

        async def take_news() -> Any:
            streams = {f"dealpulse:{{{name}}}:deltas": follower._read[name]}
            return await follower._take_news(streams, block_ms=None)

        async def checkpoint(number: int) -> None:
            _fold(shard, number)
            pending = shard.prepare(0, deltas_kept=kept)
            assert pending is not None
            assert await store.write([pending.write]) == ["written"]
            shard.wrote(0)

        async def rewrite(*, alone: bool) -> None:
            rewrite = shard.begin_rewrite(alone=alone)
            while (part := shard.next_slice(10)) is not None:
                await store.push(shard.name, rewrite.generation, part)
                shard.pushed(part, 10)
            _fold(shard, shard.next)  # comes while the slices are written
            switch = shard.prepare_switch(0, deltas_kept=kept).switch
            assert await store.switch(switch) == "written"
            shard.switched(0)

        try:
            await rewrite(alone=True)
            await follower._reconcile()
            for number in range(1, 31):
                await checkpoint(number)
            assert await take_news() is False, "a gap"
            await rewrite(alone=False)
            await checkpoint(32)
            assert await take_news()
            await rewrite(alone=False)
            await checkpoint(34)
            assert await take_news()
            await follower._reconcile()
        finally:
            await store.close()
            await follower._redis.aclose()
        assert seen.states[name].offset == shard.next == 35
        wanted, found = [shard.state.dump(shard.state.subjects(), first=True).facts], Differences()
        compare_facts(name, seen.chunks[name], wanted, found, lambda _subject: True)
        assert not found.total, found.kept

    asyncio.run(follow())
    assert seen.told.count(("replace", name)) == 1
    assert follower._chunks[name] == len(_chunks_of(redis_url, name))


def _chunks_of(redis_url: str, shard: str) -> list[bytes]:
    with redis.Redis.from_url(redis_url) as client:
        generation: Any = client.hget(f"dealpulse:{{{shard}}}:meta", "generation")
        chunks: Any = client.lrange(f"dealpulse:{{{shard}}}:{generation.decode()}:facts", 0, -1)
        return list(chunks)


def _empty_shard() -> Shard:
    state = partition_state("crm.opportunity", 0, 1, "murmur2", Meaning())
    return Shard("crm.opportunity", 0, 1, state, fingerprint(Meaning()))


def _fold(shard: Shard, number: int) -> None:
    message = deal(number)
    shard.fold([_Logged(number, 0, message.key, message.value)], lambda ms: ms)


@dataclass
class _Logged:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

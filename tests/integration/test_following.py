"""What a worker writes is what an exporter's follower reads: loaded, then kept current by deltas."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from aggregators.compare import Differences, compare_facts
from aggregators.meaning import Meaning
from aggregators.state import fingerprint, partition_state
from dealpulse.doctor import _pending_entities
from events.canonical import order_key
from events.clock import Clock
from events.errors import UnreachableError
from events.settings import KafkaSettings
from exporters.snapshot import Snapshot
from streams.follower import Follower, ShardState, connect
from streams.histories import Histories
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
    envelope,
    make_topics,
    publish,
    until,
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

    def stands(self, shard: str, reason: str) -> None:
        self.told.append((f"stands: {reason}", shard))

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
        follower._redis = connect(settings)
        author = Author(settings, kept=16)
        try:
            await author.rewrite(alone=True)
            await follower._reconcile()
            for number in range(1, 31):
                await author.checkpoint(number)
            assert await take_news(follower) is False, "a gap"
            await author.rewrite(alone=False)
            await author.checkpoint(32)
            assert await take_news(follower)
            await author.rewrite(alone=False)
            await author.checkpoint(34)
            assert await take_news(follower)
            await follower._reconcile()
        finally:
            await author.store.close()
            await follower._redis.aclose()
        assert seen.states[name].offset == author.shard.next == 35
        require_same_facts(seen, author)

    asyncio.run(follow())
    assert seen.told.count(("replace", name)) == 1
    assert follower._chunks[name] == len(_chunks_of(redis_url, name))


class Author:
    """A worker's shard of one partition, as it is written to Redis step by step."""

    def __init__(self, settings: RedisSettings, *, kept: int = 64) -> None:
        self.store, self.shard, self.kept = Store(settings), _empty_shard(), kept

    async def checkpoint(self, *numbers: int) -> None:
        """Fold these records and write what has changed."""
        for number in numbers:
            _fold(self.shard, number)
        pending = self.shard.prepare(0, deltas_kept=self.kept)
        assert pending is not None
        assert await self.store.write([pending.write]) == ["written"]
        self.shard.wrote(0)

    async def rewrite(self, *, alone: bool) -> None:
        """Write everything anew, and one record more that comes meanwhile."""
        rewrite = self.shard.begin_rewrite(alone=alone)
        while (part := self.shard.next_slice(10)) is not None:
            await self.store.push(self.shard.name, rewrite.generation, part)
            self.shard.pushed(part, 10)
        _fold(self.shard, self.shard.next)
        switch = self.shard.prepare_switch(0, deltas_kept=self.kept).switch
        assert await self.store.switch(switch) == "written"
        self.shard.switched(0)

    async def adopt(self) -> None:
        """Go on from what Redis holds, as a worker that has just started."""
        stored = await self.store.stored(self.shard.name)
        assert stored is not None
        async for chunks in self.store.statements(self.shard.name, stored):
            self.shard.state.load(chunks)
        self.shard.adopt(stored)


@asynccontextmanager
async def followed(
    url: str, *, kept: int = 64, kind: type[Follower] = Follower
) -> AsyncIterator[tuple[Any, Seen, Author]]:
    """A follower of one shard that is driven by hand, what it told, and who writes the shard."""
    settings, seen = RedisSettings(url=url), Seen()
    follower: Any = kind(settings, [("crm.opportunity", 0)], fingerprint=fingerprint(Meaning()), sink=seen)
    follower._redis = connect(settings)
    author = Author(settings, kept=kept)
    try:
        await author.rewrite(alone=True)
        await follower._reconcile()
        yield follower, seen, author
    finally:
        await author.store.close()
        await follower._redis.aclose()


@asynccontextmanager
async def successor(author: Author) -> AsyncIterator[Author]:
    """Who writes the shard after him; begins with nothing."""
    again = Author(author.store._settings)
    try:
        yield again
    finally:
        await again.store.close()


async def take_news(follower: Any) -> bool:
    streams = {follower._key(shard, "deltas"): follower._read[shard] for shard in follower._held}
    taken: bool = await follower._take_news(streams, block_ms=None)
    return taken


def require_same_facts(seen: Seen, author: Author) -> None:
    """Fails unless what was told is what the author has."""
    state, found = author.shard.state, Differences()
    wanted = [state.dump(state.subjects(), first=True).facts]
    compare_facts(author.shard.name, seen.chunks[author.shard.name], wanted, found, lambda _subject: True)
    assert not found.total, found.kept


def calls(url: str, command: str) -> int:
    """How often Redis was asked that since it started."""
    with redis.Redis.from_url(url) as client:
        told: Any = client.info("commandstats")
        return int(told.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_the_name_of_a_source_may_hold_what_unicode_counts_as_the_end_of_a_line(redis_url: str) -> None:
    source, shard = "/crm/one\u2028two\u2029=3", "crm.opportunity/0"

    async def follow() -> None:
        async with followed(redis_url) as (follower, seen, author):
            value = envelope("resync", "required", "opp-\u2028\u2029", 1, {"reason": "gap"}, source=source)
            author.shard.fold([_Logged(1, 0, "opp-\u2028\u2029".encode(), value)], lambda ms: ms)
            await author.checkpoint(2)
            assert author.shard.counts["applied"] == 3
            await take_news(follower)
            assert seen.states[shard].resync_pending == {source: 1}
            await follower._reconcile()
            assert seen.states[shard].resync_pending == {source: 1}

    asyncio.run(follow())
    (check,) = _pending_entities(RedisSettings(url=redis_url), 1)
    assert check.found.endswith(f"crm.opportunity opp-\u2028\u2029 of {source}")


def test_what_is_held_stays_until_what_is_written_after_a_loss_has_come_as_far(redis_url: str) -> None:
    shard = "crm.opportunity/0"

    async def follow() -> None:
        async with followed(redis_url) as (follower, seen, author):
            for number in range(1, 31):
                await author.checkpoint(number)
            await take_news(follower)
            with redis.Redis.from_url(redis_url) as client:
                client.flushdb()
            async with successor(author) as again:
                await again.rewrite(alone=True)
                await follower._reconcile()
                read = calls(redis_url, "lrange")
                for number in range(1, 30):
                    await again.checkpoint(number)
                    assert await take_news(follower), "nothing is loaded instead"
                    if number % 10 == 0:
                        await follower._reconcile()
                assert calls(redis_url, "lrange") == read, "nor looked at in vain"
                assert not await follower._load(shard), "nor when a gap has been seen before the loss"
                assert (seen.states[shard].offset, follower._held[shard].offset) == (31, 31)
                assert seen.told.count(("replace", shard)) == 1

                await again.checkpoint(30)
                await take_news(follower)
                assert seen.states[shard].generation == again.shard.generation
                assert seen.told.count(("replace", shard)) == 2
                require_same_facts(seen, again)

    asyncio.run(follow())


def test_a_gap_that_cannot_be_closed_is_tried_once_per_comparison(redis_url: str) -> None:
    shard = "crm.opportunity/0"

    async def follow() -> None:
        async with followed(redis_url, kept=2) as (follower, seen, author):
            for number in range(1, 5):
                await author.checkpoint(number)
            with redis.Redis.from_url(redis_url) as client:
                client.hincrby(f"dealpulse:{{{shard}}}:meta", "facts_chunks", 1)  # as if one were dropped
                before = calls(redis_url, "xrevrange")
                for _ in range(10):
                    client.xadd(f"dealpulse:{{{shard}}}:deltas", _as_delta(client, shard))
                    assert await take_news(follower)
                assert calls(redis_url, "xrevrange") == before + 1
                client.hincrby(f"dealpulse:{{{shard}}}:meta", "facts_chunks", -1)
            await follower._reconcile()
            await follower._reconcile()
            assert seen.states[shard].offset == 5
            require_same_facts(seen, author)

    asyncio.run(follow())


def _as_delta(client: Any, shard: str) -> Any:
    """A delta that starts beyond all that anybody holds."""
    meta = client.hgetall(f"dealpulse:{{{shard}}}:meta")
    return {**meta, "from": 1_000, "to": 1_001, "facts": b""}


class Reset(Follower):
    """One whose next look into a shard's list ends with a broken connection."""

    broken = False

    async def _stored(self, *asked: Any) -> Any:
        if self.broken:
            self.broken = False
            raise RedisConnectionError("connection reset by peer")
        return await super()._stored(*asked)


def test_a_gap_whose_closing_broke_off_is_closed_though_no_record_comes(redis_url: str) -> None:
    shard = "crm.opportunity/0"

    async def follow() -> None:
        async with followed(redis_url, kept=2, kind=Reset) as (follower, seen, author):
            for number in range(1, 11):
                await author.checkpoint(number)
            follower.broken = True
            with pytest.raises(RedisConnectionError):
                await take_news(follower)
            assert seen.states[shard].offset == 1
            await follower._reconcile()
            await take_news(follower)
            await follower._reconcile()
            assert seen.states[shard].offset == 11
            assert seen.told.count(("replace", shard)) == 1, "caught up, not loaded"
            require_same_facts(seen, author)

    asyncio.run(follow())


def test_a_checkpoint_between_two_reads_is_no_reason_to_load(redis_url: str) -> None:
    async def follow() -> None:
        async with followed(redis_url) as (follower, seen, author):
            looked = calls(redis_url, "xrevrange")
            for number in range(1, 20):
                await author.checkpoint(number)
                await follower._reconcile()
                assert await take_news(follower)
            assert calls(redis_url, "xrevrange") == looked
            require_same_facts(seen, author)

    asyncio.run(follow())


# Histories


class Read:
    """Who asks for histories, and takes in what is given."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories
        self.snapshot = Snapshot(Meaning(), [("crm.opportunity", 0)])

    async def news(self) -> None:
        found = await self.histories.news(self.snapshot.statements_held(), self.snapshot.unreadable)
        assert self.snapshot.take_statements(found) == {}

    def require_same(self, author: Author) -> None:
        """Fails unless what was read are the author's very statements."""
        ((_, _, state),) = self.snapshot._histories.values()
        assert _events(state) == _events(author.shard.state)


@asynccontextmanager
async def reading_histories(url: str) -> AsyncIterator[tuple[Any, Seen, Author, Read]]:
    """As `followed`, and who reads the histories beside."""
    async with followed(url) as (follower, seen, author):
        histories = Histories(author.store._settings, follower)
        try:
            yield follower, seen, author, Read(histories)
        finally:
            await histories.close()


@contextmanager
def set_back(url: str) -> Iterator[None]:
    """Lets Redis hold, at the end of the block, what it held at its beginning."""
    with redis.Redis.from_url(url) as client:
        saved: Any = {key: client.dump(key) for key in client.scan_iter()}
        yield
        client.flushdb()
        for key, dumped in saved.items():
            client.restore(key, 0, dumped)


def test_histories_are_read_in_slices_and_then_what_is_new(redis_url: str) -> None:
    async def follow() -> None:
        async with reading_histories(redis_url) as (follower, _, author, read):
            for number in range(1, 40):
                await author.checkpoint(number)
            await take_news(follower)
            before = calls(redis_url, "lrange")
            await read.news()
            assert calls(redis_url, "lrange") == before + 3
            read.require_same(author)
            await read.news()
            assert calls(redis_url, "lrange") == before + 3, "nothing is new"
            await author.checkpoint(40)
            await take_news(follower)
            await read.news()
            assert calls(redis_url, "lrange") == before + 4
            read.require_same(author)

    asyncio.run(follow())


def test_histories_of_a_shard_that_is_just_written_anew_are_waited_for(redis_url: str) -> None:
    async def follow() -> None:
        async with reading_histories(redis_url) as (follower, _, author, read):
            await author.checkpoint(1)
            await take_news(follower)
            await author.rewrite(alone=False)
            reading = asyncio.create_task(read.news())
            asked = calls(redis_url, "lrange")
            await until(lambda: calls(redis_url, "lrange") >= asked + 2, "histories are looked for twice")
            assert not reading.done()
            await take_news(follower)
            await reading
            read.require_same(author)

    asyncio.run(follow())


def test_histories_are_read_anew_behind_a_redis_that_was_set_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.histories._WAIT_S", 0.1)

    async def follow() -> None:
        async with (
            reading_histories(redis_url) as (follower, seen, author, read),
            successor(author) as again,
        ):
            for number in range(1, 6):
                await author.checkpoint(number)
            with set_back(redis_url):
                await author.checkpoint(6, 7, 8)
                await take_news(follower)
                await read.news()
                await author.checkpoint(9)
                await take_news(follower)
            await again.adopt()
            for number in (6, 7, 8):
                await again.checkpoint(number)
            await take_news(follower)
            with pytest.raises(UnreachableError, match="are being written anew"):
                await read.news()
            for number in (9, 10, 11):
                await again.checkpoint(number)
            await take_news(follower)
            await follower._reconcile()
            await follower._reconcile()
            await read.news()
            read.require_same(again)
            require_same_facts(seen, again)

    asyncio.run(follow())


def test_histories_that_others_have_gone_on_with_are_read_as_a_whole(redis_url: str) -> None:
    """Set back and written as far again, before the follower has seen anything of it."""

    async def follow() -> None:
        async with reading_histories(redis_url) as (follower, _, author, read), successor(author) as again:
            for number in range(1, 6):
                await author.checkpoint(number)
            with set_back(redis_url):
                await author.checkpoint(6)
                await author.checkpoint(7)
                await take_news(follower)
                await read.news()
                await author.checkpoint(8)
                await take_news(follower)
            await again.adopt()
            for numbers in ((6, 7, 8, 9), (10,), (11,)):
                await again.checkpoint(*numbers)
            await read.news()
            read.require_same(again)

    asyncio.run(follow())


def test_a_shard_that_is_left_out_while_histories_are_read_is_left_out_of_them(redis_url: str) -> None:
    """Its facts cannot be read any more."""

    async def follow() -> None:
        async with reading_histories(redis_url) as (follower, _, author, read):
            await author.rewrite(alone=False)
            with redis.Redis.from_url(redis_url) as client:
                client.hset(f"dealpulse:{{{author.shard.name}}}:meta", "facts_chunks", "none")
                reading = asyncio.create_task(read.histories.news({}, {}))
                asked = calls(redis_url, "lrange")
                await until(lambda: calls(redis_url, "lrange") >= asked + 2, "histories are looked for twice")
            await follower._reconcile()
            assert await reading == {}

    asyncio.run(follow())


def test_a_shard_that_gets_another_meaning_stays_as_it_is_held_until_it_has_the_old_one_again(
    redis_url: str,
) -> None:
    """As in a rolling upgrade: a worker of another version has recomputed its facts, and perhaps goes back."""

    async def follow() -> None:
        async with followed(redis_url) as (follower, seen, author):
            shard, ours, offset = author.shard.name, author.shard.fingerprint, author.shard.base
            author.shard.fingerprint = "another"
            await author.rewrite(alone=True)
            await author.checkpoint(5)
            await take_news(follower)
            await follower._reconcile()
            assert seen.told[-1] == ("stands: fingerprint", shard)
            assert follower.held(shard)[0].offset == seen.states[shard].offset == offset

            author.shard.fingerprint = ours
            await author.rewrite(alone=True)
            await follower._reconcile()
            assert seen.told[-1] == ("replace", shard)
            assert seen.states[shard].offset == author.shard.base > offset + 2

    asyncio.run(follow())


def _events(state: Any) -> list[Any]:
    return sorted((event.subject, order_key(event)) for event in state.events())


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

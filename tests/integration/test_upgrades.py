"""Workers of two versions on one shard: the newer one takes it over, the older one leaves it alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import redis

from aggregators.state import FORMAT
from events.log import captured
from streams.settings import RedisSettings
from streams.transport import Batch
from tests.integration.test_schedules import PLACE, SHARD, TOPIC, Event, Log, Worker
from tests.integration.traffic import deal

META = f"machine:{SHARD}:meta"


class Upgrade:
    """One shard in Redis that a worker of this version has written, and the log it is of."""

    def __init__(self, url: str) -> None:
        self.settings = RedisSettings(url=url, prefix="machine")
        self.redis: Any = redis.Redis.from_url(url)
        self.log = Log()
        for number in range(50):
            message = deal(number, deals=5)
            self.log.append(message.key, message.value)

    def worker(self) -> Worker:
        """A worker that owns nothing yet."""
        return Worker(self.log, self.settings)

    async def fold(self, worker: Worker) -> None:
        """Let a worker fold the log from where it is, and write it."""
        (start,) = (await worker.shards.assign({PLACE})).values()
        records = self.log.records[start:]
        if records:
            await worker.shards.fold(PLACE, Batch(start, records), Event())
        async with asyncio.timeout(10):
            while worker.shards.durable(PLACE) != len(self.log.records):
                await worker.shards.checkpoints.write(all_due=True)
                await asyncio.sleep(0)

    def meta(self) -> dict[str, str]:
        """The shard's fields."""
        return {name.decode(): value.decode() for name, value in self.redis.hgetall(META).items()}


def upgrade(redis_url: str, test: Callable[[Upgrade, list[dict[str, Any]]], Any]) -> None:
    """Run a test on a shard that is written; it is told what workers log."""

    async def run(told: list[dict[str, Any]]) -> None:
        made = Upgrade(redis_url)
        first = made.worker()
        await made.fold(first)
        first.shards.keep_only(())
        await first.shards.store.close()
        try:
            await test(made, told)
        finally:
            made.redis.close()

    with captured() as told:
        asyncio.run(run(told))


def test_an_older_worker_leaves_a_newer_shard_alone_and_says_so(redis_url: str) -> None:
    async def test(made: Upgrade, told: list[dict[str, Any]]) -> None:
        made.redis.hset(META, "format", FORMAT + 1)
        before, old = made.meta(), made.worker()
        assert await old.shards.assign({PLACE}) == {}
        assert "upgrade this one" in old.shards.left_alone[PLACE]
        await old.shards.checkpoints.write(all_due=True)
        await old.shards.checkpoints.renew()
        assert made.meta() == before
        assert [line["event"] for line in told].count("shard.left_alone") == 1
        old.shards.keep_only(())
        await asyncio.sleep(0)
        await old.shards.store.close()

    upgrade(redis_url, test)


def test_a_shard_that_a_newer_worker_has_rewritten_is_not_written_by_the_older_one(redis_url: str) -> None:
    async def test(made: Upgrade, told: list[dict[str, Any]]) -> None:
        old = made.worker()
        await old.shards.assign({PLACE})
        # What a newer worker leaves: another generation in a newer format, at the same offset.
        for part in ("statements", "facts"):
            lists = f"machine:{SHARD}:{made.meta()['generation']}:{part}"
            made.redis.copy(lists, f"machine:{SHARD}:77:{part}")
        made.redis.hset(META, mapping={"format": FORMAT + 1, "generation": "77"})
        before = made.meta()

        await old.shards.checkpoints.renew()
        async with asyncio.timeout(10):
            while PLACE not in old.shards.left_alone:  # noqa: ASYNC110 - plain values
                await asyncio.sleep(0.01)

        assert old.shards.live() == []
        assert made.meta() == before
        old.shards.keep_only(())
        await asyncio.sleep(0)
        await old.shards.store.close()

    upgrade(redis_url, test)


def test_a_shard_in_an_older_format_is_rebuilt_from_the_log_and_announced(redis_url: str) -> None:
    async def test(made: Upgrade, told: list[dict[str, Any]]) -> None:
        sound = made.meta()
        made.redis.hset(META, "format", FORMAT - 1)
        new = made.worker()
        assert await new.shards.assign({PLACE}) == {PLACE: 0}
        await new.shards.checkpoints.write(all_due=True)
        assert made.meta()["format"] == str(FORMAT - 1), (
            "what was there stays until the new one has come as far"
        )

        await made.fold(new)

        after = made.meta()
        assert after["format"] == str(FORMAT)
        assert after["generation"] != sound["generation"]
        assert {name: after[name] for name in ("offset", "entities", "applied", "unchanged")} == {
            name: sound[name] for name in ("offset", "entities", "applied", "unchanged")
        }
        (said,) = [line for line in told if line["event"] == "shard.rebuilt"]
        assert (said["shard"], said["why"]) == (f"{TOPIC}/0", "written in an older format")
        new.shards.keep_only(())
        await new.shards.store.close()

    upgrade(redis_url, test)

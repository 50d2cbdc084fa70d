"""Two writers of one partition that fold the very same records: only one of them may go on."""

import asyncio

import redis

from aggregators.meaning import Meaning
from events.log import captured
from streams.settings import RedisSettings
from streams.transport import Batch
from tests.integration.test_schedules import PLACE, Event, Log, Worker
from tests.integration.traffic import Stored, envelope


def test_a_write_that_somebody_else_has_made_is_not_ones_own(redis_url: str) -> None:
    """The zombie knows a name from a record that belonged elsewhere; so its codes are not its successor's."""
    log, settings = Log(), RedisSettings(url=redis_url)

    def append(key: bytes, name: str) -> None:
        subject = "opp-1"
        number = len(log.records)
        data = {"name": name, "owner_id": name}
        log.append(key, envelope("opportunity", "changed", subject, number, data))

    async def folds(worker: Worker, offset: int) -> None:
        await worker.shards.fold(PLACE, Batch(offset, log.records[offset : offset + 1]), Event())

    async def writes(worker: Worker, rounds: int = 1) -> None:
        for _ in range(rounds):
            await worker.shards.checkpoints.write(all_due=True)
            await asyncio.sleep(0)

    async def flow() -> list[str]:
        zombie, successor, reader = (Worker(log, settings) for _ in range(3))
        append(b"opp-1", "first")
        append(b"row-7", "known to the zombie alone")
        log.held = []  # and nothing is appended by what is published again
        for worker in (zombie, successor):
            await worker.shards.assign({PLACE})
            if worker is zombie:
                await writes(zombie, 4)
                await folds(zombie, 0)
                await writes(zombie)
                await folds(zombie, 1)
                await asyncio.sleep(0.05)
                for sent in log.held:
                    sent[0].set_result(None)
                await asyncio.sleep(0.05)
                await writes(zombie, 2)
                assert zombie.shards.durable(PLACE) == 2
        for name in ("second", "second"):
            offset = len(log.records)
            append(b"opp-1", name)
            if offset == 2:
                await folds(successor, offset)
                await writes(successor)
                assert successor.shards.durable(PLACE) == 3
            await folds(zombie, offset)
            await writes(zombie)
        await asyncio.sleep(0.2)  # a shard that was dropped loads again
        await folds(successor, 3)
        await writes(successor, 3)
        await reader.shards.assign({PLACE})
        seen = [shard.name for shard in reader.shards.live()]
        for worker in (zombie, successor, reader):
            worker.shards.keep_only(())
            await asyncio.sleep(0)
            await worker.shards.store.close()
        return seen

    with captured() as lines:
        assert asyncio.run(flow()) == ["crm.opportunity/0"]

    assert [line["event"] for line in lines].count("shard.write_refused") >= 1
    stored = Stored(redis_url, "crm.opportunity", 0, Meaning())
    names = [event.data["name"] for event in stored.state.events()]
    assert (stored.offset, names) == (4, ["first", "second", "second"])


def test_a_shard_that_cannot_be_read_is_built_anew_from_the_log(redis_url: str) -> None:
    log, settings = Log(), RedisSettings(url=redis_url)
    for number in range(4):
        log.append(b"opp-1", envelope("opportunity", "changed", "opp-1", number, {"name": f"n{number}"}))

    async def owns(*, damage: bool) -> None:
        worker = Worker(log, settings)
        for tp, offset in (await worker.shards.assign({PLACE})).items():
            await worker.consumer.start_at(tp, offset)
        start = worker.consumer.position
        await worker.shards.fold(PLACE, Batch(start, log.records[start:]), Event())
        for _ in range(4):
            await worker.shards.checkpoints.write(all_due=True)
        assert worker.shards.durable(PLACE) == 4
        worker.shards.keep_only(())
        await worker.shards.store.close()
        if damage:
            with redis.Redis.from_url(redis_url) as client:
                (key,) = client.keys("*:statements")
                chunk = client.lindex(key, -1)
                client.lset(key, -1, chunk[: len(chunk) // 2])

    with captured() as lines:
        asyncio.run(owns(damage=True))
        asyncio.run(owns(damage=False))

    (told,) = [line for line in lines if line["event"] == "shard.rebuilt"]
    assert "cannot be read" in told["why"]
    stored = Stored(redis_url, "crm.opportunity", 0, Meaning())
    assert sorted(event.data["name"] for event in stored.state.events()) == ["n0", "n1", "n2", "n3"]


def test_a_fault_of_ours_while_a_shard_is_loaded_ends_the_worker(redis_url: str) -> None:
    async def flow() -> Exception:
        worker = Worker(Log(), RedisSettings(url=redis_url))
        worker.shards.store.stored = fails  # type: ignore[method-assign]  # the fault that is tested
        await worker.shards.assign({PLACE})
        async with asyncio.timeout(5):
            error = await worker.shards.fault
        await worker.shards.store.close()
        return error

    async def fails(shard: str) -> None:
        raise RuntimeError("a fault of ours")

    with captured():
        assert str(asyncio.run(flow())) == "a fault of ours"

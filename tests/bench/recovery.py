"""Taking over a million open deals: how long a worker and an exporter load, and what a deal takes of memory.

The shards lie in a real Redis, as workers write them. Each load is a process of its own, through the code
that a worker and an exporter run; memory is the growth of its resident set.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any, Final

import psutil
from faust.types import TP

from aggregators.meaning import Meaning
from aggregators.state import fingerprint, partition_state
from dealpulse.embedded import RedisServer
from events.clock import Clock
from events.keys import partitions_of
from exporters.snapshot import Snapshot
from streams.follower import Follower
from streams.metrics import WorkerMetrics
from streams.settings import RedisSettings, WorkerSettings
from streams.shard import Shard
from streams.shards import Shards
from streams.store import Store
from streams.topic_ids import TopicIds

TOPIC: Final = "crm.opportunity"
PARTITIONS: Final = 4
STEPS: Final = {
    "open": ("Prospecting", "Negotiation"),
    "closed": ("Prospecting", "Proposal", "Negotiation", "Closed Won"),
}
_SLICE: Final = 2_000


def run(*, deals: int = 1_000_000) -> dict[str, Any]:
    """Seconds to load, and bytes an entity, of so many open deals of 2 statements and closed ones of 4."""
    found: dict[str, Any] = {}
    for kind, count in (("open", deals), ("closed", deals // 4)):
        with RedisServer() as server:
            url = f"redis://127.0.0.1:{server.port}/0"
            asyncio.run(_fill(url, kind, count))
            worker, exporter = (_loaded(who, url) for who in ("worker", "exporter"))
        found[kind] = {
            "deals": count,
            "worker_s": round(worker["seconds"], 2),
            "worker_bytes_per_deal": round(worker["grown"] / count),
            "exporter_s": round(exporter["seconds"], 2),
            "exporter_bytes_per_deal": round(exporter["grown"] / count),
        }
    return found


def _loaded(who: str, url: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.recovery", who, url],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _statements(kind: str, count: int, partition: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every statement about the deals of a partition, in the order of their time."""
    keys = [b"opp-%07d" % number for number in range(count)]
    mine = [number for number, at in enumerate(partitions_of(keys, PARTITIONS, "murmur2")) if at == partition]
    for step, stage in enumerate(STEPS[kind]):
        for number in mine:
            at = f"2026-{3 * step + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z"
            data = f'"stage": "{stage}"'
            if not step:
                data += (
                    f', "owner_id": "rep-{number % 200}", "account_id": "acc-{number % 50_000}", '
                    f'"amount": "{number % 90_000 + 1000}.00", "currency": "USD", "created_at": "{at}", '
                    f'"close_date": "2026-12-{number % 28 + 1:02}", "name": "Deal {number}"'
                )
            elif stage.startswith("Closed"):
                data += f', "close_date": "{at[:10]}"'
            value = (
                f'{{"specversion": "1.0", "id": "{number}-{step}", "source": "/bench", '
                f'"type": "dealpulse.opportunity.changed", "subject": "opp-{number:07}", "time": "{at}", '
                f'"data": {{{data}}}}}'
            )
            yield keys[number], value.encode()


async def _fill(url: str, kind: str, count: int) -> None:
    """Put the shards into Redis, as a rebuild does."""
    store = Store(RedisSettings(url=url))
    for partition in range(PARTITIONS):
        state = partition_state(TOPIC, partition, PARTITIONS, "murmur2", Meaning())
        shard = Shard(TOPIC, partition, PARTITIONS, state, fingerprint(Meaning()))
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        for key, value in _statements(kind, count, partition):
            keys.append(key)
            values.append(value)
        folded = state.fold(keys, values)
        assert folded.applied == len(keys), folded
        shard.next = len(keys)
        generation = shard.begin_rewrite(alone=True).generation
        while (part := shard.next_slice(_SLICE)) is not None:
            await store.push(shard.name, generation, part)
            shard.pushed(part, _SLICE)
        assert await store.switch(shard.prepare_switch(0).switch) == "written"
    await store.close()


class _Consumer:
    """Where a worker would go on; nobody fetches here."""

    async def start_at(self, tp: TP, offset: int) -> None:
        """Nothing to fetch."""

    def topic_partitions(self, topic: str) -> int:
        return PARTITIONS

    def log_end(self, tp: TP) -> None:
        return None

    async def asked_ends(self, tps: Collection[TP]) -> dict[TP, int]:
        return {}


async def _worker(url: str) -> dict[str, float]:
    from events.settings import KafkaSettings

    shards = Shards(
        kafka=KafkaSettings(partitions=PARTITIONS),
        redis=RedisSettings(url=url),
        worker=WorkerSettings(),
        meaning=Meaning(),
        clock=Clock(),
        metrics=WorkerMetrics([TOPIC], version="bench"),
        topic_ids=TopicIds(dict),
    )
    nothing_is_sent: Any = None
    shards.attach(_Consumer(), nothing_is_sent)
    before, began = _resident(), time.monotonic()
    tps = {TP(TOPIC, partition) for partition in range(PARTITIONS)}
    while len(await shards.assign(tps)) < PARTITIONS:
        pass
    return {"seconds": time.monotonic() - began, "grown": _resident() - before}


async def _exporter(url: str) -> dict[str, float]:
    places = [(TOPIC, partition) for partition in range(PARTITIONS)]
    snapshot = Snapshot(Meaning(), places)
    follower = Follower(RedisSettings(url=url), places, fingerprint=fingerprint(Meaning()), sink=snapshot)
    before, began = _resident(), time.monotonic()
    following = asyncio.create_task(follower.run())
    while not snapshot.is_complete:  # noqa: ASYNC110 - told by plain calls
        await asyncio.sleep(0.005)
    seconds = time.monotonic() - began
    following.cancel()
    return {"seconds": seconds, "grown": _resident() - before}


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    measure = _worker if sys.argv[1] == "worker" else _exporter
    print(json.dumps(asyncio.run(measure(sys.argv[2]))))

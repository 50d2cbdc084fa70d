"""Another number of partitions, or another partitioner: every record and shard to where it belongs, while all goes on.

1. Kafka gives the topic more partitions. From then on, workers that see it leave its shards alone, and
   exporters keep what they have: figures stand still and say so, none is counted twice.
2. Shard by shard, the log is folded under the new number. A record whose key belongs elsewhere now is
   published again there, with the time of its first append, and acknowledged.
3. One atomic step puts the new shard in the place of the old one, and says the new number of partitions.
4. Workers load the shards that say the number of partitions that Kafka says; the partitions that are new
   hold what step 2 has published, and are folded like any others.

Another `kafka.partitioner` is the same without step 1: workers that are started with it leave the shards of the
other one alone.

Whatever interrupts it, running it again does what is left: shards that say the new number are done, and a
record published twice is the same event.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aggregators.meaning import Meaning
from events.clock import Clock
from events.errors import UnreachableError, UsageError
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics
from streams.rebuild import Rebuild, Rebuilt, Show
from streams.settings import RedisSettings
from streams.store import Store
from streams.verify import partitions_of

_ASKED_AT_MOST: Final = 100


@dataclass(frozen=True)
class Plan:
    """What has to be done for one topic."""

    topic: str
    there: int
    """Partitions that Kafka has now."""
    wanted: int
    stale: tuple[int, ...]
    """Partitions whose shard was folded under another number or by another partitioner, or not yet."""
    records: int
    """Records folded in the stale shards: they are read again, and some of them move."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return self.there == self.wanted and not self.stale


async def plans(kafka: KafkaSettings, redis: RedisSettings, wanted: int) -> list[Plan]:
    """What it takes to have so many partitions per topic. Raises UsageError for fewer than there are."""
    found = await partitions_of(kafka)
    for topic, there in found.items():
        if there > wanted:
            raise UsageError(
                f"{topic} has {there} partitions, and Kafka takes none away: set kafka.partitions = {there}, "
                f"or say --partitions {there} or more"
            )
    store = Store(redis)
    try:
        return [await _plan(store, kafka, topic, found[topic], wanted) for topic in TOPICS]
    finally:
        await store.close()


async def _plan(store: Store, kafka: KafkaSettings, topic: str, there: int, wanted: int) -> Plan:
    stored = [await store.stored(f"{topic}/{partition}") for partition in range(wanted)]
    stale = tuple(
        partition
        for partition, held in enumerate(stored)
        if held is None or not held.placing.is_under(wanted, kafka.partitioner)
    )
    if all(held is None for held in stored):
        stale = ()  # nothing was folded yet: workers begin under the number there is
    records = sum(held.offset for partition in stale if (held := stored[partition]) is not None)
    return Plan(topic, there, wanted, stale, records)


async def repartition(
    kafka: KafkaSettings,
    redis: RedisSettings,
    meaning: Meaning,
    clock: Clock,
    todo: list[Plan],
    *,
    show: Show = lambda _shard, _records, _of: None,
) -> list[Rebuilt]:
    """Do what is planned. Raises KafkaUnreachableError, StoreError and FaultFoundError."""
    grown: Mapping[str, int] = {plan.topic: plan.wanted for plan in todo if plan.there < plan.wanted}
    if grown:
        await asyncio.to_thread(topics.grow, kafka, grown)
        await _spread(kafka, grown)
    work = Rebuild(kafka, redis, meaning, clock, show=show)
    try:
        done = [
            await work.move((plan.topic, partition), plan.wanted) for plan in todo for partition in plan.stale
        ]
    finally:
        await work.close()
    return [each for each in done if each is not None]


async def _spread(kafka: KafkaSettings, grown: Mapping[str, int]) -> None:
    """Wait until the broker that is asked has heard of the new partitions."""
    for _ in range(_ASKED_AT_MOST):
        found = await partitions_of(kafka)
        if all(found[topic] >= wanted for topic, wanted in grown.items()):
            return
        await asyncio.sleep(0.1)
    raise UnreachableError("Kafka has taken the new partitions, and does not show them yet: run it again")

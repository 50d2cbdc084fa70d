"""All dead letters of a system: what waits, what was replayed, what was dropped.

The letters lie in Kafka for good. What became of them lies in Redis, one hash per topic (docs/redis.md);
should Redis lose it, they count as waiting again, and replaying one twice changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from events.event import EPOCH_UNIX_S
from events.headers import RECORDED
from events.keys import partition_of
from events.producer import start_producer
from events.settings import KafkaSettings
from events.topics import TOPICS, dlq_of
from streams.deadletters import DeadLetter
from streams.follower import connect
from streams.log import LogReader
from streams.outbox import TOO_LARGE
from streams.settings import RedisSettings
from streams.store import StoreError
from streams.topics import KafkaUnreachableError
from streams.topics import topics as described

Fate = Literal["waiting", "replayed", "dropped"]


def fates_key(prefix: str, topic: str) -> str:
    """The Redis hash of a topic's dead letters that do not wait any more: name -> `replayed`, `dropped`."""
    return f"{prefix}:dlq:{topic}"


@dataclass(frozen=True)
class Choice:
    """Which dead letters are meant. Empty fields choose all; instants are ms since 2000."""

    names: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    fates: frozenset[Fate] = frozenset({"waiting"})

    def includes(self, letter: DeadLetter, fate: Fate) -> bool:
        """Whether it is one of them. Its time is that of the original record's append."""
        at_ms = letter.recorded_unix_ms - EPOCH_UNIX_S * 1000
        return (
            (not self.names or letter.name in self.names)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
            and fate in self.fates
        )

    def among(self, topics: Iterable[str]) -> list[str]:
        """Those of the topics that can hold one of them."""
        named = {name.rsplit("/", 2)[0] for name in self.names}
        return [topic for topic in topics if not named or topic in named]


class Letterbox:
    """The dead letters behind one configuration. Raises KafkaUnreachableError and StoreError."""

    def __init__(self, kafka: KafkaSettings, redis: RedisSettings) -> None:
        self._kafka, self._prefix = kafka, redis.prefix
        self._redis = connect(redis)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def letters(
        self, choice: Choice, topics: Sequence[str] = TOPICS, *, bare: bool = False
    ) -> list[tuple[DeadLetter, Fate]]:
        """The chosen dead letters of these topics and what became of them, oldest first.

        A repeat of one (same topic, partition and offset of the original) is listed once. `bare`: without
        their bytes and headers. Nothing but what is chosen is kept in memory.
        """
        topics = choice.among(topics)
        fates = await self._fates(topics)
        chosen: dict[str, tuple[DeadLetter, Fate]] = {}
        async for letter in self._read(topics):
            fate = fates.get(letter.name, "waiting")
            if choice.includes(letter, fate):
                kept = letter._replace(key=None, value=None, headers=()) if bare else letter
                chosen[letter.name] = kept, fate
        return sorted(chosen.values(), key=lambda one: (one[0].recorded_unix_ms, one[0].name))

    async def replay(self, letters: Iterable[DeadLetter]) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """Publish these again where they came from: original key, value and headers, and their time.

        Returns those replayed, and those whose value is not in the dead letter topic (it was too large).
        """
        replayed, without_value = [], []
        try:
            producer = await start_producer(self._kafka)
            try:
                partitions: dict[str, int] = {}
                for letter in letters:
                    if any(name == TOO_LARGE for name, _ in letter.headers):
                        without_value.append(letter)
                        continue
                    if letter.topic not in partitions:
                        partitions[letter.topic] = len(await producer.partitions_for(letter.topic))
                    await producer.send_and_wait(
                        letter.topic,
                        value=letter.value,
                        key=letter.key,
                        partition=self._partition(letter.key, partitions[letter.topic]),
                        headers=[*letter.headers, (RECORDED, b"%d" % letter.recorded_unix_ms)],
                    )
                    replayed.append(letter)
            finally:
                await producer.stop()
        except (KafkaError, OSError) as error:
            raise KafkaUnreachableError(self._kafka, error) from error
        finally:
            await self.settle(replayed, "replayed")
        return replayed, without_value

    async def settle(self, letters: Iterable[DeadLetter], fate: Fate) -> None:
        """Note what became of these."""
        try:
            for letter in letters:
                await self._redis.hset(fates_key(self._prefix, letter.topic), letter.name, fate)
        except (RedisError, OSError) as error:
            raise StoreError(
                f"Redis does not take note of dead letters: {error}. Check redis.url."
            ) from error

    def _partition(self, key: bytes | None, partitions: int) -> int | None:
        return None if key is None else partition_of(key, partitions, self._kafka.partitioner)

    async def _fates(self, topics: Sequence[str]) -> dict[str, Fate]:
        fates: dict[str, Fate] = {}
        try:
            for topic in topics:
                held = await self._redis.hgetall(fates_key(self._prefix, topic))
                fates |= {name.decode(): fate.decode() for name, fate in held.items()}
        except (RedisError, OSError) as error:
            raise StoreError(
                f"Redis does not tell what became of dead letters: {error}. Check that it runs, and redis.url."
            ) from error
        return fates

    async def _read(self, topics: Sequence[str]) -> AsyncIterator[DeadLetter]:
        """Every record of the dead letter topics of these topics, up to the ends that fetches tell."""
        there = await asyncio.to_thread(described, self._kafka, [dlq_of(topic) for topic in topics])
        waiting = {(topic.name, partition) for topic in there for partition in range(topic.partitions)}
        if not waiting:
            return
        async with LogReader(self._kafka, waiting) as log:
            while waiting:
                for (topic, partition), records in (await log.fetch()).items():
                    for record in records:
                        yield DeadLetter.of(topic, partition, record)
                for place in list(waiting):
                    end = log.end(place)
                    if end is not None and await log.position(place) >= end:
                        waiting.discard(place)
                        log.leave(place)


async def settled(redis: Any, prefix: str, topic: str) -> int:
    """How many of a topic's dead letters do not wait any more.

    Waiting are as many as the `dead_lettered` counts of its shards add up to, less these.
    """
    return int(await redis.hlen(fates_key(prefix, topic)))

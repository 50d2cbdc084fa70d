"""How many dead letters wait: those that the shards have counted, less those replayed or dropped."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import RedisError

from events.log import get_logger
from events.topics import TOPICS
from exporters.figures import Series
from exporters.metrics import EngineMetrics
from exporters.snapshot import Snapshot
from streams.follower import connect
from streams.letterbox import fates_key
from streams.settings import RedisSettings

log = get_logger("exporter")

EVERY_S: Final = 5.0


def pending(dead: Mapping[str, int], settled: Mapping[str, int]) -> Series:
    """Topic -> dead letters that still wait. A letter that is bad again after a replay is a new one."""
    return {(topic,): float(max(0, count - settled.get(topic, 0))) for topic, count in dead.items()}


class Letters:
    """Asks Redis now and then how many dead letters are settled, and tells the metrics what is left."""

    def __init__(self, redis: RedisSettings, snapshot: Snapshot, metrics: EngineMetrics) -> None:
        self._settings, self._snapshot, self._metrics = redis, snapshot, metrics

    async def run(self) -> None:
        """Until cancelled. While Redis is away the last number stands: the freshness tells how old it is."""
        redis = connect(self._settings)
        try:
            while True:
                try:
                    await self._look(redis)
                except (RedisError, OSError) as error:
                    log.debug("letters.unknown", error=str(error))
                await asyncio.sleep(EVERY_S)
        finally:
            await redis.aclose()

    async def _look(self, redis: Any) -> None:
        dead = dict.fromkeys(TOPICS, 0) | self._dead()
        settled = {
            topic: int(await redis.hlen(fates_key(self._settings.prefix, topic)))
            for topic, count in dead.items()
            if count
        }
        self._metrics.kept = {**self._metrics.kept, "dead_letters_pending": pending(dead, settled)}

    def _dead(self) -> dict[str, int]:
        found: defaultdict[str, int] = defaultdict(int)
        for (topic, _, result), count in self._snapshot.records().items():
            if result == "dead_lettered":
                found[topic] += count
        return dict(found)

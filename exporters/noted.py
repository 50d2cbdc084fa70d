"""What commands note in Redis and the exporter serves: settled dead letters, the last `verify`."""

import asyncio
from collections import defaultdict
from typing import Any, Final

from redis.exceptions import RedisError

from events.clock import Clock
from events.log import get_logger
from events.topics import TOPICS
from exporters.letters import pending
from exporters.metrics import EngineMetrics
from exporters.snapshot import Snapshot
from exporters.verdict import verdict
from streams.follower import connect
from streams.held import verify_key
from streams.letterbox import fates_key
from streams.settings import RedisSettings

log = get_logger("exporter")

EVERY_S: Final = 5.0


class Noted:
    """Asks Redis now and then what was noted, and tells the metrics."""

    def __init__(
        self, redis: RedisSettings, snapshot: Snapshot, metrics: EngineMetrics, clock: Clock
    ) -> None:
        self._settings, self._snapshot, self._metrics, self._clock = redis, snapshot, metrics, clock

    async def run(self) -> None:
        """Until cancelled. While Redis is away the last numbers stand: the freshness tells how old they are."""
        redis = connect(self._settings)
        try:
            while True:
                try:
                    await self._look(redis)
                except (RedisError, OSError) as error:
                    log.debug("notes.unknown", error=str(error))
                await asyncio.sleep(EVERY_S)
        finally:
            await redis.aclose()

    async def _look(self, redis: Any) -> None:
        prefix = self._settings.prefix
        dead = dict.fromkeys(TOPICS, 0) | self._dead()
        settled = {
            topic: int(await redis.hlen(fates_key(prefix, topic))) for topic, count in dead.items() if count
        }
        verified = await redis.hgetall(verify_key(prefix))
        self._metrics.kept = {
            "dead_letters_pending": pending(dead, settled),
            **verdict(verified, self._clock.real_ms),
        }

    def _dead(self) -> dict[str, int]:
        found: defaultdict[str, int] = defaultdict(int)
        for (topic, _, result), count in self._snapshot.records().items():
            if result == "dead_lettered":
                found[topic] += count
        return dict(found)

"""Reading the log from its beginning, as any number of folds of it may: no group, nothing committed."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from streams.topics import KafkaUnreachableError

_FETCH_MS: Final = 100
_PATIENCE_S: Final = 30.0
_RECORDS_AT_ONCE: Final = 5_000

Place = tuple[str, int]
"""A topic and a partition."""


class LogReader:
    """Some partitions, from their first record on. Raises KafkaUnreachableError."""

    def __init__(self, kafka: KafkaSettings, places: Iterable[Place]) -> None:
        self._kafka = kafka
        self._tps = {place: TopicPartition(*place) for place in places}
        self._consumer: Any = None
        self._idle_s = 0.0

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka(), auto_offset_reset="earliest", fetch_max_wait_ms=_FETCH_MS
        )
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise KafkaUnreachableError(self._kafka, error) from error
        self._consumer.assign(list(self._tps.values()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def fetch(self) -> dict[Place, list[Any]]:
        """The next records, of some partitions; nothing if there are none at this moment."""
        began = time.monotonic()
        try:
            found = await self._consumer.getmany(timeout_ms=_FETCH_MS, max_records=_RECORDS_AT_ONCE)
        except (KafkaError, OSError) as error:
            raise KafkaUnreachableError(self._kafka, error) from error
        self._idle_s = 0.0 if found else self._idle_s + time.monotonic() - began
        if self._idle_s > _PATIENCE_S:
            raise KafkaUnreachableError(
                self._kafka, TimeoutError(f"nothing was fetched for {_PATIENCE_S:g} s")
            )
        return {(tp.topic, tp.partition): records for tp, records in found.items()}

    async def position(self, place: Place) -> int:
        """The offset of the next record to fetch."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                position: int = await self._consumer.position(self._tps[place])
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnreachableError(self._kafka, error) from error
        return position

    def end(self, place: Place) -> int | None:
        """The end of the log as the last fetch told it; None before the first."""
        end: int | None = self._consumer.highwater(self._tps[place])
        return end

    def leave(self, place: Place) -> None:
        """Fetch no more of a partition."""
        self._consumer.pause(self._tps[place])

"""Playing: records to Kafka when they are due, by a clock that is brought along."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from ..clock import Clock
from .outbox import Record

_LOOK_AHEAD_S = 0.5
"""The longest wait before the clock is read again: it may be put forward, or told to stop."""


class Publishes(Protocol):
    """What takes records: `events.bulk.Bulk`, or something around it."""

    async def send(self, topic: str, key: str | None, value: bytes) -> None:
        """Take a record; wait while too many are on the way."""

    async def flush(self) -> None:
        """Wait until all are acknowledged."""


async def publish(records: Iterable[Record], bulk: Publishes, *, stop: asyncio.Event) -> int:
    """Send records as fast as Kafka takes them; how many. Ends early when `stop` is set."""
    sent = 0
    for record in records:
        if stop.is_set():
            break
        await bulk.send(record.topic, record.key, record.value)
        sent += 1
        if sent % 500 == 0:
            await asyncio.sleep(0)  # let the client send, and a signal be heard
    await bulk.flush()
    return sent


async def play(
    records: Iterable[Record],
    bulk: Publishes,
    *,
    clock: Clock,
    stop: asyncio.Event,
    until_ms: int | None = None,
) -> int:
    """Send each record when the clock reaches the instant it is told at; how many.

    Ends when `stop` is set, when the clock reaches `until_ms`, or with the records.
    """
    sent = 0
    for record in records:
        while not stop.is_set() and (wait_ms := record.told_ms - clock.now_ms()) > 0:
            if until_ms is not None and clock.now_ms() >= until_ms:
                break
            seconds = clock.real_seconds(wait_ms / 1000)
            try:
                async with asyncio.timeout(min(seconds, _LOOK_AHEAD_S)):
                    await stop.wait()
            except TimeoutError:
                pass
        if stop.is_set() or (until_ms is not None and clock.now_ms() >= until_ms):
            break
        await bulk.send(record.topic, record.key, record.value)
        sent += 1
        if sent % 500 == 0:
            await asyncio.sleep(0)
    await bulk.flush()
    return sent

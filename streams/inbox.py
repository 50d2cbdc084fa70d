"""Partitions of topics that are passed on, record by record: how far all of them are acknowledged.

A partition starts where the group's committed offset is. Batches go through in order; their results are
acknowledged by Kafka in any order, and the durable offset moves when the oldest one is: what a crash
interrupts is passed on again by the next owner, with the same ids. A delivery that fails by a fault of ours
ends the worker: nothing behind it may be committed, and nobody else would say that the partition stands still.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from faust.types import TP

from events.errors import DealpulseError
from events.log import get_logger
from streams.shards import Positions
from streams.stuck import Stuck
from streams.transport import Batch

log = get_logger("worker")

_UNDER_WAY: Final = 8
"""Batches of a partition whose acknowledgements are waited for together."""


@dataclass
class _Passing:
    """A batch under way: the offset after it, its delivery, and how to acknowledge it."""

    end: int
    delivery: "asyncio.Task[None]"
    acknowledge: Callable[[], object]


@dataclass
class _Place:
    """One partition: records below `next` were taken, those below `durable` are passed on."""

    next: int
    durable: int
    under_way: deque[_Passing] = field(default_factory=deque)


class Inbox:
    """The partitions of some topics that this worker owns. The transport and the agent call it."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._places: dict[TP, _Place] = {}
        self._consumer: Positions
        self._stuck = Stuck()
        self.fault: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Why this worker must not go on: a delivery that has failed, which is a fault of ours."""

    def attach(self, consumer: Positions) -> None:
        """The consumer to move."""
        self._consumer = consumer

    # What the transport asks.

    async def assign(self, tps: set[TP], committed: Mapping[TP, int]) -> dict[TP, int]:
        """Own these, each from where it was taken, or where the group has left it."""
        self.rebalanced(tps)
        for tp in tps - self._places.keys():
            self._places[tp] = _Place(committed[tp], committed[tp])
        return {tp: self._places[tp].next for tp in tps}

    def rebalanced(self, tps: Iterable[TP]) -> None:
        """Give up every partition but these; deliveries under way are the next owner's to repeat."""
        for tp in self._places.keys() - set(tps):
            under_way = self._places.pop(tp).under_way
            for passing in under_way:
                passing.delivery.cancel()
                passing.acknowledge()
            under_way.clear()

    def position(self, tp: TP) -> int | None:
        """The offset up to which every record was taken; None if the partition is not owned."""
        place = self._places.get(tp)
        return None if place is None else place.next

    def durable(self, tp: TP) -> int | None:
        """The offset up to which every record is passed on; None if the partition is not owned."""
        place = self._places.get(tp)
        return None if place is None else place.durable

    async def settle(self, seconds: float) -> None:
        """Wait for the deliveries under way, or give up after so many seconds."""
        waiting = [passing.delivery for place in self._places.values() for passing in place.under_way]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for place in self._places.values():
            for passing in place.under_way:
                passing.acknowledge()  # Faust waits for it; what is committed does not depend on it
                passing.acknowledge = _nothing

    # What the agent asks.

    def news(self, tp: TP, batch: Batch) -> Sequence[Any] | None:
        """The records of a batch that were not taken yet; None for a batch that is out of place."""
        place = self._places.get(tp)
        if place is None or batch.start > place.next:
            return None
        return batch.records[bisect_left(batch.records, place.next, key=lambda record: record.offset) :]

    async def back(self, tp: TP) -> None:
        """Fetch again from where the partition was left."""
        if (place := self._places.get(tp)) is not None:
            await self._consumer.start_at(tp, place.next)

    async def take(
        self, tp: TP, end: int, delivering: Coroutine[Any, Any, None], acknowledge: Callable[[], object]
    ) -> None:
        """Take the records below offset `end`, whose results are delivered so. Waits if too many are."""
        place = self._places[tp]
        delivery = asyncio.create_task(delivering)
        place.next = end
        place.under_way.append(_Passing(end, delivery, acknowledge))
        delivery.add_done_callback(lambda _done: self._advance(place))
        while len(place.under_way) > _UNDER_WAY:
            waiting: list[asyncio.Future[Any]] = [place.under_way[0].delivery, self.fault]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self.fault.done():
                raise self.fault.result()
            await asyncio.sleep(0)  # its callback is about to take it away

    def _advance(self, place: _Place) -> None:
        while place.under_way and (oldest := place.under_way[0]).delivery.done():
            if oldest.delivery.cancelled():  # by nobody here: who gives a partition up forgets its deliveries
                if not self.fault.done():
                    self.fault.set_result(DealpulseError("a delivery was cancelled before it was done"))
                return
            if (error := oldest.delivery.exception()) is not None:
                if not self.fault.done():
                    log.error("translation.failed", error=error, next="nothing beyond it is committed")
                    self.fault.set_result(error)
                return
            place.under_way.popleft()
            place.durable = oldest.end
            oldest.acknowledge()

    async def watch_log(self, every_s: float) -> None:
        """Look again and again whether a partition stands still, and fetch it anew."""
        while True:
            for tp, place in list(self._places.items()):
                end = self._consumer.log_end(tp)
                if self._stuck(tp, place.next, None if end is None else max(0, end[0] - place.next)):
                    log.warning("partition.stuck", shard=f"{tp.topic}/{tp.partition}", next=place.next)
                    await self.back(tp)
            await asyncio.sleep(every_s)


def _nothing() -> None:
    """What has been acknowledged is not acknowledged again."""

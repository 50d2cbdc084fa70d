"""Partitions that are passed on: committed is never more than what Kafka has acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

import pytest
from faust.types import TP

from streams.inbox import Inbox
from streams.transport import Batch

PLACE = TP("sf.Account", 0)


class Record(NamedTuple):
    """A record, as far as it matters here."""

    offset: int


class Consumer:
    """Where the partition was sent to."""

    def __init__(self) -> None:
        self.sought: list[int] = []

    async def start_at(self, tp: TP, offset: int) -> None:
        self.sought.append(offset)

    def topic_partitions(self, topic: str) -> int:
        return 1

    def log_end(self, tp: TP) -> tuple[int, int]:
        return 100, 0

    async def asked_ends(self, tps: Collection[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 100)


def batch(first: int, last: int) -> Batch:
    return Batch(first, [Record(offset) for offset in range(first, last + 1)])


def with_inbox(test: Callable[[Inbox, Consumer, list[str]], Awaitable[None]], *, committed: int = 0) -> None:
    async def run() -> None:
        inbox, consumer = Inbox([PLACE.topic]), Consumer()
        inbox.attach(consumer)
        assert await inbox.assign({PLACE}, {PLACE: committed}) == {PLACE: committed}
        async with asyncio.timeout(10):
            await test(inbox, consumer, [])

    asyncio.run(run())


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def when(event: asyncio.Event) -> None:
    await event.wait()


def test_a_later_acknowledgement_does_not_commit_an_earlier_record() -> None:
    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        first, second = asyncio.Event(), asyncio.Event()
        await inbox.take(PLACE, 3, when(first), lambda: acked.append("first"))
        await inbox.take(PLACE, 5, when(second), lambda: acked.append("second"))
        second.set()
        await turn()
        assert (inbox.durable(PLACE), acked) == (0, [])
        first.set()
        await turn()
        assert (inbox.durable(PLACE), acked) == (5, ["first", "second"])

    with_inbox(test)


def test_what_was_taken_is_not_taken_again_and_a_gap_is_fetched_anew() -> None:
    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        await inbox.take(PLACE, 14, asyncio.sleep(0), lambda: None)
        assert inbox.news(PLACE, batch(10, 13)) == []
        assert inbox.news(PLACE, batch(12, 15)) == [Record(14), Record(15)]
        assert inbox.news(PLACE, batch(15, 16)) is None
        await inbox.back(PLACE)
        assert consumer.sought == [14]

    with_inbox(test, committed=10)


def test_a_partition_given_up_is_taken_over_where_the_group_left_it() -> None:
    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        await inbox.take(PLACE, 14, when(asyncio.Event()), lambda: acked.append("dropped"))
        inbox.rebalanced(())
        assert acked == ["dropped"]  # so that Faust does not wait for it
        assert inbox.durable(PLACE) is None
        assert inbox.news(PLACE, batch(14, 15)) is None
        assert await inbox.assign({PLACE}, {PLACE: 10}) == {PLACE: 10}

    with_inbox(test, committed=10)


def test_a_delivery_that_fails_keeps_everything_behind_it_uncommitted_and_ends_the_worker() -> None:
    async def broken() -> None:
        raise ValueError("no such thing")

    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        await inbox.take(PLACE, 2, broken(), lambda: None)
        await inbox.take(PLACE, 4, asyncio.sleep(0), lambda: None)
        await turn()
        assert inbox.durable(PLACE) == 0
        assert str(await inbox.fault) == "no such thing"

    with_inbox(test)


def test_nobody_turns_in_circles_behind_a_delivery_that_failed() -> None:
    async def broken() -> None:
        raise ValueError("no such thing")

    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        async def takes_many() -> None:
            for end in range(2, 12):
                await inbox.take(PLACE, end, when(asyncio.Event()), lambda: None)

        await inbox.take(PLACE, 1, broken(), lambda: None)
        with pytest.raises(ValueError, match="no such thing"):
            await takes_many()

    with_inbox(test)


def test_a_delivery_that_is_cancelled_by_something_else_ends_the_worker_too() -> None:
    async def test(inbox: Inbox, consumer: Consumer, acked: list[str]) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def awaits() -> None:
            await gone

        await inbox.take(PLACE, 1, awaits(), lambda: None)
        await turn()
        gone.cancel()
        assert "cancelled" in str(await inbox.fault)
        assert inbox.durable(PLACE) == 0

    with_inbox(test)

"""Which topics these are: Kafka gives each an id when it makes it, which no other has, on this cluster or another.

A shard says which topic it was folded from. A topic of the same name that was made anew, or is another Kafka's, has
other records at the same offsets: nothing of the one continues the other. Brokers without ids (Kafka before 2.8)
tell none, and then nothing is compared.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from events.errors import UnreachableError

OLD_S: Final = 60.0
"""So often Kafka is asked whether a topic is still the one it was."""
_PAUSE_S: Final = 10.0
"""After a question that was not answered nobody asks again for so long, if the ids are known from before."""


class TopicIds:
    """The ids of topics, as Kafka told them last."""

    def __init__(self, ask: Callable[[], Mapping[str, str]]) -> None:
        """`ask` asks Kafka, and waits for its answer. It raises UnreachableError."""
        self._ask = ask
        self._told: dict[str, str] = {}
        self._told_at = self._failed_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def known(self, topic: str) -> str:
        """The id of a topic as far as it is known; "" if it is not."""
        return self._told.get(topic, "")

    async def of(self, topic: str, *, within_s: float) -> str:
        """The id of a topic, as Kafka told it so many seconds ago at most; "" if it has none.

        One that Kafka does not tell now is the one that it told before. Raises UnreachableError if there is none.
        """
        await self.refresh(within_s=within_s)
        return self.known(topic)

    async def refresh(self, *, within_s: float) -> None:
        """Ask if the last answer is older than that. Raises UnreachableError if there never was one."""
        now = time.monotonic()
        if now - self._told_at <= within_s or (self._told and now - self._failed_at < _PAUSE_S):
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._asked())
        try:
            await asyncio.shield(self._asking)  # others wait for it, too
        except UnreachableError:
            self._failed_at = time.monotonic()
            if not self._told:
                raise

    async def _asked(self) -> None:
        began = time.monotonic()
        try:
            self._told |= await asyncio.to_thread(self._ask)
            self._told_at = began
        finally:
            self._asking = None


def other_topic(shard: str, held: str, found: str) -> str:
    """What to say of a shard that was folded from another topic of that name."""
    return (
        f"{shard} was folded from another topic of this name (its id was {held}, is {found}): it was made anew, or "
        "this is another Kafka. Correct kafka.brokers or redis.prefix; if it was meant, run "
        "`dealpulse rebuild --all --yes`"
    )

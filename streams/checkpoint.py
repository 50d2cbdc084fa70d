"""When shards are written to Redis: soon when caught up, rarely when behind, always in one atomic step.

A checkpoint of a shard goes through five steps:

1. what has changed is taken from the state, with the offset and the counts it is true for;
2. every record below that offset that was published again or dead-lettered is acknowledged by Kafka;
3. one script writes changes, counts and offset, if Redis still holds what they start from;
4. the batches below the offset are acknowledged to Faust;
5. Faust commits Kafka offsets, never beyond what is durable.

A write whose answer is lost is sent again as it was; the script finds out whether it had been done. One that
Redis refuses is sent again after a moment, and no other shard waits for it.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Final, Protocol

from events.clock import Clock
from events.log import get_logger
from streams.metrics import WorkerMetrics
from streams.settings import RedisSettings, WorkerSettings
from streams.shard import Shard
from streams.store import Outcome, RefusedError, Store, StoreError

log = get_logger("worker")

_SLICE_SUBJECTS: Final = 2_000
"""Entities per slice of a rewrite: some 20 ms, so that folding goes on in between."""
_RETRY_S: Final = 0.5
_FACTS_BYTES_PER_S: Final = 8 * 1024 * 1024
"""Facts written a second beyond which the gap grows: a deal of 10,000 statements is a megabyte of facts each
time it changes, and 50 of these a second are more than exporters take in."""


def gap_s(facts_bytes: int, *, shortest_s: float, longest_s: float) -> float:
    """Seconds to let pass after a round that wrote so many bytes: the more, the longer changes coalesce."""
    return max(shortest_s, min(facts_bytes / _FACTS_BYTES_PER_S, longest_s))


class Owner(Protocol):
    """Who owns the shards that are written."""

    def live(self) -> Iterable[Shard]:
        """The shards that are loaded."""

    def fenced(self, shard: Shard) -> None:
        """Somebody else has written this shard: drop it and load it again."""


class Checkpoints:
    """Writes the shards of an owner until cancelled."""

    def __init__(
        self,
        owner: Owner,
        store: Store,
        *,
        worker: WorkerSettings,
        redis: RedisSettings,
        clock: Clock,
        metrics: WorkerMetrics,
    ) -> None:
        self._owner, self._store, self._clock, self._metrics = owner, store, clock, metrics
        self._gap_s = worker.checkpoint_gap_ms / 1000
        self._gap_behind_s = worker.checkpoint_gap_behind_ms / 1000
        self._behind_by = worker.fetch_max_records
        self._deltas_kept = redis.delta_stream_length
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written_at: dict[str, float] = {}
        self._facts_bytes = 0
        """Of facts, written since the last gap."""
        self.store_answers = True
        """Whether Redis answered the last time it was asked."""
        self.refused: dict[str, str] = {}
        """Shards whose last write Redis has refused, and what it said."""
        self._again_at: dict[str, float] = {}

    def wake(self) -> None:
        """Something has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Write what is due, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.write():
                await asyncio.sleep(_RETRY_S)
                self.wake()
            pause_s = gap_s(self._facts_bytes, shortest_s=self._gap_s, longest_s=self._gap_behind_s)
            self._facts_bytes = 0
            await asyncio.sleep(pause_s)

    async def settle(self, seconds: float) -> bool:
        """Write everything that has changed; whether that was done within so many seconds."""
        try:
            return await self._settled(seconds)
        finally:
            self.wake()  # what it could not write is still to be written, if the shard stays ours

    async def _settled(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(shard.changed and not self._is_rebuilt(shard) for shard in self._owner.live()):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    if not await self.write(all_due=True):
                        await asyncio.sleep(self._gap_s)
                    elif any(shard.changed for shard in self._owner.live()):
                        await self._until_woken(self._gap_s)
            except TimeoutError:
                return False
        return True

    async def write(self, *, all_due: bool = False) -> bool:
        """One round over all shards: what is due is written. False if Redis did not answer."""
        async with self._writing:
            try:
                await self._checkpoint(all_due=all_due)
                for shard in list(self._owner.live()):
                    try:
                        await self._rewrite(shard)
                    except RefusedError as error:
                        self._refuse(shard, error)
            except StoreError as error:
                self._away(error)
                return False
            self.store_answers = True
            return True

    async def renew(self) -> None:
        """Say of each shard that lacks nothing up to which instant it is true."""
        async with self._writing:
            asked = [(shard, shard.renewal(self._clock.now_ms())) for shard in self._owner.live()]
            due = [(shard, renewal) for shard, renewal in asked if renewal is not None]
            if not due:
                return
            try:
                outcomes = await self._store.renew([renewal for _, renewal in due])
            except StoreError as error:
                self._away(error)
                return
            self.store_answers = True
            for (shard, _), outcome in zip(due, outcomes, strict=True):
                if isinstance(outcome, RefusedError):
                    self._refuse(shard, outcome)
                else:
                    self._act(shard, outcome)

    async def _checkpoint(self, *, all_due: bool) -> None:
        now = time.monotonic()
        due = []
        for shard in self._owner.live():
            if not shard.changed or not (all_due or (self._may_try(shard) and self._is_due(shard, now))):
                continue
            pending = shard.prepare(self._clock.now_ms(), deltas_kept=self._deltas_kept)
            if pending is not None and self._all_sent(pending.sends):
                due.append((shard, pending))
        if not due:
            return
        try:
            outcomes = await self._store.write([pending.write for _, pending in due])
        except StoreError:
            self._metrics.checkpoints.labels("failed").inc(len(due))
            raise
        ended = time.monotonic()
        for (shard, pending), outcome in zip(due, outcomes, strict=True):
            self._metrics.checkpoint_seconds.labels(shard.topic).observe(ended - now)
            if shard.pending is not pending:
                continue  # dropped while it was written
            if isinstance(outcome, RefusedError):
                self._refuse(shard, outcome)
                continue
            if outcome == "written":
                self._written_at[shard.name] = ended
                self._metrics.checkpoints.labels("written").inc()
                self._facts_bytes += len(pending.write.change.facts)
                shard.wrote(self._clock.now_ms())
                if shard.changed:  # by what was folded while this one waited for acknowledgements
                    self.wake()
            self._act(shard, outcome)

    async def _rewrite(self, shard: Shard) -> None:
        """One step of a shard's rewrite, if it has or needs one."""
        if not self._may_try(shard):
            return
        if shard.rewrite is None:
            if shard.wants_rewrite and not self._is_rebuilt(shard):
                shard.begin_rewrite(alone=True)
            elif shard.wants_compaction:
                shard.begin_rewrite(alone=False)
            else:
                return
        self.wake()
        if shard.switching is None:
            part = shard.next_slice(_SLICE_SUBJECTS)
            if part is not None:
                assert shard.rewrite is not None
                await self._store.push(shard.name, shard.rewrite.generation, part)
                if shard.rewrite is not None:
                    shard.pushed(part, _SLICE_SUBJECTS)
                return
            if shard.pending is not None:
                return
        switching = shard.prepare_switch(self._clock.now_ms(), deltas_kept=self._deltas_kept)
        if not self._all_sent(switching.sends):
            return
        outcome = await self._store.switch(switching.switch)
        if shard.switching is not switching:
            return
        if outcome == "written":
            shard.switched(self._clock.now_ms())
            self._metrics.checkpoints.labels("written").inc()
            if shard.state.entities:
                log.info(
                    "shard.rewritten", shard=shard.name, offset=shard.base, entities=shard.state.entities
                )
        self._act(shard, outcome)

    def _act(self, shard: Shard, outcome: Outcome) -> None:
        if self.refused.pop(shard.name, None) is not None and outcome == "written":
            log.info("shard.write_taken", shard=shard.name, base_offset=shard.base)
        if outcome == "fenced":
            self._metrics.checkpoints.labels("fenced").inc()
            log.warning("shard.write_refused", shard=shard.name, base_offset=shard.base)
            self._owner.fenced(shard)
        elif outcome == "gone":
            log.warning("shard.lost", shard=shard.name, base_offset=shard.base, next="written again in full")
            shard.begin_rewrite(alone=True)
            self.wake()

    def _is_due(self, shard: Shard, now: float) -> bool:
        """When caught up always; when behind once in a while, so that changes of an entity coalesce."""
        if shard.pending is not None or not shard.is_behind(self._behind_by):
            return True
        left = self._written_at.get(shard.name, 0.0) + self._gap_behind_s - now
        if left > 0:
            asyncio.get_running_loop().call_later(left, self.wake)
        return left <= 0

    def _refuse(self, shard: Shard, error: RefusedError) -> None:
        """Redis does not take this shard: it is tried again by itself, and the others go on."""
        self._metrics.checkpoints.labels("failed").inc()
        if self.refused.get(shard.name) != str(error):
            self.refused[shard.name] = str(error)
            log.warning("shard.not_written", shard=shard.name, base_offset=shard.base, error=error)
        self._again_at[shard.name] = time.monotonic() + _RETRY_S
        asyncio.get_running_loop().call_later(_RETRY_S, self.wake)

    def _may_try(self, shard: Shard) -> bool:
        """Whether Redis has refused nothing of it for a moment."""
        return time.monotonic() >= self._again_at.get(shard.name, 0.0)

    def _is_rebuilt(self, shard: Shard) -> bool:
        """Whether it still folds what Redis holds in an older state: nothing is written till then."""
        return shard.next < shard.rebuild_until

    def _all_sent(self, sends: Iterable["asyncio.Task[None]"]) -> bool:
        """Whether Kafka has acknowledged them all; the last one to be wakes the next round.

        Of one that has ended otherwise nobody knows what has arrived: no checkpoint may go past it.
        """
        sends = list(sends)
        waiting = [send for send in sends if not send.done()]
        for send in waiting:
            send.remove_done_callback(self._sent)
            send.add_done_callback(self._sent)
        return not waiting and not any(send.cancelled() or send.exception() for send in sends)

    def _sent(self, _send: "asyncio.Task[None]") -> None:
        self.wake()

    def _away(self, error: StoreError) -> None:
        self.store_answers = False
        log.warning("redis.away", error=error)

    async def _until_woken(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

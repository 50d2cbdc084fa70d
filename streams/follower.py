"""Following the shards in Redis: what an exporter is told of them, and in what order.

Each shard is loaded once, whole, then kept current by the deltas that every checkpoint appends in the
same atomic step. A delta is taken if it starts at the offset held; after a gap (the stream is bounded)
the chunks that are new in the shard's list are read; under a generation that does not continue the one
held, or another fingerprint, the shard is loaded anew. Shards never lie half: one entity is on one shard,
and one delta is one checkpoint.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from aggregators.state import UNREADABLE
from events.log import get_logger
from streams.connection import connected
from streams.names import RESULTS
from streams.placing import Told, other_partitioner, told_partitioner
from streams.settings import RedisSettings

log = get_logger("follower")

DEALS = "crm.opportunity"
CANNOT_BE_READ: Final = (*UNREADABLE, AttributeError)
"""What taking in a chunk raises that is not as it was written: a number, say, where a text should be."""
_BLOCK_MS = 200


@dataclass(frozen=True, slots=True)
class ShardState:
    """What a shard's last checkpoint says of it, without its entities. Instants in ms since 2000."""

    offset: int
    generation: str
    fingerprint: str
    fresh_ms: int
    first_append_ms: int | None
    """Of a delta: when its first record was appended."""
    newest_event_ms: int | None
    counts: Mapping[str, int]
    resync_pending: Mapping[str, int]
    partitions: int | None = None
    """How many its topic had when it was folded; None in a delta."""
    replaces: str = ""
    """The generation that a rebuild has put this one in the place of; empty in a delta."""
    write: str | None = None
    """The name of the write that made it so; None if that was not told, by a worker of an older version."""
    partitioner: Told = ""
    """By which the topic's keys were placed then; empty in a delta, or from a worker of an older version."""


class Sink(Protocol):
    """Who is told. Calls come from one task; a shard is named `<topic>/<partition>`."""

    def replace(self, shard: str, chunks: list[bytes], state: ShardState) -> None:
        """The whole shard, anew: its chunks in their order."""

    def extend(self, shard: str, chunk: bytes, state: ShardState) -> None:
        """One more checkpoint of a shard that is held."""

    def renew(self, shard: str, state: ShardState) -> None:
        """Nothing changed, but the shard is true for a later instant."""

    def missing(self, shard: str, reason: str) -> None:
        """The shard cannot be merged: `absent`, `fingerprint`, `partitions`, `partitioner` or `unreadable`."""

    def stands(self, shard: str, reason: str) -> None:
        """What is held of the shard stays, and stands still: what is stored cannot be merged, for such a reason."""

    def store_up(self, up: bool) -> None:
        """Whether Redis answers."""


class Follower:
    """Follows all shards of the given topics until cancelled."""

    def __init__(
        self,
        settings: RedisSettings,
        shards: Iterable[tuple[str, int]],
        *,
        fingerprint: str,
        sink: Sink,
        executor: Executor | None = None,
        partitioner: Told = "",
    ) -> None:
        """`executor` is where the sink is called; None: right here, on the event loop. `partitioner`: only shards
        that were folded with this one are taken; "": with any.
        """
        self._settings, self._fingerprint, self._sink = settings, fingerprint, sink
        self._executor = executor
        places = list(shards)
        self._shards = {f"{topic}/{partition}": topic for topic, partition in places}
        self._partitions = Counter(topic for topic, _ in places)
        self._partitioner = partitioner
        self._left: dict[str, tuple[str, object]] = {}
        """Shards of which what is stored cannot be merged: why, and what they say instead."""
        self._held: dict[str, ShardState] = {}
        self._read: dict[str, bytes] = {}  # the last entry read of each stream
        self._chunks: dict[str, int] = {}
        """How many chunks of its list are held of each shard: after a gap those behind them are read."""
        self._last: dict[str, bytes | None] = {}
        """The last of them; None if it is not known."""
        self._loads: Counter[str] = Counter()
        """How often each shard was loaded as a whole."""
        self._unreadable: dict[str, str] = {}
        """Shard -> the generation of it that could not be read."""
        self._torn: set[str] = set()
        """Shards of which the sink may lack something that is said to be held: to be loaded as a whole."""
        self._behind: dict[str, int] = {}
        """Shards that were seen at a later offset than is held, and which is held."""
        self._waiting: set[str] = set()
        """Shards with a gap that could not be closed: their deltas are passed over until the next comparison."""
        self._kept: dict[str, str] = {}
        """Shards that are held at a higher offset than Redis', and the generation that is there."""
        self._redis: Any = None

    async def run(self) -> None:
        """Load, then follow; a Redis that is away is one warning and a retry."""
        self._redis = connect(self._settings)
        try:
            while True:
                try:
                    await self._reconcile()
                    self._sink.store_up(True)
                    await self._follow()
                except (RedisError, OSError) as error:
                    self._sink.store_up(False)
                    log.warning("redis.away", error=str(error))
                    await asyncio.sleep(_BLOCK_MS / 1000)
        finally:
            await self._redis.aclose()

    def held(self, shard: str) -> tuple[ShardState, str] | None:
        """What is held of a shard, and a token that another load of the whole or generation changes."""
        state = self._held.get(shard)
        return None if state is None else (state, f"{state.generation}/{self._loads[shard]}")

    def shards_of(self, topic: str) -> list[str]:
        """The shards of a topic, held or not."""
        return [shard for shard, name in self._shards.items() if name == topic]

    async def _tell(self, told: Callable[..., None], *args: object) -> None:
        if self._executor is None:
            told(*args)
        else:
            await asyncio.get_running_loop().run_in_executor(self._executor, told, *args)

    def _key(self, shard: str, part: str) -> str:
        return f"{self._settings.prefix}:{{{shard}}}:{part}"

    async def _metas(self) -> dict[str, Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in self._shards:
                pipe.hgetall(self._key(shard, "meta"))
            found = await pipe.execute()
        return dict(zip(self._shards, found, strict=True))

    async def _reconcile(self) -> None:
        """Compare what is held with what is stored; load what cannot be followed."""
        self._waiting.clear()
        for shard, meta in (await self._metas()).items():
            if not meta:
                await self._compare(shard, None)
            elif (stored := await self._state(shard, meta)) is not None:
                await self._compare(shard, stored)

    async def _state(self, shard: str, meta: Mapping[bytes, bytes]) -> ShardState | None:
        """What a shard's meta says; None if that cannot be read, and the shard is set aside."""
        try:
            int(meta.get(self._list(shard) + b"_chunks", 0))  # asked for later, where nobody expects a fault
            return shard_state(meta)
        except CANNOT_BE_READ as error:
            # Under a name that no generation has: once its meta can be read, it is.
            await self._set_aside(shard, f"{meta.get(b'generation')!r}?", error)
            return None

    async def _compare(self, shard: str, stored: ShardState | None) -> None:
        held, behind = self._held.get(shard), self._behind.pop(shard, None)
        if stored is None:
            # What is held stays: a live worker writes a lost shard again, and numbers go stale till then.
            if held is None:
                await self._tell(self._sink.missing, shard, "absent")
        elif reason := self._why_not(shard, stored):
            await self._leave(shard, reason, stored)
        else:
            await self._take_up(shard, held, stored, behind)

    async def _take_up(
        self, shard: str, held: ShardState | None, stored: ShardState, behind: int | None
    ) -> None:
        stood = self._left.pop(shard, None) is not None
        if held is None:
            if self._unreadable.get(shard) != stored.generation:
                await self._load(shard)
        elif shard in self._torn:
            await self._load_whole(shard)
        elif self._is_beyond(shard, held, stored):
            return
        elif held.generation != stored.generation or stored.offset < held.offset:
            await self._load(shard)
        elif stored.offset > held.offset:
            # The delta is on its way, unless it was passed over, or Redis' clock was set back.
            if behind == held.offset:
                await self._load(shard)
            else:
                self._behind[shard] = held.offset
        elif not _is_one_write(stored, held):
            # Redis was set back, and somebody has come to the same offset with other codes for its symbols.
            await self._load_whole(shard)
        elif stood or _told(stored) != _told(held):
            self._held[shard] = stored
            await self._tell(self._sink.renew, shard, stored)

    def _is_beyond(self, shard: str, held: ShardState, stored: ShardState) -> bool:
        """Whether what is held is to stay, being the fold of more records.

        A Redis that was restarted empty, or with an old snapshot, is written again from there on. A lower offset
        is taken where a rebuild has put it.
        """
        if stored.offset >= held.offset or stored.replaces == held.generation:
            self._kept.pop(shard, None)
            return False
        if self._kept.get(shard) != stored.generation:
            self._kept[shard] = stored.generation
            log.warning("shard.kept", shard=shard, held_offset=held.offset, stored_offset=stored.offset)
        return True

    async def _load(self, shard: str) -> bool:
        """Bring a shard up to what is stored: by the chunks that are new in its list, or as a whole.

        False if it stays as it is held.
        """
        held = self._held.get(shard)
        if held is not None and shard not in self._torn and await self._catch_up(shard, held):
            return True
        return await self._load_whole(shard)

    async def _catch_up(self, shard: str, held: ShardState) -> bool:
        """Read what a gap has hidden; False where what is held is not the beginning of what is stored.

        Loading a large shard may take longer than the stream keeps deltas: this always comes to an end.
        """
        count, last = self._chunks[shard], self._last[shard]
        start = count if last is None else count - 1
        meta, chunks, newest = await self._stored(shard, held.generation, start)
        if not meta or meta.get(b"generation") != held.generation.encode():
            return False
        if last is not None and chunks[:1] != [last]:
            return False  # Redis was set back, and others have gone on from there
        chunks = chunks[count - start :]
        state = await self._state(shard, meta)
        stored = -1 if state is None else int(meta.get(self._list(shard) + b"_chunks", -1))
        if (
            state is None
            or state.offset < held.offset
            or stored != count + len(chunks)
            or self._why_not(shard, state)
        ):
            return False
        self._read[shard] = newest[0][0] if newest else b"0-0"
        self._held[shard], self._chunks[shard] = state, stored
        self._last[shard] = chunks[-1] if chunks else last
        news: list[Callable[[], None]] = [partial(self._sink.extend, shard, chunk, state) for chunk in chunks]
        try:
            await self._tell(_do_all, news or [partial(self._sink.renew, shard, state)])
        except CANNOT_BE_READ:  # perhaps the whole can be read, and else it is set aside
            self._torn.add(shard)
            return False
        return True

    def _list(self, shard: str) -> bytes:
        return b"facts" if self._shards[shard] == DEALS else b"statements"

    async def _stored(self, shard: str, generation: str, start: int) -> tuple[Any, list[bytes], Any]:
        """Of one instant: a shard's meta, the chunks of a generation from `start` on, the newest delta."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._key(shard, "meta"))
            pipe.lrange(self._key(shard, f"{generation}:{self._list(shard).decode()}"), start, -1)
            pipe.xrevrange(self._key(shard, "deltas"), count=1)
            meta, chunks, newest = await pipe.execute()
        return meta, chunks, newest

    async def _load_whole(self, shard: str) -> bool:
        """Load all that is stored of a shard; False if it stays as it is held."""
        while True:
            # Asked before the chunks are read: they may be many.
            meta, length = await self._about(shard)
            state = await self._state(shard, meta) if meta else None
            if state is None or not await self._may_load(shard, state, self._lacking(shard, meta, length)):
                return False
            meta, chunks, newest = await self._stored(shard, state.generation, 0)
            if meta and meta.get(b"generation") == state.generation.encode():
                break
        state = await self._state(shard, meta)
        if state is None or not await self._may_load(shard, state, self._lacking(shard, meta, len(chunks))):
            return False
        self._read[shard] = newest[0][0] if newest else b"0-0"
        self._held[shard], self._chunks[shard] = state, len(chunks)
        self._last[shard] = chunks[-1] if chunks else None
        self._loads[shard] += 1
        self._torn.add(shard)  # until the sink has taken all of it
        try:
            await self._tell(self._sink.replace, shard, chunks, state)
        except CANNOT_BE_READ as error:
            await self._set_aside(shard, state.generation, error)
        self._torn.discard(shard)
        return True

    async def _about(self, shard: str) -> tuple[Any, int]:
        """Of one instant: a shard's meta, and how long its list is."""
        while True:
            generation = await self._redis.hget(self._key(shard, "meta"), "generation")
            name = f"{(generation or b'').decode(errors='replace')}:{self._list(shard).decode()}"
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(self._key(shard, "meta"))
                pipe.llen(self._key(shard, name))
                meta, length = await pipe.execute()
            if meta.get(b"generation") == generation:
                return meta, int(length)

    def _lacking(self, shard: str, meta: Mapping[bytes, bytes], length: int) -> int:
        """How many chunks a shard's list should have and has not."""
        return int(meta.get(self._list(shard) + b"_chunks", length)) - length

    async def _may_load(self, shard: str, state: ShardState, lacking: int) -> bool:
        """Whether what is stored is to be loaded, asked before it is read: it may be large."""
        held = self._held.get(shard)
        if reason := self._why_not(shard, state):
            await self._leave(shard, reason, state)
            return False
        if held is not None and self._is_beyond(shard, held, state):
            return False
        if lacking:
            # Redis has dropped some. Its worker finds out, and writes them again; till then what is held stays.
            if held is None:
                await self._set_aside(shard, state.generation, LookupError("some of its chunks are lost"))
            return False
        return True

    async def _leave(self, shard: str, reason: str, stored: ShardState) -> None:
        """Do not take what is stored; what is held has one meaning with all other shards, and stays."""
        self._say(shard, reason, stored)
        told = self._sink.missing if self._held.get(shard) is None else self._sink.stands
        await self._tell(told, shard, reason)

    async def _set_aside(self, shard: str, generation: str, error: Exception) -> None:
        """Leave a shard out that cannot be read, until it is written anew: the others go on."""
        if self._unreadable.get(shard) != generation or shard in self._held:
            log.error("shard.unreadable", shard=shard, error=f"{type(error).__name__}: {error}")
        self._unreadable[shard] = generation
        self._held.pop(shard, None)
        await self._tell(self._sink.missing, shard, "unreadable")

    def _why_not(self, shard: str, stored: ShardState) -> str:
        """Why what is stored cannot be merged, as a reason of `Sink.missing`; "" if it can.

        Of a shard folded under another number of partitions, or by another partitioner, some entities may lie on
        other shards, and would count twice.
        """
        if self._partitioner and stored.partitioner not in ("", self._partitioner):
            return "partitioner"
        if stored.partitions not in (None, self._partitions[self._shards[shard]]):
            return "partitions"
        return "" if stored.fingerprint == self._fingerprint else "fingerprint"

    def _say(self, shard: str, reason: str, stored: ShardState) -> None:
        """Log why a shard is left, once for each thing that it says instead."""
        instead, wanted = getattr(stored, reason), self._partitions[self._shards[shard]]
        before, self._left[shard] = self._left.get(shard), (reason, instead)
        if before == self._left[shard]:
            return
        if reason == "partitioner":
            why = other_partitioner(stored.partitioner, self._partitioner, wanted)
            log.warning("shard.other_partitioner", shard=shard, error=why)
        elif reason == "partitions":
            log.warning(
                "shard.other_partitions",
                shard=shard,
                partitions=instead,
                configured=wanted,
                next=f"if Kafka has {instead} partitions, set kafka.partitions = {instead} and restart; "
                f"if it has {wanted}, run `dealpulse repartition --partitions {wanted} --yes`",
            )

    async def _follow(self) -> None:
        """Deltas until nothing came for a moment; then the caller compares again."""
        streams = {self._key(shard, "deltas"): self._read[shard] for shard in self._held}
        if not streams:
            await asyncio.sleep(_BLOCK_MS / 1000)
            return
        deadline = asyncio.get_running_loop().time() + _BLOCK_MS / 1000
        while asyncio.get_running_loop().time() < deadline:
            if not await self._take_news(streams, block_ms=_BLOCK_MS // 2):
                return

    async def _take_news(self, streams: dict[Any, Any], *, block_ms: int | None) -> bool:
        """Take what has come, waiting so long for it; False if something had to be loaded instead.

        `streams` says per key where reading goes on, and is kept current.
        """
        names = {self._key(shard, "deltas").encode(): shard for shard in self._held}
        found = await self._redis.xread(streams, block=block_ms)
        # All that came is told in one go: the sink may be at work, and each telling waits its turn.
        news: list[Callable[[], None]] = []
        gaps: set[str] = set()
        for name, entries in found or ():
            shard = names[name]
            for entry, fields in entries:
                self._read[shard] = streams[name.decode()] = entry
                if shard in gaps or shard in self._waiting:
                    continue  # loading takes in all that has come by then
                if not self._take(shard, fields, news):
                    gaps.add(shard)
        if news:
            told = {names[name] for name, _ in found} - self._torn
            self._torn |= told  # until the sink has taken all of it
            try:
                await self._tell(_do_all, news)
            except CANNOT_BE_READ:  # one of them is not as it was written: what changed is loaded as a whole
                for shard in told:
                    await self._load_whole(shard)
                return False
            self._torn -= told
        loaded = False
        for shard in gaps:
            if await self._load(shard):
                loaded = True
            else:
                self._waiting.add(shard)
        return not loaded

    def _take(self, shard: str, fields: Mapping[bytes, bytes], news: list[Callable[[], None]]) -> bool:
        """Add what one delta brings to the news; False if the shard has to be loaded instead."""
        held = self._held[shard]
        try:
            state = shard_state({**fields, b"offset": fields[b"to"]})
        except CANNOT_BE_READ:
            return False
        # Below what is held: told already, or by who writes a Redis again that was lost (see `_is_beyond`).
        if state.offset < held.offset or (
            state.offset == held.offset and state.generation == held.generation
        ):
            return True
        # A compaction says the same anew, and goes on from there: nothing of what is held changes.
        goes_on = state.generation == held.generation or fields.get(b"continues") == held.generation.encode()
        if int(fields[b"from"]) != held.offset or not goes_on or state.fingerprint != held.fingerprint:
            return False
        after = fields.get(b"after")
        if after is not None and held.write is not None and after.decode() != held.write:
            return False
        self._held[shard] = state
        if state.generation != held.generation:
            self._chunks[shard], self._last[shard] = int(fields[self._list(shard) + b"_chunks"]), None
        elif fields[b"facts"]:
            self._chunks[shard] += 1
        if fields[b"facts"]:
            self._last[shard] = fields[b"facts"]
        if fields[b"facts"]:
            news.append(partial(self._sink.extend, shard, fields[b"facts"], state))
        else:  # duplicates or dead letters alone: the offset moves, no entity does
            news.append(partial(self._sink.renew, shard, state))
        return True


def _do_all(news: Iterable[Callable[[], None]]) -> None:
    for each in news:
        each()


def _told(state: ShardState) -> ShardState:
    """Without what only a delta, or only a whole shard, tells."""
    return replace(state, first_append_ms=None, partitions=None, replaces="", partitioner="")


def connect(settings: RedisSettings) -> Any:
    """A connection to the store, as the settings say. It connects at the first request."""
    return connected(
        aioredis.from_url,
        settings,
        connect_s=settings.connect_timeout,
        request_s=settings.request_timeout,
    )


def shard_state(fields: Mapping[bytes, bytes]) -> ShardState:
    """What the fields of a shard's meta, or of a delta, say."""
    newest = fields.get(b"newest_event_ms")
    pending = fields.get(b"resync_pending", b"")
    return ShardState(
        offset=int(fields[b"offset"]),
        generation=fields[b"generation"].decode(),
        fingerprint=fields[b"fingerprint"].decode(),
        fresh_ms=int(fields.get(b"fresh_ms", 0)),
        first_append_ms=int(fields[b"first_append_ms"]) if b"first_append_ms" in fields else None,
        newest_event_ms=int(newest) if newest else None,
        counts={name: int(fields.get(name.encode(), 0)) for name in RESULTS},
        resync_pending=_pending(pending),
        partitions=int(fields[b"partitions"]) if b"partitions" in fields else None,
        replaces=fields.get(b"replaces", b"").decode(),
        write=fields[b"write"].decode() if b"write" in fields else None,
        partitioner=told_partitioner(fields.get(b"partitioner")),
    )


def _is_one_write(some: ShardState, other: ShardState) -> bool:
    return None in (some.write, other.write) or some.write == other.write


def _pending(text: bytes) -> dict[str, int]:
    """`source=count` lines, as the checkpoint writes them."""
    # Not by `splitlines`: the name of a source may hold what Unicode counts as the end of a line.
    pairs = [line.rpartition("=") for line in text.decode().split("\n") if line]
    return {source: int(count) for source, _, count in pairs}

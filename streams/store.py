"""The shards in Redis: one hash, two lists of chunks and one stream each (docs/redis.md).

A shard's keys share the hash tag `{<topic>/<partition>}`, so one script may touch them all, on a
cluster too. Nothing here knows what a chunk means.
"""

import hashlib
import itertools
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from redis.exceptions import NoScriptError, RedisError, ResponseError

from aggregators.state import Change
from events.errors import UnreachableError
from streams import scripts
from streams.follower import connect
from streams.names import RESULTS
from streams.placing import Placing, Told, told_partitioner
from streams.settings import RedisSettings

Outcome = Literal["written", "fenced", "gone"]
"""What became of a write: see `streams.scripts`."""

REWRITE_EXPIRES_S = 3_600
"""The lists of a rewrite that nobody finishes vanish after this many seconds."""
_CHUNKS_AT_ONCE = 64

Fields = Mapping[str, int | str | bytes]


class StoreError(UnreachableError):
    """Redis does not answer, or refuses; the message says which and what it said."""


class RefusedError(StoreError):
    """Redis answers, and does not do this one thing; others may go on. The message has what it said."""


class Stored(NamedTuple):
    """What Redis holds of a shard, without its entities. A number that is none, or is missing, is 0."""

    offset: int
    generation: str
    fingerprint: str
    format: int
    partitions: int
    counts: dict[str, int]
    fresh_ms: int
    statements_chunks: int
    facts_chunks: int
    facts_bytes: int
    full_bytes: int
    write: str
    """The name of the write that came last."""
    damaged: Mapping[str, str] = {}
    """Fields that should be numbers, and what they are instead: such a shard must not be gone on from."""
    partitioner: Told = ""
    """Which partition a key belonged to."""
    topic_id: str = ""
    """Of which topic it is the fold; "" if a version wrote it that did not say, or Kafka tells none."""

    @property
    def placing(self) -> Placing:
        """What decided where records belonged when it was folded."""
        return Placing(self.partitions, self.partitioner, self.topic_id)

    @property
    def damage(self) -> str:
        """The same in words; empty if there is none."""
        return ", ".join(f"{name} is {held or 'missing'}" for name, held in self.damaged.items())


@dataclass(frozen=True)
class Write:
    """One checkpoint of one shard: from offset `base` to `to`, in one atomic step."""

    shard: str
    base: int
    to: int
    generation: str
    change: Change
    meta: Fields
    delta: Fields
    deltas_kept: int
    name: str
    """Of this write, like no other's: so that one whose answer was lost is known when it is sent again."""
    after: str
    """The name of the write that this one continues: of no other do the codes of its symbols go on."""
    rewrite: str | None = None
    """The generation of a rewrite under way, which takes the same chunks."""


@dataclass(frozen=True)
class Switch:
    """The end of a rewrite: `generation`, complete up to offset `to`, becomes the shard."""

    shard: str
    to: int
    generation: str
    change: Change
    pushed: tuple[int, int]
    """Chunks of statements and of facts that the rewrite has pushed so far."""
    meta: Fields
    base: int
    continues: str
    """The generation that this one says anew, of which Redis holds all below `base`; "" if there is none."""
    delta: Fields
    """What whoever holds that at `base` lacks at `to`."""
    deltas_kept: int
    known: str = ""
    """The generation that was last seen in Redis: if there is another one by now, it stays."""
    replaces: int | None = None
    """An offset of that generation which gives way, although it is beyond `to`."""


class Store:
    """The shards in one Redis. Every method raises StoreError if Redis does not answer."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._redis = connect(settings)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Ask for a sign of life."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error

    async def ahead_ms(self, machine_ms: Callable[[], int]) -> int:
        """By how much this machine's clock (Unix ms) is ahead of the one of Redis' machine, at least, in ms.

        Negative: behind. Zero: they agree as far as the time of the answer lets one tell.
        """
        before = machine_ms()
        try:
            seconds, microseconds = await self._redis.time()
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error
        after, there = machine_ms(), int(seconds) * 1_000 + int(microseconds) // 1_000
        return max(0, before - there) or min(0, after - there)

    async def stored(self, shard: str) -> Stored | None:
        """What is held of a shard; None if nothing is."""
        try:
            fields = await self._redis.hgetall(self._key(shard, "meta"))
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error
        return _stored_of(fields) if fields else None

    async def statements(self, shard: str, stored: Stored) -> AsyncIterator[list[bytes]]:
        """The chunks of statements that `stored` speaks of, some at a time; fewer if some are lost."""
        key = self._key(shard, f"{stored.generation}:statements")
        try:
            for start in range(0, stored.statements_chunks, _CHUNKS_AT_ONCE):
                end = min(start + _CHUNKS_AT_ONCE, stored.statements_chunks) - 1
                yield await self._redis.lrange(key, start, end)
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error

    async def write(self, writes: Sequence[Write]) -> list[Outcome | RefusedError]:
        """Checkpoint these shards in one round trip; each by itself is atomic and fenced, or refused."""
        return await self._run([self._checkpoint(write) for write in writes])

    async def switch(self, switch: Switch) -> Outcome:
        """Make a rewrite current."""
        statements, facts = self._lists(switch.shard, switch.generation)
        meta, delta = _pairs(switch.meta), _pairs(switch.delta)
        arguments = [
            *(switch.to, switch.generation, switch.change.statements, _facts(switch.change)),
            *(*switch.pushed, self._key(switch.shard, ""), switch.base, switch.continues),
            *(switch.deltas_kept, switch.known, "" if switch.replaces is None else switch.replaces),
            *(len(meta), *meta, *delta),
        ]
        keys = [self._key(switch.shard, "meta"), statements, facts]
        (outcome,) = await self._run([(scripts.SWITCH, keys, arguments)])
        if isinstance(outcome, RefusedError):
            raise outcome
        return outcome

    async def renew(self, renewals: Sequence[tuple[str, int, str, Fields]]) -> list[Outcome | RefusedError]:
        """Say that these shards (name, offset, generation) are true for a later instant (fields)."""
        return await self._run(
            [
                (
                    scripts.RENEW,
                    [self._key(shard, "meta"), *self._lists(shard, generation)],
                    [offset, generation, *_pairs(meta)],
                )
                for shard, offset, generation, meta in renewals
            ]
        )

    async def push(self, shard: str, generation: str, change: Change) -> tuple[int, int]:
        """Add a slice to a rewrite. Returns how many chunks of statements and facts that were."""
        keys = self._lists(shard, generation)
        chunks = change.statements, _facts(change)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                for key, chunk in zip(keys, chunks, strict=True):
                    if chunk:
                        pipe.rpush(key, chunk)
                        pipe.expire(key, REWRITE_EXPIRES_S)
                await pipe.execute()
        except ResponseError as error:
            raise _refused(self._settings, error) from error
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error
        return bool(chunks[0]), bool(chunks[1])

    async def discard(self, shard: str, generation: str) -> None:
        """Drop the lists of a rewrite that was given up."""
        try:
            await self._redis.unlink(*self._lists(shard, generation))
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error

    async def placings(self, topic: str, partitions: int) -> list[Placing]:
        """What each of these shards was folded from."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for partition in range(partitions):
                    pipe.hmget(
                        self._key(f"{topic}/{partition}", "meta"), "partitions", "partitioner", "topic_id"
                    )
                found = await pipe.execute()
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error
        return [
            Placing(_number(number), told_partitioner(partitioner), _text(topic_id))
            for number, partitioner, topic_id in found
        ]

    def _checkpoint(self, write: Write) -> tuple[str, list[str], list[Any]]:
        meta, delta = _pairs(write.meta), _pairs(write.delta)
        keys = [
            *(self._key(write.shard, "meta"), self._key(write.shard, "deltas")),
            *self._lists(write.shard, write.generation),
            *(self._lists(write.shard, write.rewrite) if write.rewrite else ()),
        ]
        arguments = [
            *(write.base, write.to, write.generation, write.change.statements, _facts(write.change)),
            *(write.deltas_kept, write.name, write.after, len(meta), *meta, *delta),
        ]
        return scripts.CHECKPOINT, keys, arguments

    async def _run(self, calls: Sequence[tuple[str, list[str], list[Any]]]) -> list[Outcome | RefusedError]:
        """Run scripts in one round trip, and again those that Redis had forgotten. Each has its own outcome."""
        try:
            answers = await self._evaluate(calls)
            forgotten = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if forgotten:
                for script in {calls[n][0] for n in forgotten}:
                    await self._redis.script_load(script)
                again = await self._evaluate([calls[n] for n in forgotten])
                for n, answer in zip(forgotten, again, strict=True):
                    answers[n] = answer
        except (RedisError, OSError) as error:
            raise _unreachable(self._settings, error) from error
        return [
            _refused(self._settings, answer) if isinstance(answer, Exception) else answer.decode()
            for answer in answers
        ]

    async def _evaluate(self, calls: Sequence[tuple[str, list[str], list[Any]]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for script, keys, arguments in calls:
                pipe.evalsha(_SHA[script], len(keys), *keys, *arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
            return answers

    def _lists(self, shard: str, generation: str) -> tuple[str, str]:
        return self._key(shard, f"{generation}:statements"), self._key(shard, f"{generation}:facts")

    def _key(self, shard: str, part: str) -> str:
        return f"{self._settings.prefix}:{{{shard}}}:{part}"


def new_name() -> str:
    """The name of a rewrite (its generation) or of a write: a number that no other has, whoever makes it."""
    return str(secrets.randbits(52))


def chunks_in(change: Change) -> tuple[int, int, int]:
    """Chunks of statements and of facts that a change adds to the lists, and the bytes of its facts."""
    return bool(change.statements), bool(_facts(change)), len(_facts(change))


def _facts(change: Change) -> bytes:
    """The facts to keep: none where they are the very statements, which are kept anyway."""
    return b"" if change.facts is change.statements else change.facts


def _pairs(fields: Fields) -> list[Any]:
    return list(itertools.chain.from_iterable(fields.items()))


_SHOWN = 40
_NUMBERS = ("offset", "format", "partitions", "statements_chunks", "facts_chunks")
_MAY_LACK = ("fresh_ms", "facts_bytes", "full_bytes")
"""Without these a shard is what it is; without the others it would be taken for another one."""


def stored_of(fields: Mapping[bytes, bytes]) -> Stored:
    """What the fields of a shard's meta say. Raises ValueError for one that is no number and should be."""
    stored = _stored_of(fields)
    if stored.damaged:
        raise ValueError(stored.damage)
    return stored


def _stored_of(fields: Mapping[bytes, bytes]) -> Stored:
    held: dict[str, int] = {}
    damaged: dict[str, str] = {}
    for name in (*_NUMBERS, *RESULTS, *_MAY_LACK):
        text = fields.get(name.encode())
        number = _number(text, negative=name == "fresh_ms")  # before 2000, on a clock that is set so
        if number is None and (text is not None or name not in _MAY_LACK):
            damaged[name] = "" if text is None else repr(text.decode(errors="replace")[:_SHOWN])
        held[name] = number or 0
    return Stored(
        offset=held["offset"],
        generation=_text(fields.get(b"generation")),
        fingerprint=_text(fields.get(b"fingerprint")),
        format=held["format"],
        partitions=held["partitions"],
        counts={name: held[name] for name in RESULTS},
        fresh_ms=held["fresh_ms"],
        statements_chunks=held["statements_chunks"],
        facts_chunks=held["facts_chunks"],
        facts_bytes=held["facts_bytes"],
        full_bytes=held["full_bytes"],
        write=_text(fields.get(b"write")),
        damaged=damaged,
        partitioner=told_partitioner(fields.get(b"partitioner")),
        topic_id=_text(fields.get(b"topic_id")),
    )


def _text(held: bytes | None) -> str:
    """What a field holds; "" if it is missing."""
    return "" if held is None else held.decode(errors="replace")


def _number(text: bytes | None, *, negative: bool = False) -> int | None:
    """The number that a field holds, as the scripts read it; None for anything else."""
    if text is None or not _NUMBER.fullmatch(text) or (text.startswith(b"-") and not negative):
        return None
    return int(text)


_NUMBER = re.compile(rb"-?[0-9]{1,18}")


def _unreachable(settings: RedisSettings, error: Exception) -> StoreError:
    return StoreError(_said(settings, error))


def _refused(settings: RedisSettings, error: Exception) -> RefusedError:
    return RefusedError(_said(settings, error))


def _said(settings: RedisSettings, error: Exception) -> str:
    where = settings.url.rpartition("@")[2].removeprefix("redis://")
    said = str(error).partition(" script: ")[0].rstrip(".")  # which script it was helps nobody, and differs
    return (
        f"Redis at {where} does not do what is asked: {said}. "
        "Check that it runs, and redis.url; if it is out of memory, give it more (maxmemory)."
    )


_SHA = {
    script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (scripts.CHECKPOINT, scripts.RENEW, scripts.SWITCH)
}

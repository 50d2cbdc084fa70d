"""The statements of the opportunities, for whoever follows their facts: read when somebody asks for histories.

What is read belongs to the facts that are held: a list of chunks counts only beside a meta that says so, of the
same generation, at the same offset or a later one, and as long as the meta says. A shard that is loaded anew is
read anew; one that goes on is read from where it was, if the last chunk known is still there.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import RedisError

from events.errors import UnreachableError
from streams.follower import DEALS, Follower, ShardState, connect
from streams.held import CHUNKS_AT_ONCE
from streams.settings import RedisSettings

_WAIT_S: Final = 2.0
"""How long to wait for a shard that is just being written anew."""
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far a shard has been read: so many chunks, true for at least that offset, and the last of them."""

    token: str
    count: int
    offset: int
    last: bytes | None


@dataclass(frozen=True, slots=True)
class _Slice:
    """Of one instant: what the meta says, how long the list is, and some of its chunks."""

    offset: int
    write: str | None
    length: int
    chunks: list[bytes]


class _OthersError(Exception):
    """The list does not go on from what was read of it."""


class Histories:
    """Reads the statements of every shard of opportunities that a follower holds."""

    def __init__(self, settings: RedisSettings, follower: Follower) -> None:
        self._prefix, self._follower = settings.prefix, follower
        self._redis: Any = connect(settings)
        self._marks: dict[str, _Mark] = {}
        self._again: Counter[str] = Counter()
        """How often a shard had to be read anew, although the follower has not loaded it anew."""

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def news(
        self, held: Mapping[str, tuple[str, int]], unreadable: Mapping[str, str]
    ) -> dict[str, tuple[str, list[bytes]]]:
        """What is new in the statements of each shard of opportunities.

        `held` says of a shard the token and the number of chunks that the caller has; the answer gives a token and
        the chunks from there on, or all chunks if the token is another. Left out are shards without news, those
        that the follower does not hold, and those `unreadable` under the token given. Raises UnreachableError.
        """
        try:
            found = {
                shard: await self._of(shard, held.get(shard, ("", 0)), unreadable.get(shard))
                for shard in self._follower.shards_of(DEALS)
            }
        except (RedisError, OSError) as error:
            raise UnreachableError(f"Redis does not answer: {error}. Wait for it, and try again.") from error
        return {shard: news for shard, news in found.items() if news is not None}

    async def _of(
        self, shard: str, held: tuple[str, int], unreadable: str | None
    ) -> tuple[str, list[bytes]] | None:
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while (now := self._follower.held(shard)) is not None:
            state, token = now[0], f"{now[1]}/{self._again[shard]}"
            mark = self._marks.get(shard)
            if mark is not None and held != (token, mark.count):
                mark = None
            if token == unreadable or (mark is not None and mark.offset >= state.offset):
                return None
            if mark is None and held[0] == token:  # what was given then has not been taken in
                self._again[shard] += 1
                continue
            try:
                found = await self._read(shard, state, token, mark)
            except _OthersError:
                self._again[shard] += 1
                continue
            if found is not None:
                return token, found
            if asyncio.get_running_loop().time() > deadline:
                raise UnreachableError(
                    f"The histories of {shard} are being written anew. Wait for its worker, and try again."
                )
            await asyncio.sleep(_LOOK_S)
        return None

    async def _read(
        self, shard: str, state: ShardState, token: str, mark: _Mark | None
    ) -> list[bytes] | None:
        """The chunks behind a mark, or all; None if what lies in Redis does not go with what is held.

        Raises _OthersError if another history lies there.
        """
        known, last = (0, None) if mark is None else (mark.count, mark.last)
        at = known if last is None else known - 1
        found: list[bytes] = []
        first = part = await self._slice(shard, state.generation, at)
        while part is not None and first is not None and _continues(part, first, state):
            found += part.chunks[: first.length - at - len(found)]
            if at + len(found) >= first.length:
                break
            part = await self._slice(shard, state.generation, at + len(found))
        else:
            return None
        if first.length < known or (last is not None and found[:1] != [last]):
            raise _OthersError
        self._marks[shard] = _Mark(token, first.length, first.offset, found[-1] if found else None)
        return found[known - at :]

    async def _slice(self, shard: str, generation: str, start: int) -> _Slice | None:
        """Some chunks from `start` on; None if the list is not whole, or not of the shard any more."""
        key = f"{self._prefix}:{{{shard}}}"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(f"{key}:meta", "generation", "offset", "write", "statements_chunks")
            pipe.llen(f"{key}:{generation}:statements")
            pipe.lrange(f"{key}:{generation}:statements", start, start + CHUNKS_AT_ONCE - 1)
            (stored, offset, write, count), length, chunks = await pipe.execute()
        if stored != generation.encode() or offset is None or int(count or length) != length:
            return None
        return _Slice(int(offset), None if write is None else write.decode(), length, chunks)


def _continues(part: _Slice, first: _Slice, state: ShardState) -> bool:
    """Whether chunks are of the very list that the facts held are of, and of that of the first ones read."""
    if part.offset < first.offset or part.length < first.length or part.offset < state.offset:
        return False  # Redis was set back
    return part.offset > state.offset or None in (part.write, state.write) or part.write == state.write

"""A shard as it lies in Redis, read whole as of one instant: what `verify` holds against the log."""

from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import RedisError

from streams.follower import connect
from streams.settings import RedisSettings
from streams.store import Stored, StoreError, stored_of

CHUNKS_AT_ONCE: Final = 16
"""Each has up to some 2 MB: a few milliseconds of Redis' time."""
VERIFY_FIELDS = ("last_success_ms", "mismatches", "checked_ms")
"""Of the Redis hash `<prefix>:verify`: instants in ms since 2000, and how many differences."""


def verify_key(prefix: str) -> str:
    """The Redis hash that tells how the last `verify` ended."""
    return f"{prefix}:verify"


@dataclass(frozen=True)
class HeldShard:
    """The fields of a shard's meta, and the chunks that were in its lists then."""

    fields: dict[bytes, bytes]
    statements: list[bytes]
    facts: list[bytes]

    @property
    def stored(self) -> Stored:
        """The fields, typed. Raises ValueError for one that should be a number and is none."""
        return stored_of(self.fields)


class HeldShards:
    """All shards behind one configuration. Raises StoreError."""

    def __init__(self, redis: RedisSettings) -> None:
        self._prefix, self._url = redis.prefix, redis.url
        self._redis: Any = connect(redis)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def read(self, shard: str) -> HeldShard | None:
        """One shard, all of it as of the instant of its meta; None if nothing is held.

        Its lists only grow while its generation stands, so they are read some chunks at a time: Redis has
        others to answer.
        """
        meta = f"{self._prefix}:{{{shard}}}:meta"
        try:
            while True:
                generation = await self._redis.hget(meta, "generation")
                lists = [
                    f"{self._prefix}:{{{shard}}}:{(generation or b'').decode()}:{part}"
                    for part in ("statements", "facts")
                ]
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hgetall(meta)
                    for key in lists:
                        pipe.llen(key)
                    fields, *lengths = await pipe.execute()
                if not fields:
                    return None
                chunks = [await self._first(*each) for each in zip(lists, lengths, strict=True)]
                if await self._redis.hget(meta, "generation") == fields.get(b"generation") == generation:
                    return HeldShard(fields, *chunks)
                # It was written anew in between.
        except (RedisError, OSError) as error:
            raise self._away(error) from error

    async def _first(self, key: str, count: int) -> list[bytes]:
        """So many chunks of a list."""
        found: list[bytes] = []
        for start in range(0, count, CHUNKS_AT_ONCE):
            found += await self._redis.lrange(key, start, min(start + CHUNKS_AT_ONCE, count) - 1)
        return found

    async def tell(self, *, mismatches: int, now_ms: int) -> None:
        """Leave the outcome of a whole `verify` where exporters find it."""
        fields = {"mismatches": mismatches, "checked_ms": now_ms}
        if not mismatches:
            fields["last_success_ms"] = now_ms
        try:
            await self._redis.hset(verify_key(self._prefix), mapping=fields)
        except (RedisError, OSError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> StoreError:
        where = self._url.rpartition("@")[2].removeprefix("redis://")
        return StoreError(f"Redis at {where} does not do what is asked: {error}. Check that it runs.")

"""Which partition a key belongs to, as Kafka's own clients (murmur2) and librdkafka (crc32) decide it."""

import sys
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Partitioner = Literal["murmur2", "crc32"]

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_FEW = 40
"""Fewer keys than these are partitioned one by one: numpy's calls would cost more."""


def partition_of(key: bytes, partitions: int, partitioner: Partitioner) -> int:
    """The partition of a key, from 0.

    >>> partition_of(b"opp-4711", 4, "murmur2"), partition_of(b"opp-4711", 4, "crc32")
    (0, 2)
    """
    if partitioner == "murmur2":
        return (murmur2(key) & 0x7FFFFFFF) % partitions
    return zlib.crc32(key) % partitions


def murmur2(key: bytes) -> int:
    """The 32-bit MurmurHash2 of Kafka's DefaultPartitioner, unsigned."""
    length = len(key)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if whole < length:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partitions_of(keys: Sequence[bytes], partitions: int, partitioner: Partitioner) -> "NDArray[np.int64]":
    """The partitions of many keys at once, shape (len(keys),)."""
    import numpy as np

    if partitioner == "crc32" or len(keys) < _FEW:
        return np.array([partition_of(key, partitions, partitioner) for key in keys], dtype=np.int64)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    longest = int(lengths.max())
    if longest > 256:  # one long key must not pad all others
        found = np.empty(len(keys), np.int64)
        short = lengths <= 256
        found[~short] = [partition_of(key, partitions, partitioner) for key in keys if len(key) > 256]
        found[short] = partitions_of([key for key in keys if len(key) <= 256], partitions, partitioner)
        return found
    return (_murmur2_of(keys, lengths, longest) & 0x7FFFFFFF).astype(np.int64) % partitions


def _murmur2_of(keys: Sequence[bytes], lengths: "NDArray[np.int64]", longest: int) -> "NDArray[np.uint32]":
    """murmur2 of each key, a word of all keys at a time; arithmetic on uint32 wraps as it should."""
    import numpy as np

    width = (longest + 3) // 4 or 1
    # Numpy pads fixed-width bytes with zeros, which is what the last, incomplete word needs.
    words: Any = np.array(keys, dtype=f"S{4 * width}").view(np.uint32).reshape(len(keys), width)
    if sys.byteorder == "big":
        words = words.byteswap()
    whole = lengths >> 2
    rest = (lengths & 3) > 0
    m = np.uint32(_M)
    h = np.uint32(_SEED) ^ lengths.astype(np.uint32)
    shortest = int(whole.min())
    for i in range(width):
        word = words[:, i]
        k = word * m
        k ^= k >> np.uint32(24)
        k *= m
        mixed = (h * m) ^ k
        if i < shortest:
            h = mixed
            continue
        last = (h ^ word) * m
        h = np.where(i < whole, mixed, np.where((i == whole) & rest, last, h))
    h ^= h >> np.uint32(13)
    h *= m
    return h ^ (h >> np.uint32(15))

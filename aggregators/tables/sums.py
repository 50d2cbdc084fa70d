"""Sums per group of int64 columns, exact whatever their size."""

from typing import Final

import numpy as np

from aggregators.zones import Int64

_DOUBLES: Final = 2**53
"""Below this, sums of integers are exact in float64 too, which `bincount` adds up fastest."""
_MASK: Final = 2**31 - 1


def exact_sums(weights: Int64, group: Int64, size: int) -> list[int]:
    """Per group the sum of int64 weights, exact: beyond 2^62 it is carried as Python integers."""
    if not len(weights):
        return [0] * size
    largest = max(abs(int(weights.max())), abs(int(weights.min())))
    found: list[int]
    if largest * len(weights) < _DOUBLES:
        found = np.bincount(group, weights, minlength=size).astype(np.int64).tolist()
        return found
    if largest * len(weights) < 2**62:
        sums = np.zeros(size, dtype=np.int64)
        np.add.at(sums, group, weights)
        found = sums.tolist()
        return found
    high, low = weights >> 31, weights & _MASK  # each part of at most 2^31 rows fits
    return [
        (above << 31) + below
        for above, below in zip(exact_sums(high, group, size), exact_sums(low, group, size), strict=True)
    ]


def product_sums(weights: Int64, factors: Int64, group: Int64, size: int) -> list[int]:
    """Per group the sum of `weights * factors`, exact; the factors lie from 0 to below 2^31."""
    if not len(weights):
        return [0] * size
    largest = max(abs(int(weights.max())), abs(int(weights.min()))) * int(factors.max())
    if largest < 2**62:
        return exact_sums(weights * factors, group, size)
    high = exact_sums((weights >> 31) * factors, group, size)
    low = exact_sums((weights & _MASK) * factors, group, size)
    return [(above << 31) + below for above, below in zip(high, low, strict=True)]

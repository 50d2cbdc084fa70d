"""Sums per group of int64 columns, exact whatever their size."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from aggregators.zones import Int64

_DOUBLES: Final = 2**53
"""Below this, sums of integers are exact in float64 too, which `bincount` adds up fastest."""
_WIDE: Final = 2**62
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


def integers(numbers: Sequence[int]) -> Any:
    """An int64 array, or an object array of Python integers where one of them is too large."""
    fits = all(-_WIDE <= number <= _WIDE for number in numbers)
    return np.array(numbers, dtype=np.int64 if fits else object)


def column_sums(column: Any, group: Int64, size: int) -> Any:
    """Per group the exact sum of a column of int64 or Python integers, as such a column."""
    if column.dtype != object:
        return integers(exact_sums(column, group, size))
    sums = np.zeros(size, dtype=object)
    np.add.at(sums, group, column)
    return sums


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

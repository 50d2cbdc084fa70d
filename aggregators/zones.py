"""Local days of a time zone, for whole arrays of instants at once.

The zone's changes of offset are looked up once and kept as two sorted arrays; a look-up is then one
`searchsorted`. The plain road (`aggregators.calendar`) asks `zoneinfo` each time; tests hold both equal.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

DAY_MS = 86_400_000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
FIRST_YEAR, LAST_YEAR = 1969, 2101
_STEP = timedelta(hours=12)


class Zone:
    """One IANA zone between 1969 and 2101; instants in ms and days since 2000-01-01."""

    def __init__(self, name: str) -> None:
        self.name = name
        starts, offsets = _changes(ZoneInfo(name))
        self._starts: Int64 = np.array(starts, dtype=np.int64)
        self._offsets: Int64 = np.array(offsets, dtype=np.int64)

    def offset_ms(self, instants: Int64) -> Int64:
        """Local time minus UTC at each instant, in ms."""
        if len(self._offsets) == 1:
            return np.broadcast_to(self._offsets, instants.shape)
        found: Int64 = self._offsets[np.searchsorted(self._starts, instants, side="right") - 1]
        return found

    def day(self, instants: Int64) -> Int64:
        """The local day of each instant, in days since 2000-01-01."""
        days: Int64 = (instants + self.offset_ms(instants)) // DAY_MS
        return days

    def day_start(self, days: Int64) -> Int64:
        """The first instant of each local day (the change itself where midnight is skipped)."""
        midnight: Int64 = days * DAY_MS
        if len(self._offsets) == 1:
            return midnight - int(self._offsets[0])
        before = midnight - self.offset_ms(midnight - DAY_MS)
        after = midnight - self.offset_ms(midnight + DAY_MS)
        early, late = np.minimum(before, after), np.maximum(before, after)
        start = np.where(self.day(early) == days, early, late)
        if (skipped := (self.day(start - 1) != days - 1) | (self.day(start) != days)).any():
            change = self._starts[np.searchsorted(self._starts, late, side="right") - 1]
            start = np.where(skipped, change, start)
        return start


@cache
def zone(name: str) -> Zone:
    """The zone of that IANA name, built once."""
    return Zone(name)


def _ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def _changes(info: ZoneInfo) -> tuple[list[int], list[int]]:
    """Instants (ms) from which each offset (ms) holds; the first from the beginning of time."""

    def offset(at: datetime) -> timedelta:
        found = at.astimezone(info).utcoffset()
        assert found is not None
        return found

    at = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    current = offset(at)
    starts, offsets = [-(2**62)], [current // timedelta(milliseconds=1)]
    end = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + _STEP
        if (then := offset(following)) != current:
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if middle == low:
                    break
                if offset(middle) == current:
                    low = middle
                else:
                    high = middle
            starts.append(_ms(high))
            offsets.append(then // timedelta(milliseconds=1))
            current = then
        at = following
    return starts, offsets

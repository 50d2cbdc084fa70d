"""Instants and dates read by looking up their parts: what `events.instants` reads, in a tenth of the time.

Tests hold both equal. The tables remember only texts that were right, and are bounded.
"""

from typing import Final

from .instants import day_number
from .instants import time_ns as plain_time_ns

_MAX_DAYS: Final = 100_000
_MAX_TAILS: Final = 50_000


class _Midnights(dict[str, int]):
    """`2026-11-23` -> ns since 2000 of its midnight in UTC."""

    def __missing__(self, text: str) -> int:
        ns = day_number(text) * 86_400_000_000_000
        if len(self) < _MAX_DAYS:
            self[text] = ns
        return ns


class _Days(dict[str, int]):
    """`2026-11-23` -> days since 2000."""

    def __missing__(self, text: str) -> int:
        day = day_number(text)
        if len(self) < _MAX_DAYS:
            self[text] = day
        return day


class _Tails(dict[str, int]):
    """`.125+08:00` (fraction, offset) -> ns to add."""

    def __missing__(self, text: str) -> int:
        offset = -1 if text[-1:] in ("Z", "z") else -6
        digits = text[1:offset]
        if text[:1] == "." and digits.isdecimal() and digits.isascii():
            # Of fractions there are too many to know them all; of offsets there are not.
            ns = self[text[offset:]] + int(digits[:9].ljust(9, "0"))
        else:
            # The plain reader reads it, on a day that no offset leads out of the years allowed.
            ns = plain_time_ns(f"2000-01-01T00:00:00{text}")
        if len(self) < _MAX_TAILS and len(text) < 12:
            self[text] = ns
        return ns


_MIDNIGHTS = _Midnights()
_TAILS = _Tails()
_MINUTES = {
    f"{t}{h:02d}:{m:02d}": (h * 60 + m) * 60_000_000_000 for t in "Tt" for h in range(24) for m in range(60)
}
_SECONDS = {f":{s:02d}": s * 1_000_000_000 for s in range(60)}
_FIRST_SAFE: Final = plain_time_ns("1970-01-02T00:00:00Z")
_LAST_SAFE: Final = plain_time_ns("2099-12-31T00:00:00Z")

day = _Days().__getitem__
"""`2026-11-23` -> days since 2000-01-01. Raises ValueError."""


def time_ns(text: str) -> int:
    """RFC 3339 with offset -> ns since 2000-01-01 UTC. Raises ValueError, KeyError, neither worded."""
    ns = _MIDNIGHTS[text[:10]] + _MINUTES[text[10:16]] + _SECONDS[text[16:19]] + _TAILS[text[19:]]
    if _FIRST_SAFE <= ns < _LAST_SAFE:
        return ns
    return plain_time_ns(text)

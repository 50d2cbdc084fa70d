"""Instants and dates as text: RFC 3339 with an offset, and YYYY-MM-DD, read strictly and worded clearly.

This is the plain reader, and the one that explains. `events.fast` reads the same texts by look-ups.
"""

import re
from datetime import date
from typing import Final

FIRST_YEAR, LAST_YEAR = 1970, 2099
DAY_ZERO: Final = date(2000, 1, 1).toordinal()
"""Day 0 of day numbers: 2000-01-01."""

_DAY_S = 86_400
FIRST_NS: Final = (date(FIRST_YEAR, 1, 1).toordinal() - DAY_ZERO) * _DAY_S * 10**9
END_NS: Final = (date(LAST_YEAR + 1, 1, 1).toordinal() - DAY_ZERO) * _DAY_S * 10**9
"""Instants lie from FIRST_NS to before END_NS, in UTC."""

_SHAPE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+)?")


def time_ns(text: str) -> int:
    """RFC 3339 with offset -> ns since 2000-01-01 UTC; digits beyond the ninth are cut.

    Raises ValueError, its message for the person who sent it.

    >>> time_ns("2000-01-01T08:00:00.5+08:00")
    500000000
    """
    if not (found := _SHAPE.fullmatch(text)):
        if _NO_OFFSET.fullmatch(text):
            raise ValueError(
                f"{_shown(text)} has no offset from UTC: write it as in 2026-11-23T09:30:00+08:00, or end it with Z"
            )
        raise ValueError(f"{_shown(text)} is no RFC 3339 instant such as 2026-11-23T09:30:00+08:00")
    day, hour, minute, second, fraction, sign, east_h, east_m = found.groups()
    if second == "60":
        raise ValueError(f"{text}: leap seconds have no place on Unix time: write second 59 instead of 60")
    if hour > "23" or minute > "59" or second > "59":
        raise ValueError(f"{text}: there is no time of day {hour}:{minute}:{second}")
    east_s = 0
    if sign:
        if east_h > "23" or east_m > "59":
            raise ValueError(f"{text}: there is no offset {sign}{east_h}:{east_m}")
        east_s = (int(east_h) * 60 + int(east_m)) * (60 if sign == "+" else -60)
    seconds = day_number(day) * _DAY_S + int(hour) * 3600 + int(minute) * 60 + int(second) - east_s
    ns = seconds * 10**9 + int((fraction or "")[:9].ljust(9, "0"))
    if not FIRST_NS <= ns < END_NS:
        raise ValueError(f"{text} lies outside {FIRST_YEAR} to {LAST_YEAR} (UTC)")
    return ns


def day_of(text: str) -> date:
    """`2026-11-23` -> the date. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no date: write YYYY-MM-DD, as in 2026-11-23")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text} in the calendar") from None


def day_number(text: str) -> int:
    """`2026-11-23` -> days since 2000-01-01. Raises ValueError."""
    return day_of(text).toordinal() - DAY_ZERO


def instant_text(ns: int) -> str:
    """RFC 3339 in UTC of an instant in ns since 2000-01-01 UTC, with as many fraction digits as it needs.

    >>> instant_text(500_000_000)
    '2000-01-01T00:00:00.5Z'
    """
    seconds, fraction = divmod(ns, 10**9)
    days, seconds = divmod(seconds, _DAY_S)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{date.fromordinal(days + DAY_ZERO).isoformat()}T{clock}{digits}Z"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")

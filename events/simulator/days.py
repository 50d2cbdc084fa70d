"""Days and instants as plain integers, and their texts.

Instants are ms since 2000-01-01T00:00:00Z, days are whole days since 2000-01-01, both as everywhere
in dealpulse. The simulated companies keep Taipei's time, which knows no daylight saving.
"""

from datetime import date
from functools import lru_cache

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ZONE_MS = 8 * HOUR_MS
"""Offset of the simulated companies' zone, Asia/Taipei."""

_ORDINAL_2000 = date(2000, 1, 1).toordinal()
_OPENS_MS = 9 * HOUR_MS
_CLOSES_MS = 18 * HOUR_MS


def local_day(instant_ms: int) -> int:
    """The company's day that an instant lies in."""
    return (instant_ms + ZONE_MS) // DAY_MS


def day_start(day: int) -> int:
    """The instant of a day's local midnight."""
    return day * DAY_MS - ZONE_MS


@lru_cache(maxsize=8_192)
def day_text(day: int) -> str:
    """`YYYY-MM-DD`.

    >>> day_text(0), day_text(9_824)
    ('2000-01-01', '2026-11-24')
    """
    return date.fromordinal(_ORDINAL_2000 + day).isoformat()


def day_of(on: date) -> int:
    """The day number of a date."""
    return on.toordinal() - _ORDINAL_2000


def date_of(day: int) -> date:
    """The date of a day number."""
    return date.fromordinal(_ORDINAL_2000 + day)


def plus_months(day: int, months: int) -> int:
    """The same day of the month so many months later, clamped to that month's last day.

    >>> day_text(plus_months(day_of(date(2026, 1, 31)), 1))
    '2026-02-28'
    """
    start = date_of(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    following = day_of(date(year + (month == 11), (month + 1) % 12 + 1, 1))
    return min(day_of(date(year, month + 1, 1)) + start.day - 1, following - 1)


def quarter_start(day: int, *, later: int = 0) -> int:
    """The first day of the calendar quarter that a day lies in, or of a later (earlier) one."""
    start = date_of(day)
    quarters = start.year * 4 + (start.month - 1) // 3 + later
    return day_of(date(quarters // 4, quarters % 4 * 3 + 1, 1))


def quarter_name(day: int) -> str:
    """`2026-Q4`, the calendar quarter that a day lies in."""
    start = date_of(day)
    return f"{start.year}-Q{(start.month - 1) // 3 + 1}"


def instant_text(instant_ms: int, *, utc: bool = False) -> str:
    """RFC 3339 with ms, with the company's offset or as UTC.

    >>> instant_text(0)
    '2000-01-01T08:00:00.000+08:00'
    """
    day, ms = divmod(instant_ms if utc else instant_ms + ZONE_MS, DAY_MS)
    seconds, ms = divmod(ms, 1000)
    hours, seconds = divmod(seconds, 3600)
    zone = "Z" if utc else "+08:00"
    return f"{day_text(day)}T{hours:02}:{seconds // 60:02}:{seconds % 60:02}.{ms:03}{zone}"


def is_working(instant_ms: int) -> bool:
    """Whether an instant lies in office hours: Monday to Friday, 09:00 to 18:00."""
    day, ms = divmod(instant_ms + ZONE_MS, DAY_MS)
    return _OPENS_MS <= ms < _CLOSES_MS and _weekday(day) < 5


def office_instant(instant_ms: int, share: float) -> int:
    """The instant itself in office hours, else `share` (0 to 1) into the next office day."""
    if is_working(instant_ms):
        return instant_ms
    day, ms = divmod(instant_ms + ZONE_MS, DAY_MS)
    if ms >= _CLOSES_MS:
        day += 1
    while _weekday(day) >= 5:
        day += 1
    return day_start(day) + _OPENS_MS + int(share * (_CLOSES_MS - _OPENS_MS))


def is_weekday(day: int) -> bool:
    """Monday to Friday."""
    return _weekday(day) < 5


def _weekday(day: int) -> int:
    return (day + 5) % 7  # 2000-01-01 was a Saturday

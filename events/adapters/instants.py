"""Vendors' dates and instants, each turned into the one form of events.md."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal

from ..errors import BadEventError
from .document import kind_of

Unit = Literal["s", "ms", "us", "ns", "days"]

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _PAST_MS = 0, 4_102_444_800_000  # 1970 to 2099, as events.md says
_PER_MS: dict[str, tuple[int, int]] = {"s": (1_000, 1), "ms": (1, 1), "us": (1, 1_000), "ns": (1, 1_000_000)}
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12})\d*)?(?: ?([Zz]|[+-]\d\d:?\d\d|[+-]\d\d|UTC))?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)


def from_unix(value: Any, unit: Unit, path: str) -> datetime:
    """The instant that lies `value` units after 1970, 1970 to 2099. Digits as text are read too.

    Cut to microseconds, Python's finest; only Debezium's nanosecond columns lose anything.
    """
    number = _whole(value)
    if number is None:
        raise BadEventError(
            "invalid_data", f"expected a whole number of {unit}, found {kind_of(value)}", path=path
        )
    times, over = _PER_MS[unit]
    if not _FIRST_MS <= number * times // over < _PAST_MS:
        raise BadEventError("invalid_data", f"{number} {unit} is not an instant of 1970 to 2099", path=path)
    return _UNIX + timedelta(microseconds=number * times * 1_000 // over)


def from_text(text: str, path: str) -> datetime:
    """The instant written as RFC 3339 or nearly so (`+0000`, a blank for the T, no offset: UTC)."""
    found = _RFC_3339.fullmatch(text.strip())
    if found is None:
        raise BadEventError(
            "invalid_data",
            f"expected an instant such as 2026-03-05T02:11:09Z, found {text[:40]!r}",
            path=path,
        )
    day, clock, fraction, offset = found.groups()
    if not offset or offset.upper() in ("Z", "UTC"):
        offset = "+00:00"
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{offset}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadEventError("invalid_data", f"no such instant: {text[:40]!r}", path=path) from error
    if not 1970 <= instant.year <= 2099:
        raise BadEventError("invalid_data", f"{text[:40]!r} is not in 1970 to 2099", path=path)
    return instant


def instant_of(value: Any, path: str) -> datetime:
    """An instant in whatever form: RFC 3339, or Unix time whose size tells s, ms, us or ns."""
    number = _whole(value)
    if number is not None:
        size = len(str(abs(number)))
        unit: Unit = "s" if size <= 10 else "ms" if size <= 13 else "us" if size <= 16 else "ns"
        return from_unix(number, unit, path)
    if isinstance(value, str):
        return from_text(value, path)
    raise BadEventError("invalid_data", f"expected an instant, found {kind_of(value)}", path=path)


def rfc3339(instant: datetime) -> str:
    """The instant in UTC, to the millisecond, or to the microsecond if it has any."""
    fraction = "microseconds" if instant.microsecond % 1_000 else "milliseconds"
    return instant.astimezone(UTC).isoformat(timespec=fraction).replace("+00:00", "Z")


def day_of(instant: datetime, zone: tzinfo) -> str:
    """The local day on which the instant falls."""
    return instant.astimezone(zone).date().isoformat()


def stated_date(value: Any, path: str) -> str:
    """The date part of a text that begins with one. No time zone shifts it."""
    if isinstance(value, str):
        text = value.strip()
        if _DATE.fullmatch(text) or _RFC_3339.fullmatch(text):
            return _checked_date(text[:10], path)
    raise BadEventError(
        "invalid_data", f"expected a date such as 2026-03-05, found {kind_of(value)}", path=path
    )


def epoch_day(value: Any, path: str) -> str:
    """The date that lies `value` days after 1970-01-01."""
    number = _whole(value)
    if number is None or not -719_162 <= number <= 2_932_896:
        raise BadEventError("invalid_data", f"expected days since 1970, found {kind_of(value)}", path=path)
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _checked_date(text: str, path: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise BadEventError("invalid_data", f"no such day: {text!r}", path=path) from error


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip())
    # By its exponent first: arithmetic on 1e999999999 overflows.
    if isinstance(value, Decimal) and value.adjusted() < 19 and value == value.to_integral_value():
        return int(value)
    return None

"""The company's calendar: local days of instants, fiscal periods, windows, business days (G2, G3, F30).

Plain and exact: `zoneinfo` is asked each time. `aggregators.zones` does the same for whole arrays.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from aggregators.meaning import Company
from aggregators.question import Window
from events.errors import UsageError

DAY_MS = 86_400_000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
FIRST_DAY, LAST_DAY = date(1900, 1, 2), date(2199, 12, 30)
FIRST_ASKED = date(1901, 1, 2)
"""The first day that may be asked about: every trailing window of it lies within the calendar."""

WINDOW_NAMES = (
    "day",
    "week",
    "month",
    "fiscal_quarter",
    "fiscal_year",
    "trailing_90d",
    "trailing_12m",
    "all",
    "START..END",
)
"""What may be asked; `trailing_90d` stands for any number of days."""

PeriodKind = Literal["month", "fiscal_quarter", "fiscal_year"]

_MONTHS_IN: dict[PeriodKind, int] = {"month": 1, "fiscal_quarter": 3, "fiscal_year": 12}
_TRAILING_DAYS = re.compile(r"trailing_([1-9]\d{0,4})d", re.ASCII)
_PERIOD = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole local days from `start` to `end`, both inside."""

    start: date
    end: date

    def __contains__(self, day: object) -> bool:
        """Whether a day lies in it; None never does."""
        return isinstance(day, date) and self.start <= day <= self.end

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days + 1


ALWAYS = Span(FIRST_DAY, LAST_DAY)
"""The span of the window `all`."""


class Calendar:
    """Instants (ms since 2000-01-01 UTC) and local days of one company."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._zone = company.zone
        self._holidays = frozenset(company.holidays)
        self.day = lru_cache(maxsize=100_000)(self._day)
        self.start_ms = lru_cache(maxsize=100_000)(self._start_ms)

    def local(self, instant_ms: int) -> datetime:
        """The instant on the company's clock."""
        return (EPOCH + timedelta(milliseconds=instant_ms)).astimezone(self._zone)

    def _day(self, instant_ms: int) -> date:
        """The local day of an instant."""
        return self.local(instant_ms).date()

    def _start_ms(self, day: date) -> int:
        """The first instant of a local day (of the next one, where the whole day was skipped)."""
        midnight = instant_ms(datetime(day.year, day.month, day.day, tzinfo=self._zone))
        if self._day(midnight) == day and self._day(midnight - 1) < day:
            return midnight
        # Summer time that starts at midnight, or a day the zone skipped: the change itself.
        before, from_here = midnight - 2 * DAY_MS, midnight + 2 * DAY_MS
        while from_here - before > 1:
            middle = (before + from_here) // 2
            before, from_here = (middle, from_here) if self._day(middle) < day else (before, middle)
        return from_here

    def end_ms(self, day: date) -> int:
        """The last instant of a local day: one millisecond before the next one starts."""
        return self.start_ms(day + timedelta(days=1)) - 1

    # Periods

    def period(self, kind: PeriodKind, day: date) -> Span:
        """The month, fiscal quarter or fiscal year in which a day lies.

        With the 4-4-5 calendar a `month` is one of its periods of 4, 4 or 5 weeks, so that quarters
        are made of months in either calendar.
        """
        for year in (day.year + 1, day.year, day.year - 1):
            if self._year_start(year) <= day:
                starts = self._month_starts(year)
                number = max(index for index, start in enumerate(starts[:12]) if start <= day)
                months = _MONTHS_IN[kind]
                first = number // months * months
                return Span(starts[first], starts[first + months] - timedelta(days=1))
        raise AssertionError("a year that started the year before has always started")

    def fiscal_year_name(self, day: date) -> int:
        """The calendar year that names the fiscal year of a day (`fiscal_year_named_by`)."""
        start = self.period("fiscal_year", day).start + timedelta(days=15)  # beyond the 4-4-5 shift
        return start.year + self._named_later()

    def named_period(self, name: str) -> tuple[PeriodKind, Span]:
        """The fiscal period called `2026`, `2026-Q4` or `2026-11`.

        A year and a quarter belong to the fiscal year of that name; a month is the calendar month,
        with 4-4-5 the period in its place. Raises UsageError for any other text.
        """
        found = _PERIOD.fullmatch(name)
        if not found:
            raise UsageError(f"{name!r} is no fiscal period such as 2026, 2026-Q4 or 2026-11")
        year, quarter, month = int(found[1]), found[2], found[3]
        if month:
            starts_in = year if int(month) >= self._company.fiscal_year_start_month else year - 1
            starts = self._month_starts(starts_in)
            number = (int(month) - self._company.fiscal_year_start_month) % 12
            return "month", Span(starts[number], starts[number + 1] - timedelta(days=1))
        starts = self._month_starts(year - self._named_later())
        if quarter:
            number = 3 * (int(quarter) - 1)
            return "fiscal_quarter", Span(starts[number], starts[number + 3] - timedelta(days=1))
        return "fiscal_year", Span(starts[0], starts[12] - timedelta(days=1))

    def _named_later(self) -> int:
        company = self._company
        return int(company.fiscal_year_named_by == "end" and company.fiscal_year_start_month > 1)

    def _year_start(self, year: int) -> date:
        """The first day of the fiscal year that starts in (4-4-5: nearest the 1st of) a calendar year."""
        first = date(year, self._company.fiscal_year_start_month, 1)
        if self._company.calendar == "gregorian":
            return first
        weekday = first.weekday()
        return first + timedelta(days=-weekday if weekday <= 3 else 7 - weekday)

    def _month_starts(self, year: int) -> list[date]:
        """The first days of the twelve months of a fiscal year, and of the next year."""
        start = self._year_start(year)
        if self._company.calendar == "gregorian":
            return [add_months(start, months) for months in range(13)]
        weeks = [0, 4, 8, 13, 17, 21, 26, 30, 34, 39, 43, 47]
        return [start + timedelta(weeks=week) for week in weeks] + [self._year_start(year + 1)]

    # Windows

    def windows(self, name: str, as_of: date, periods: int = 1) -> list[tuple[Window, Span]]:
        """The last `periods` windows of that name up to the one of the as-of day, oldest first.

        Raises UsageError for a name that is none of WINDOW_NAMES, naming them.
        """
        if periods < 1:
            raise UsageError(f"periods is {periods}: ask for at least 1")
        if name == "all":
            return [(Window(name, None, None), ALWAYS)]
        if ".." in name:
            span = _stated_span(name)
            if periods > 1:
                raise UsageError(f"{name} is one window: leave out --periods, or name a kind of window")
            return [(Window(name, span.start, span.end), span)]
        spans: list[Span] = []
        for span in self._backwards(name, as_of):
            spans.append(span)
            if len(spans) == periods:
                break
        return [(Window(name, span.start, span.end), span) for span in reversed(spans)]

    def _backwards(self, name: str, day: date) -> Iterator[Span]:
        """The window of a day, the one before it, and so on."""
        while day > FIRST_DAY:
            span = self._window(name, day)
            yield span
            day = span.start - timedelta(days=1)

    def _window(self, name: str, day: date) -> Span:
        match name:
            case "day":
                return Span(day, day)
            case "week":
                monday = day - timedelta(days=day.weekday())
                return Span(monday, monday + timedelta(days=6))
            case "month" | "fiscal_quarter" | "fiscal_year":
                return self.period(name, day)
            case "trailing_12m":
                return Span(add_months(day + timedelta(days=1), -12), day)
        if found := _TRAILING_DAYS.fullmatch(name):
            return Span(day - timedelta(days=int(found[1]) - 1), day)
        raise UsageError(f"{name!r} is no window; there are {', '.join(WINDOW_NAMES)}")

    # Business days

    def is_business_day(self, day: date) -> bool:
        """Neither a Saturday, a Sunday nor a holiday."""
        return day.weekday() < 5 and day not in self._holidays

    def add_business_days(self, day: date, count: int) -> date:
        """The day that lies `count` business days after a day."""
        while count > 0:
            day += timedelta(days=1)
            count -= self.is_business_day(day)
        return day


def instant_ms(moment: datetime) -> int:
    """An aware datetime in ms since 2000-01-01 UTC (rounded down)."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def add_months(day: date, months: int) -> date:
    """The same day of the month that many months later (or earlier), clamped to that month.

    >>> add_months(date(2024, 2, 29), -12)
    datetime.date(2023, 2, 28)
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _stated_span(name: str) -> Span:
    start, _, end = name.partition("..")
    try:
        span = Span(date.fromisoformat(start), date.fromisoformat(end))
    except ValueError as error:
        raise UsageError(f"{name!r} is no window: write it as 2017-04-01..2017-06-30") from error
    if span.end < span.start:
        raise UsageError(f"the window {name} ends before it starts: both days are inside")
    if span.start < FIRST_ASKED or span.end > LAST_DAY:
        raise UsageError(
            f"the window {name} reaches beyond {FIRST_ASKED}..{LAST_DAY}; for everything there is all"
        )
    return span

"""A question in words: the options of `dealpulse kpi`, which are the parameters of `/api/kpi`."""

from collections.abc import Sequence
from datetime import date

from aggregators.answer import check
from aggregators.calendar import FIRST_ASKED, LAST_DAY, Calendar
from aggregators.kpis import find_kpi, registry
from aggregators.question import Question
from events.errors import UsageError
from events.instants import time_ns

PARAMETERS = ("kpi", "by", "window", "as_of", "periods", "attribution")
"""The names over HTTP; on the command line `_` is `-`."""


def questions(
    calendar: Calendar,
    *,
    now_ms: int,
    kpi: str = "",
    by: str = "",
    window: str | None = None,
    as_of: str | None = None,
    periods: int = 1,
    attribution: str | None = None,
) -> list[Question]:
    """One question for each KPI that is named, by commas; without a name for all that can be split so.

    Raises UsageError for a KPI, dimension, window, instant or number of periods that cannot be.
    """
    dimensions = tuple(_listed(by))
    names = _listed(kpi) or _all_split_by(dimensions)
    instant = now_ms if as_of is None else as_of_ms(as_of, calendar)
    found = [
        Question(find_kpi(name).name, instant, window or None, dimensions, periods, attribution, now_ms)
        for name in names
    ]
    for question in found:
        check(find_kpi(question.kpi), question)
        calendar.windows(question.window or "all", calendar.day(instant), periods)
    return found


def as_of_ms(text: str, calendar: Calendar) -> int:
    """An instant, or a day: its last millisecond in the company's zone. Raises UsageError."""
    try:
        if len(text) == len("2017-12-31"):
            day = date.fromisoformat(text)
            found = calendar.end_ms(day)
        else:
            # The plus of an offset arrives as a space in an address where nobody escaped it.
            found = time_ns(text.replace(" ", "+")) // 1_000_000
            day = calendar.day(found)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"as-of {text!r} is neither a day such as 2017-12-31 nor an instant such as "
            "2017-12-31T18:00:00+08:00"
        ) from error
    if not FIRST_ASKED <= day <= LAST_DAY:
        raise UsageError(f"as-of {text!r} lies beyond {FIRST_ASKED}..{LAST_DAY}")
    return found


def _all_split_by(dimensions: Sequence[str]) -> list[str]:
    found = [name for name, kpi in registry().items() if set(dimensions) <= set(kpi.dimensions)]
    if not found:
        known = sorted({dimension for kpi in registry().values() for dimension in kpi.dimensions})
        raise UsageError(f"no KPI can be split by {','.join(dimensions)!r}; there are {', '.join(known)}")
    return found


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]

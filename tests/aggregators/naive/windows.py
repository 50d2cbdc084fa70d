"""Windows and fiscal periods, found by walking over days."""

from datetime import date
from functools import partial

from aggregators.calendar import FIRST_DAY, LAST_DAY
from aggregators.meaning import Company
from tests.aggregators.naive.contracts import later
from tests.aggregators.naive.deals import Window
from tests.aggregators.naive.world import DAY

ALL = Window(FIRST_DAY, LAST_DAY, is_all=True)


def year_start(company: Company, year: int) -> date:
    """The first day of the fiscal year that begins about the 1st of its first month."""
    first = date(year, company.fiscal_year_start_month, 1)
    if company.calendar == "4-4-5":
        mondays = [first + number * DAY for number in range(-3, 4) if (first + number * DAY).weekday() == 0]
        return mondays[0]
    return first


def months_of(company: Company, year: int) -> list[Window]:
    """The twelve months of a fiscal year; with 4-4-5 its periods of 4, 4 and 5 weeks."""
    start, after = year_start(company, year), year_start(company, year + 1)
    if company.calendar == "4-4-5":
        starts, day = [], start
        for _ in range(4):
            for weeks in (4, 4, 5):
                starts.append(day)
                day += 7 * weeks * DAY
    else:
        starts = [later(start, number) for number in range(12)]
    return [Window(one, nxt - DAY) for one, nxt in zip(starts, [*starts[1:], after], strict=True)]


def periods(company: Company, kind: str, year: int) -> list[Window]:
    """The months, quarters, or the one year of a fiscal year."""
    months, size = months_of(company, year), {"month": 1, "fiscal_quarter": 3, "fiscal_year": 12}[kind]
    return [Window(months[at].start, months[at + size - 1].end) for at in range(0, 12, size)]


def window(company: Company, name: str, as_of: date) -> Window:
    """The window of that name in which a day lies."""
    if name == "all":
        return ALL
    if ".." in name:
        return Window(date.fromisoformat(name[:10]), date.fromisoformat(name[12:]))
    if name == "day":
        return Window(as_of, as_of)
    if name == "week":
        monday = as_of - as_of.weekday() * DAY
        return Window(monday, monday + 6 * DAY)
    if name == "trailing_12m":
        return Window(later(as_of + DAY, -12), as_of)
    if name.startswith("trailing_"):
        return Window(as_of - (int(name[9:-1]) - 1) * DAY, as_of)
    years = (as_of.year - 1, as_of.year, as_of.year + 1)
    found = [one for year in years for one in periods(company, name, year) if one.holds(as_of)]
    assert len(found) == 1
    return found[0]


def named(company: Company, name: str) -> tuple[date, date]:
    """The days of the fiscal period called `2026`, `2026-Q4` or `2026-11`."""
    year, _, part = name.partition("-")
    of = partial(periods, company)
    named_by_end = company.fiscal_year_named_by == "end" and company.fiscal_year_start_month > 1
    begins = int(year) - int(named_by_end)
    if not part:
        found = of("fiscal_year", begins)[0]
    elif part.startswith("Q"):
        found = of("fiscal_quarter", begins)[int(part[1]) - 1]
    else:
        first = company.fiscal_year_start_month
        begins = int(year) if int(part) >= first else int(year) - 1
        found = of("month", begins)[(int(part) - first) % 12]
    return found.start, found.end

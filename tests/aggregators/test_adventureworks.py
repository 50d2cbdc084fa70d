"""The exact road against AdventureWorks: each expected figure is counted from the raw rows, by hand."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from aggregators.company import Company
from aggregators.meaning import Meaning
from events.event import Event
from tests.aggregators.told import company_of, meaning, opp, rate, row, rows, told

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "adventureworks"
DAY = timedelta(days=1)
SALES = "3"


def raw(name: str) -> list[list[str]]:
    """The rows of one file; skips the test where the data is not there."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def day(text: str) -> date:
    return date.fromisoformat(text[:10])


# Territories and quotas


def quarter_start(quota_on: date) -> date:
    """The first of the month nearest a quota's date: they lie a day or two around it."""
    return (quota_on + 5 * DAY).replace(day=1)


def quotas() -> Iterator[tuple[str, date, int]]:
    """Rep, first day of the fiscal quarter (the year begins in June), quota."""
    for _, rep, quota_on, quota, *_rest in raw("SalesPersonQuotaHistory"):
        yield rep, quarter_start(day(quota_on)), int(quota)


def territory(rep: str, on: date) -> str:
    for _, who, name, start, end, *_rest in raw("SalesTerritoryHistory"):
        if who == rep and day(start) <= on and (not end or on <= day(end)):
            return f"T{name}"
    return "unassigned"


def period(start: date) -> str:
    year = start.year if start.month >= 6 else start.year - 1
    return f"{year}-Q{(start.month - 6) % 12 // 3 + 1}"


FISCAL = meaning(fiscal_year_start_month=6, fiscal_year_named_by="start")


def sales_force() -> Company:
    """The reps with their territories as teams, dated as they changed, and their quotas as targets."""
    events = []
    for rep, _title, hired_on in ((r[0], r[5], r[9]) for r in raw("Employee") if 274 <= int(r[0]) <= 290):
        events.append(told("employee", rep, hired_on, hired_on=hired_on, role="sales"))
    for _, rep, name, start, end, *_rest in raw("SalesTerritoryHistory"):
        events.append(told("employee", rep, start[:10], team=f"T{name}", effective_on=start[:10]))
        left_on = (day(end) + DAY).isoformat() if end else ""
        if end and territory(rep, day(left_on)) == "unassigned":
            events.append(told("employee", rep, left_on, team=None, effective_on=left_on))
    for rep, first, quota in quotas():
        events.append(told("target", f"rep:{rep}/{period(first)}", first.isoformat(), amount=str(quota)))
    return company_of(*events, meaning=FISCAL)


def test_quotas_follow_the_reps_through_their_territories_by_days() -> None:
    expected: dict[date, defaultdict[str, Fraction]] = {}
    for rep, start, quota in quotas():
        following = (start + 95 * DAY).replace(day=1)
        days = (following - start).days
        of_quarter = expected.setdefault(start, defaultdict(Fraction))
        for number in range(days):
            of_quarter[territory(rep, start + number * DAY)] += Fraction(quota * 100, days)

    company = sales_force()
    assert len(expected) == 12
    for start, of_quarter in expected.items():
        asked = {"as_of": start.isoformat(), "window": "fiscal_quarter"}
        found = {
            r.by[0][1]: r.value for r in rows(company, "target", by="team", **asked) if r.reading == "amount"
        }
        assert found == dict(of_quarter), start
        assert row(company, "target", "amount", **asked).value == sum(of_quarter.values())


def test_a_fiscal_year_takes_its_four_quarters_quotas() -> None:
    expected = sum(quota for _, start, quota in quotas() if date(2012, 6, 1) <= start < date(2013, 6, 1))

    # Reps hired within the year have quotas from then on: all of them count.
    found = row(sales_force(), "target", "amount", as_of="2013-03-01", window="fiscal_year")
    assert found.value == expected * 100


def test_a_transfer_on_the_last_day_of_a_quarter_moves_one_day_of_the_target() -> None:
    by_team = {
        r.by: r.value
        for r in rows(sales_force(), "target", by="rep,team", as_of="2012-11-01", window="fiscal_quarter")
        if r.reading == "amount"
    }

    quota = next(q for rep, start, q in quotas() if (rep, start) == ("275", date(2012, 9, 1)))
    assert by_team[("rep", "275"), ("team", "T2")] == Fraction(quota * 100 * 90, 91)
    assert by_team[("rep", "275"), ("team", "T3")] == Fraction(quota * 100, 91)


# Departments


def in_department(department: str) -> Meaning:
    return meaning(sales_roles=(department,))


def department_moves() -> list[Event]:
    events = []
    for _, who, department, _shift, start, *_rest in raw("EmployeeDepartmentHistory"):
        fields: dict[str, Any] = {"role": department, "effective_on": start}
        events.append(told("employee", who, start, **fields))
    events.extend(told("employee", r[0], r[9], hired_on=r[9]) for r in raw("Employee"))
    return events


def test_retention_in_each_department_and_year_is_that_of_the_raw_rows() -> None:
    history = raw("EmployeeDepartmentHistory")
    departments = [r[0] for r in raw("Department")]
    events = department_moves()
    left_role = 0
    for department in departments:
        company = company_of(*events, meaning=in_department(department))
        for year in range(2007, 2015):
            before, last = date(year - 1, 12, 31), date(year, 12, 31)
            there = [
                (who, end)
                for _, who, name, _, start, end, *_rest in history
                if name == department and day(start) <= before and (not end or before <= day(end))
            ]
            stayed = [who for who, end in there if not end or last <= day(end)]
            asked: dict[str, Any] = {"as_of": last.isoformat(), "window": "fiscal_year"}
            found = row(company, "rep_retention", "trailing", **asked)
            assert (found.numerator, found.denominator) == (len(stayed), len(there)), (department, year)
            split = rows(company, "rep_retention", by="leave_kind", **asked)
            left = sum(
                r.denominator or 0 for r in split if r.reading == "trailing" and r.by[0][1] == "left_role"
            )
            assert left == len(there) - len(stayed)
            left_role += len(there) - len(stayed)
    assert left_role == sum(end != "" and start[:4] < end[:4] for *_, start, end, _ in history) == 5


def test_tenure_of_the_sales_department_is_that_of_the_raw_rows() -> None:
    as_of = date(2013, 12, 31)
    hires = [day(r[4]) for r in raw("EmployeeDepartmentHistory") if r[2] == SALES]
    long_ago = [hired for hired in hires if hired.replace(year=hired.year + 1) <= as_of]

    found = row(
        company_of(*department_moves(), meaning=in_department(SALES)), "rep_retention", "tenure", "2013-12-31"
    )
    assert (found.numerator, found.denominator) == (len(long_ago), len(long_ago)) == (15, 15)


# Exchange rates


def weekday_rates(*currencies: str) -> dict[tuple[str, date], str]:
    """The average rates of Mondays to Fridays: on a weekend Friday's holds."""
    return {
        (quote, day(on)): average
        for _, on, _, quote, average, *_rest in raw("CurrencyRate")
        if quote in currencies and day(on).weekday() < 5
    }


def wins(step: int) -> list[tuple[str, date, int]]:
    first = date(2011, 6, 6)
    return [(f"o{n}", first + n * step * DAY, 1000 + 37 * n) for n in range(1000 // step)]


def sold(deals: list[tuple[str, date, int]], currency: str) -> list[Event]:
    return [
        opp(name, on.isoformat(), stage="Won", amount=str(amount), currency=currency)
        for name, on, amount in deals
    ]


def rate_of(stated: dict[tuple[str, date], str], quote: str, on: date) -> Fraction:
    while (quote, on) not in stated:
        on -= DAY
    return Fraction(stated[quote, on])


def test_won_dollars_in_yen_and_euros_are_each_deals_own_day() -> None:
    stated = weekday_rates("JPY", "EUR")
    deals = wins(3)
    told_rates = [rate(f"USD/{quote}", on.isoformat(), average) for (quote, on), average in stated.items()]
    for reporting, minor in (("JPY", 1), ("EUR", 100)):
        company = company_of(*sold(deals, "USD"), *told_rates, meaning=meaning(currency=reporting))

        found = row(company, "won", "amount", "2014-05-31", window="all")
        assert found.value == sum(amount * rate_of(stated, reporting, on) * minor for _, on, amount in deals)
        assert found.samples == len(deals)


def test_pounds_become_dollars_at_the_inverse_of_the_rate() -> None:
    stated = weekday_rates("GBP")
    deals = wins(7)
    told_rates = [rate("USD/GBP", on.isoformat(), average) for (_, on), average in stated.items()]

    found = row(company_of(*sold(deals, "GBP"), *told_rates), "won", "amount", "2014-05-31", window="all")
    expected = sum(amount * 100 / rate_of(stated, "GBP", on) for _, on, amount in deals)
    assert found.value is not None
    assert found.value != expected  # a quotient of the rate is rounded to 30 decimals
    assert abs(Fraction(found.value) - Fraction(expected)) < Fraction(1, 10**20)


def test_a_changed_rate_of_a_day_moves_that_days_deals_and_the_weekend_after_it_alone() -> None:
    stated = weekday_rates("EUR")
    deals = wins(1)[:20]
    told_rates = [rate("USD/EUR", on.isoformat(), average) for (_, on), average in stated.items()]
    friday = next(on for _, on, _ in deals if on.weekday() == 4)
    corrected = told("fx_rate", f"USD/EUR/{friday}", "2014-06-01", rate="2")

    for _, on, _ in deals:
        asked: dict[str, Any] = {"as_of": "2014-05-31", "window": f"{on}..{on}"}
        before = row(
            company_of(*sold(deals, "USD"), *told_rates, meaning=meaning(currency="EUR")),
            "won",
            "amount",
            **asked,
        )
        after = row(
            company_of(*sold(deals, "USD"), *told_rates, corrected, meaning=meaning(currency="EUR")),
            "won",
            "amount",
            **asked,
        )
        assert (before.value != after.value) == (friday <= on <= friday + 2 * DAY)

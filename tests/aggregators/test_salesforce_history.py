"""The stage history of a Salesforce export, against figures worked out from its raw rows."""

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from aggregators.calendar import instant_ms
from aggregators.company import Company
from aggregators.meaning import Meaning, Pipeline, Stage
from events.event import Event
from tests.aggregators.told import rows, value

FILE = (
    Path(__file__).parents[3]
    / "shared"
    / "data"
    / "salesforce-opportunity-history"
    / "OpportunityHistory.csv"
)
OPEN = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Id. Decision Makers",
    "Perception Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
)
MEANING = Meaning(
    pipelines={
        "default": Pipeline(
            stages=(
                *(Stage(name=name, stalled_after_days=30) for name in OPEN),
                Stage(name="Closed Won", kind="won"),
                Stage(name="Closed Lost", kind="lost"),
            )
        )
    }
)
AFTER = "2026-03-31"
AFTER_ALL = datetime(2026, 4, 1, tzinfo=UTC) - timedelta(milliseconds=1)


def at(row: dict[str, str]) -> datetime:
    return datetime.strptime(row["CreatedDate"], "%m/%d/%y %I:%M %p").replace(tzinfo=UTC)


def close_date(row: dict[str, str]) -> date:
    return datetime.strptime(row["CloseDate"], "%m/%d/%y").replace(tzinfo=UTC).date()


@pytest.fixture(scope="module")
def histories() -> dict[str, list[dict[str, str]]]:
    """The raw rows of each opportunity, oldest first."""
    if not FILE.exists():
        pytest.skip(f"{FILE} is not there")
    found: dict[str, list[dict[str, str]]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file), key=at):
            found.setdefault(row["OpportunityId"], []).append(row)
    return found


@pytest.fixture(scope="module")
def company(histories: dict[str, list[dict[str, str]]]) -> Company:
    events = [
        Event(
            entity="opportunity",
            verb="changed",
            subject=subject,
            source="/salesforce/sample",
            id=row["Id"],
            time_ns=instant_ms(at(row)) * 10**6,
            sequence="",
            complete=False,
            recorded_ms=None,
            data={
                "stage": row["StageName"],
                "amount": Decimal(row["Amount"]) if row["Amount"] else None,
                "close_date": close_date(row),
                "probability": Decimal(row["Probability"]) / 100,
            },
        )
        for subject, history in histories.items()
        for row in history
    ]
    return Company.from_events(MEANING, reversed(events))


def test_each_deal_is_where_its_last_row_says(
    company: Company, histories: dict[str, list[dict[str, str]]]
) -> None:
    last = Counter(history[-1]["StageName"] for history in histories.values())

    assert value(company, "won", "count", AFTER, window="all") == last.pop("Closed Won")
    assert value(company, "lost", "count", AFTER, window="all") == last.pop("Closed Lost")
    found = rows(company, "open", AFTER, by="stage")
    assert {each.by[0][1]: each.value for each in found if each.reading == "count"} == dict(last)
    assert sum(last.values()) > 0


def test_a_close_counts_on_its_close_date_but_not_after_the_day_it_was_told(
    company: Company, histories: dict[str, list[dict[str, str]]]
) -> None:
    years: Counter[tuple[str, int]] = Counter()
    amount = 0
    for history in histories.values():
        row = history[-1]
        if row["StageName"] in ("Closed Won", "Closed Lost"):
            outcome = row["StageName"].removeprefix("Closed ").lower()
            years[outcome, min(close_date(row), at(row).date()).year] += 1
            amount += int(row["Amount"] or 0) * 100 if outcome == "won" else 0

    assert len(years) > 2
    for (outcome, year), count in years.items():
        window = f"{year}-01-01..{year}-12-31"
        assert value(company, outcome, "count", AFTER, window=window) == count
    assert value(company, "won", "amount", AFTER, window="all") == amount


def test_stagnation_is_the_time_since_the_furthest_stage_was_entered(
    company: Company, histories: dict[str, list[dict[str, str]]]
) -> None:
    idle = timedelta()
    for history in histories.values():
        if history[-1]["StageName"] not in OPEN:
            continue
        furthest, since = -1, at(history[0])
        for row in history:
            if row["StageName"] in OPEN and OPEN.index(row["StageName"]) > furthest:
                furthest, since = OPEN.index(row["StageName"]), at(row)
        idle += AFTER_ALL - since

    found = rows(company, "stagnation", AFTER)[0]
    assert found.numerator == idle // timedelta(milliseconds=1)
    assert value(company, "stalled", "count", AFTER) == found.samples, "35 days are past 30"


def test_between_two_rows_the_first_one_holds(
    company: Company, histories: dict[str, list[dict[str, str]]]
) -> None:
    opened, moved = "2026-02-24T02:19:30Z", "2026-02-24T02:20:30Z"

    def prospecting(as_of: str) -> list[object]:
        found = rows(company, "open", as_of, by="stage")
        return [each.value for each in found if each.reading == "count" and each.by[0][1] == "Prospecting"]

    def is_there(history: list[dict[str, str]], moment: datetime) -> bool:
        """In Prospecting by its last row until then, and not closed by a later one with an earlier date."""
        until = [row["StageName"] for row in history if at(row) <= moment]
        closed = any(
            row["StageName"] not in OPEN and close_date(row) < moment.date() for row in history[len(until) :]
        )
        return until[-1:] == ["Prospecting"] and not closed

    for as_of in (opened, moved):
        there = sum(is_there(history, datetime.fromisoformat(as_of)) for history in histories.values())
        assert prospecting(as_of) == [there]

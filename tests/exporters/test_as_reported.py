"""What was reported, explained: of the rows that are kept and the log beside them, whatever came late."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from aggregators.as_reported import as_reported
from aggregators.company import Company
from aggregators.explain_page import explained, explained_question, reported_period
from aggregators.explain_text import explanation_text
from aggregators.meaning import Meaning
from aggregators.reported import Period, Reported, Schedule, figures, period_record, record_of
from events.errors import UsageError
from events.event import Event
from exporters.freezing import reckoned
from streams.freeze import Known, Log
from tests.aggregators.told import PLAIN, end_of, meaning, opp, told

Q2 = Schedule(PLAIN).named("2026-Q2")
READ_MS = Q2.frozen_ms + 60_000
NOW_MS = end_of("2026-08-31")


def known(event: Event, recorded: str | None, appended: str) -> Known:
    """An event that says it was recorded on a day, in a record that was appended on another."""
    at = end_of(appended)
    by = at if recorded is None else end_of(recorded)
    return Known(by, at, at, event if recorded is None else replace(event, recorded_ms=by))


def log(*events: Known) -> Log:
    return Log(sorted(events, key=lambda each: each.known_ms), read_ms=NOW_MS)


def kept(
    history: Log, settings: Meaning = PLAIN, period: Period = Q2, read_ms: int = READ_MS, **changed: Any
) -> Reported:
    """What was frozen of a period, from the records that were there when the log was read for it."""
    held = Reported()
    rows = list(figures(history.company(settings, period.frozen_ms, read_ms), period))
    for row in rows:
        held.take(json.dumps(record_of(replace(row, **changed), period)).encode())
    versions = period_record(period, len(rows), settings, read_ms)
    versions["versions"] = {
        name: changed.get("definition_version", version) for name, version in versions["versions"].items()
    }
    held.take(json.dumps(versions).encode())
    return held


def live(
    history: Log, held: Reported, settings: Meaning = PLAIN, now_ms: int = NOW_MS, **asked: Any
) -> dict[str, Any]:
    """What `/api/explain` answers."""
    company = Company.from_events(settings, (each.event for each in history.events))
    asked = {"against": "reported", "window": "2026-04-01..2026-06-30", **asked}
    question, where = explained_question(company.calendar, now_ms=now_ms, **asked)
    period, freeze = reported_period(settings, question, held)
    read_ms = None if freeze is None else freeze.read_ms
    found = reckoned(history, settings, question, period, read_ms, asked.get("reading"), where)
    before = as_reported(period, found, question, held, freeze, settings.digest)
    return explained(company, now_ms=now_ms, reported=before, **asked)


def values(found: dict[str, Any]) -> tuple[Any, Any, Any]:
    against = found["against"]
    return against["before"]["value"], against["reported"]["log"]["value"], against["after"]["value"]


def records(moved: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["record"], each["difference"]) for each in moved]


EARLY = (
    known(opp("a", "2026-05-10", stage="Won", amount="5"), None, "2026-05-10"),
    known(opp("b", "2026-05-11", stage="Won", amount="6"), None, "2026-05-11"),
)
BACKDATED = known(opp("c", "2026-06-21", stage="Won", amount="9", name="Late"), "2026-06-21", "2026-07-20")


@pytest.mark.rule("G8")
def test_a_win_appended_after_the_freeze_and_recorded_before_it_moves_what_was_kept() -> None:
    found = live(log(*EARLY, BACKDATED), kept(log(*EARLY)), kpi="won")

    assert values(found) == (2, 3, 3)
    assert records(found["against"]["moved"]) == [("opportunity/c", "1")]
    (late,) = found["against"]["reported"]["late"]
    assert (late["record"], late["known_at"][:10], late["appended_at"][:10]) == (
        "opportunity/c",
        "2026-06-21",
        "2026-07-20",
    )
    text = explanation_text(found)
    assert "moved from 2 as of 2026-06-30T23:59:59.999+00:00 to 3 by" in text
    assert "the log now says 3, not the 2 that was kept" in text
    assert "known before the freeze, appended after it" in text


def test_where_nothing_came_late_nothing_is_said() -> None:
    after = known(opp("d", "2026-06-22", stage="Won", amount="1"), None, "2026-07-21")
    found = live(log(*EARLY, after), kept(log(*EARLY)), kpi="won", reading="amount")

    assert values(found) == ("11.00", "11.00", "12.00")
    assert records(found["against"]["moved"]) == [("opportunity/d", "1")]
    assert (found["against"]["reported"]["late"], found["against"]["reported"]["notes"]) == ([], [])


def test_a_record_published_again_later_was_seen_when_it_came_first() -> None:
    first = EARLY[0]
    again = Known(first.known_ms, end_of("2026-08-01"), first.first_ms, first.event)
    found = live(log(again, EARLY[1], BACKDATED), kept(log(*EARLY)), kpi="won")

    assert values(found) == (2, 3, 3)
    assert records(found["against"]["moved"]) == [("opportunity/c", "1")]
    assert len(notes(found)) == 1


def test_the_freeze_is_the_one_that_was_and_not_what_todays_holidays_make_of_it() -> None:
    holidays = meaning(holidays=("2026-07-01", "2026-07-02", "2026-07-03"))
    late = known(opp("d", "2026-06-22", stage="Won", amount="1"), None, "2026-07-08")
    found = live(log(*EARLY, late), kept(log(*EARLY)), holidays, kpi="won")

    assert Schedule(holidays).named("2026-Q2").frozen_ms > late.known_ms > Q2.frozen_ms
    assert found["against"]["reported"]["frozen_at"].startswith("2026-07-06")
    assert values(found) == (2, 2, 3)
    assert found["against"]["reported"]["notes"] == ["the configuration has changed since the freeze"]


def test_a_row_kept_under_another_definition_is_shown_and_not_compared() -> None:
    held = kept(log(*EARLY), value=7, definition_version=9)
    found = live(log(*EARLY, BACKDATED), held, kpi="won", reading="count")

    assert found["against"]["before"]["value"] == 7
    assert (found["against"]["reported"]["definition_version"], found["definition_version"]) == (9, 1)
    assert "kept under version 9 of the definition, today's is version 1" in explanation_text(found)


def test_a_log_that_does_not_come_to_what_was_kept_is_said_to() -> None:
    found = live(log(EARLY[0]), kept(log(*EARLY)), kpi="won")

    assert values(found) == (2, 1, 1)
    assert any("the records of before come to 1, not to what was kept" in note for note in notes(found))


def notes(found: dict[str, Any]) -> list[str]:
    said: list[str] = found["against"]["reported"]["notes"]
    return said


def test_a_group_that_had_no_row_was_reported_with_0() -> None:
    ann = known(opp("d", "2026-06-22", stage="Won", owner_id="ann"), None, "2026-07-20")
    found = live(log(*EARLY, ann), kept(log(*EARLY)), kpi="won", where=["rep=ann"])

    assert values(found) == (0, 0, 1)
    assert found["against"]["reported"]["kept"] is True


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"kpi": "deal_size"}, "deal_size is never frozen"),
        ({"kpi": "won", "where": ["type=new"]}, "company-wide, by team and by rep only"),
        ({"kpi": "won", "attribution": "current"}, "nothing was kept of this figure"),
        ({"kpi": "won", "window": "month", "as_of": "2026-07-31"}, "not frozen"),
    ],
)
def test_where_nothing_is_kept_the_log_is_asked_and_that_is_said(asked: dict[str, Any], why: str) -> None:
    as_of = {"window": "2026-05-01..2026-05-31"} if asked.get("window") else {}
    found = live(log(*EARLY, BACKDATED), kept(log(*EARLY)), **{**asked, **as_of})

    assert found["against"]["reported"]["kept"] is False
    (note,) = notes(found)
    assert why in note
    assert "this is what the log says was known by" in note


def test_a_period_that_was_not_reported_by_then_is_refused() -> None:
    with pytest.raises(UsageError, match="not frozen before the end of 2026-07-06"):
        live(log(*EARLY), kept(log(*EARLY)), kpi="won", as_of="2026-07-05")


@pytest.mark.rule("F1", "G8")
@pytest.mark.parametrize(("kpi", "reading"), [("acv", "active_per_contract"), ("rep_retention", "tenure")])
def test_a_level_is_restated_at_the_end_of_its_period(kpi: str, reading: str) -> None:
    history = log(
        known(
            told(
                "contract", "c1", "2026-01-01", start_date="2026-01-01", end_date="2026-12-31",
                recurring_amount="120", recurring_per="year",
            ),
            None,
            "2026-01-01",
        ),
        known(
            told(
                "contract", "c2", "2026-07-20", start_date="2026-07-20", end_date="2027-07-19",
                recurring_amount="240", recurring_per="year",
            ),
            None,
            "2026-07-20",
        ),
        known(told("employee", "ann", "2020-01-01", hired_on="2020-01-01", role="sales"), None, "2020-01-02"),
        known(told("employee", "bob", "2025-08-01", hired_on="2025-08-01", role="sales"), None, "2025-08-01"),
        known(told("employee", "bob", "2026-07-25", left_on="2026-07-25"), None, "2026-07-25"),
    )  # fmt: skip
    found = live(history, kept(history), kpi=kpi, reading=reading)

    before, after = found["against"]["before"], found["against"]["after"]
    assert before["value"] == after["value"] == found["value"]
    assert before["as_of"] == after["as_of"] == found["as_of"]
    assert found["as_of"].startswith("2026-06-30T23:59:59")
    assert found["against"]["moved"] == []

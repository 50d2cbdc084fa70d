"""As-reported figures: when they freeze, what they keep, and how they are held against the restated ones."""

import json
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.explain import explain, moves
from aggregators.explain_page import reported_figure
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from aggregators.render import Renderer
from aggregators.reported import (
    Period,
    Reported,
    Schedule,
    as_if_frozen,
    differences,
    figures,
    key_of,
    period_record,
    record_of,
    row_of,
)
from aggregators.reported_page import period_questions, reported_csv, reported_text, restated, side_by_side
from events.errors import UsageError
from events.event import Event
from tests.aggregators.histories import MEANINGS, histories
from tests.aggregators.told import PLAIN, company_of, end_of, meaning, opp, told

Q1 = Schedule(PLAIN).named("2026-Q1")


def recorded(event: Event, day: str) -> Event:
    return replace(event, recorded_ms=end_of(day))


def kept(company: Company, period: Period = Q1) -> Reported:
    return as_if_frozen(company, [period], end_of("2027-12-31"))


def figure(rows: list[Row], reading: str, **by: str) -> Row:
    (found,) = (row for row in rows if row.reading == reading and row.by == tuple(by.items()))
    return found


@pytest.mark.rule("G8")
@pytest.mark.parametrize(
    ("name", "holidays", "days", "due"),
    [
        ("2026-Q1", (), 4, "2026-04-06"),  # Tuesday; Wednesday to Friday, then Monday
        ("2026-Q1", ("2026-04-03", "2026-04-06"), 4, "2026-04-08"),
        ("2026-05", (), 4, "2026-06-04"),  # ends on a Sunday
        ("2026", ("2027-01-01",), 4, "2027-01-07"),
        ("2026-Q1", (), 0, "2026-03-31"),
    ],
)
def test_a_period_freezes_at_the_end_of_so_many_business_days_after_it(
    name: str, holidays: tuple[str, ...], days: int, due: str
) -> None:
    settings = meaning(kpis={"freeze_after_business_days": days}, holidays=holidays)

    assert Schedule(settings).named(name).frozen_ms == end_of(due, settings)


def test_the_freeze_is_at_the_end_of_the_day_in_the_company_zone() -> None:
    taipei = meaning(timezone="Asia/Taipei")

    assert (
        Schedule(PLAIN).named("2026-Q1").frozen_ms - Schedule(taipei).named("2026-Q1").frozen_ms
        == 8 * 3_600_000
    )


def test_due_are_the_periods_whose_freeze_lies_within_what_is_known() -> None:
    schedule = Schedule(meaning(fiscal_year_start_month=2))
    found = schedule.due(end_of("2026-05-07"), since_ms=end_of("2026-02-15"))

    assert [(each.kind, str(each.start), str(each.end)) for each in found] == [
        ("month", "2026-02-01", "2026-02-28"),
        ("month", "2026-03-01", "2026-03-31"),
        ("month", "2026-04-01", "2026-04-30"),
        ("fiscal_quarter", "2026-02-01", "2026-04-30"),
    ]
    assert Q1 not in Schedule(PLAIN).due(Q1.frozen_ms - 1, 0)
    assert Q1 in Schedule(PLAIN).due(Q1.frozen_ms, Q1.frozen_ms)
    assert Q1 not in Schedule(PLAIN).due(end_of("2026-12-31"), Q1.frozen_ms + 1)


@pytest.mark.rule("G8")
def test_a_win_told_after_the_freeze_moves_the_restated_figure_alone() -> None:
    company = company_of(
        opp("a", "2026-02-10", stage="Won", amount="5", owner_id="ann"),
        recorded(opp("b", "2026-03-20", stage="Won", amount="7", owner_id="ann"), "2026-04-06"),
        recorded(opp("c", "2026-03-21", stage="Won", amount="9", owner_id="ann"), "2026-04-07"),
    )
    (asked,) = period_questions(
        Schedule(PLAIN), [Question("won", end_of("2026-06-30"), "2026-01-01..2026-03-31")]
    )
    now = restated(Schedule(PLAIN), *asked, lambda question: answer(company, question))
    count, amount = side_by_side(Renderer(PLAIN), asked[1], asked[0], now, kept(company))

    assert (count["restated"]["value"], count["reported"]["value"], count["difference"]) == (3, 2, 1)
    assert (amount["restated"]["value"], amount["reported"]["value"], amount["difference"]) == (
        "21.00",
        "12.00",
        "9.00",
    )
    assert count["frozen_at"].startswith("2026-04-06T23:59:59.999")
    assert "9.00 USD" in reported_text([count, amount])
    assert reported_csv([amount]).splitlines()[1].endswith(",9.00")


@pytest.mark.rule("G6", "G8")
def test_a_deal_deleted_after_the_freeze_stays_in_the_report() -> None:
    before = [opp("a", "2026-02-10", stage="Won", amount="5"), opp("b", "2026-02-11", stage="Lost")]
    company = company_of(*before, opp("a", "2026-05-01", "deleted"))

    assert figure(kept(company).rows("won", Q1.window), "count").value == 1
    assert figure(kept(company).rows("win_rate", Q1.window), "closed_count").value == Fraction(1, 2)
    assert answer(company, Question("won", end_of("2026-05-02"), "2026-01-01..2026-03-31"))[0].value == 0


def test_what_became_of_the_revenue_at_the_start_is_kept_apart_for_who_left_grew_and_shrank() -> None:
    def contract(subject: str, account_id: str, start: str, end: str, year: str) -> Event:
        fields: dict[str, Any] = {
            "start_date": start,
            "end_date": end,
            "recurring_amount": year,
            "recurring_per": "year",
        }
        return told("contract", subject, start, account_id=account_id, **fields)

    company = company_of(
        contract("c1", "left", "2025-01-01", "2026-02-15", "120"),
        contract("c2", "grew", "2025-01-01", "2026-12-31", "120"),
        contract("c3", "grew", "2026-02-01", "2027-01-31", "60"),
        contract("c4", "shrank", "2025-01-01", "2026-02-28", "120"),
        contract("c5", "shrank", "2026-03-01", "2027-02-28", "24"),
        contract("c6", "came", "2026-02-01", "2027-01-31", "999"),
    )
    changed = {
        r.by: r.value for r in figures(company, Q1) if r.reading == "recurring_change" and len(r.by) == 1
    }
    assert changed == {
        (("change", "churn"),): -120_00,
        (("change", "expansion"),): 60_00,
        (("change", "contraction"),): -96_00,
    }


def test_a_group_that_had_no_record_by_the_freeze_was_reported_with_0_and_with_no_ratio() -> None:
    told_late = recorded(opp("a", "2026-03-20", stage="Won", amount="7", owner_id="ann"), "2026-05-01")
    company = company_of(opp("b", "2026-02-10", stage="Won", amount="5", owner_id="bob"), told_late)
    found = {}
    for kpi in ("won", "win_rate"):
        asked = Question(kpi, end_of("2026-06-30"), "2026-01-01..2026-03-31", ("rep",))
        (one,) = period_questions(Schedule(PLAIN), [asked])
        now = restated(Schedule(PLAIN), *one, lambda question: answer(company, question))
        for each in side_by_side(Renderer(PLAIN), one[1], one[0], now, kept(company)):
            found[kpi, each["reading"], each["by"]["rep"]] = (each["reported"]["value"], each["difference"])

    assert found["won", "count", "ann"] == (0, 1)
    assert found["won", "amount", "ann"] == ("0.00", "7.00")
    assert found["win_rate", "closed_count", "ann"] == (None, None)


def test_a_reopening_between_the_end_and_the_freeze_is_after_the_last_day() -> None:
    company = company_of(opp("a", "2026-02-10", stage="Won"), opp("a", "2026-04-02", stage="Proposal"))

    assert figure(kept(company).rows("won", Q1.window), "count").value == 1


@pytest.mark.rule("G8")
def test_a_period_frozen_before_anything_was_known_has_nothing() -> None:
    company = company_of(recorded(opp("a", "2026-02-10", stage="Won"), "2026-04-07"))

    assert kept(company).freeze(Q1.window) is None
    assert kept(company).rows("won", Q1.window) == []


@pytest.mark.rule("G8")
def test_the_first_row_of_a_key_stands_and_counts_only_with_its_period() -> None:
    rows = list(figures(company_of(opp("a", "2026-02-10", stage="Won")), Q1))
    won = figure([row for row in rows if row.kpi == "won"], "count")
    held = Reported()
    for row in (won, replace(won, value=7), replace(won, value=8, definition_version=2)):
        held.take(json.dumps(record_of(row, Q1)).encode())
    assert held.rows("won", Q1.window) == []

    held.take(json.dumps(period_record(Q1, 2, PLAIN)).encode())
    assert held.rows("won", Q1.window) == [won]
    for nonsense in (None, b"", b"[]", b"{}", b'{"period": "week"}', b'{"kpi": "won"}', b"1"):
        held.take(nonsense)
    assert (held.rows("won", Q1.window), held.unreadable) == ([won], 7)


@pytest.mark.rule("G8")
def test_groups_are_kept_company_wide_by_team_and_by_rep() -> None:
    company = company_of(
        told("employee", "ann", "2025-01-01", hired_on="2025-01-01", role="sales", team="North"),
        opp("a", "2026-02-10", stage="Won", amount="5", owner_id="ann"),
    )
    rows = kept(company).rows("won", Q1.window)

    assert {row.by for row in rows} == {(), (("team", "North"),), (("rep", "ann"),)}
    assert len({key_of(row) for row in figures(company, Q1)}) == len(list(figures(company, Q1)))


@given(MEANINGS, histories())
@settings(max_examples=25, deadline=None)
def test_a_recomputation_agrees_and_every_number_survives_its_record(
    meaning: Meaning, events: list[Event]
) -> None:
    company = Company.from_events(meaning, events)
    schedule = Schedule(meaning)
    for kind in ("month", "fiscal_quarter"):
        days = schedule.calendar.windows(kind, date(2026, 5, 1))[0][1]
        period = schedule.period(kind, days)
        rows = list(figures(company.known_by(period.frozen_ms), period))
        assert [row_of(json.loads(json.dumps(record_of(row, period)))) for row in rows] == rows
        versions = period_record(period, len(rows), meaning)["versions"]
        again = figures(company.known_by(period.frozen_ms), period)
        assert differences(rows, again, versions) == []


@pytest.mark.rule("G8")
def test_a_difference_under_another_definition_version_is_shown_and_no_fault() -> None:
    rows = [row for row in figures(company_of(opp("a", "2026-02-10", stage="Won")), Q1) if row.kpi == "won"]
    changed = [replace(row, value=9, definition_version=row.definition_version + 1) for row in rows]
    moved = [replace(row, value=9) for row in rows]
    versions = {"won": 1}

    assert not any(each.is_fault for each in differences(rows, changed, versions))
    assert len(differences(rows, changed, versions)) == len(rows)
    assert all(each.is_fault for each in differences(rows, moved, versions))
    assert all(each.is_fault for each in differences(rows, [], versions))
    assert differences(rows, [], {"won": 2}) == []


def test_against_reported_lists_the_records_that_moved_the_figure() -> None:
    company = company_of(
        opp("a", "2026-02-10", stage="Won", amount="5"),
        opp("b", "2026-02-11", stage="Won", amount="6"),
        opp("b", "2026-05-01", "deleted"),
        recorded(opp("c", "2026-03-21", stage="Won", amount="9"), "2026-05-02"),
    )
    question = Question("won", end_of("2026-06-30"), "2026-01-01..2026-03-31")
    before = reported_figure(company.known_by(Q1.frozen_ms), question, Q1, "amount", {})
    found = moves(before, explain(company, question, "amount", {}))

    assert [(each.record, each.difference) for each in found] == [
        ("opportunity/c", 900),
        ("opportunity/b", -600),
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"kpi": "open"}, "open is never frozen; as reported there are won, lost"),
        ({"by": ("type",)}, "company-wide, by team and by rep"),
        ({"by": ("rep", "team")}, "company-wide, by team and by rep"),
        ({"window": "week"}, "only months, fiscal quarters and fiscal years"),
        ({"attribution": "current"}, "configured attribution"),
    ],
)
def test_what_is_never_frozen_cannot_be_asked_as_reported(asked: dict[str, Any], words: str) -> None:
    question = replace(Question("won", end_of("2026-06-30"), "month"), **asked)

    with pytest.raises(UsageError, match=words):
        period_questions(Schedule(PLAIN), [question])

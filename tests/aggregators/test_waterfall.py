"""The pipeline waterfall: hand-made bars, and the laws that hold for every history."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.company import Company
from aggregators.kpis.waterfall import LEAVING, steps
from aggregators.question import Number, Question
from events.event import Event
from tests.aggregators.test_rep_kpis import employee, rep
from tests.aggregators.told import company_of, end_of, opp, rate, rows

QUARTER = "2026-01-01..2026-03-31"
SPAN = Span(date(2026, 1, 1), date(2026, 3, 31))


def bars(
    company: Company, reading: str = "amount", by: str = "", as_of: str = "2026-03-31"
) -> dict[Any, Any]:
    """The bars that are not 0, in whole dollars; by group where that is asked for."""
    found = rows(company, "waterfall", as_of, by=by, window=QUARTER)
    scale = 100 if reading == "amount" else 1
    return {
        tuple(label for _, label in r.by) if by else r.by[0][1]: (r.value or 0) / scale
        for r in found
        if r.reading == reading and r.value
    }


def deal(subject: str = "o1", time: str = "2025-12-01", amount: str = "100", **fields: Any) -> Event:
    told = {"stage": "Proposal", "close_date": "2026-02-15", "owner_id": "r1", **fields}
    return opp(subject, time, amount=amount, **told)


@pytest.mark.rule("Executive")
@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], {"start": 100, "end": 100}),
        ([opp("o1", "2026-01-10", amount="130")], {"start": 100, "amount_up": 30, "end": 130}),
        (
            [opp("o1", "2026-01-10", amount="130"), opp("o1", "2026-01-20", amount="70")],
            {"start": 100, "amount_down": -30, "end": 70},
        ),
        ([opp("o1", "2026-02-01", stage="Won", amount="90")], {"start": 100, "amount_down": -10, "won": -90}),
        ([opp("o1", "2026-02-01", stage="Lost")], {"start": 100, "lost": -100}),
        ([opp("o1", "2026-02-01", stage="Duplicate")], {"start": 100, "deleted": -100}),
        ([opp("o1", "2026-02-01", close_date="2026-05-01")], {"start": 100, "pushed_out": -100}),
        ([opp("o1", "2026-02-01", "deleted")], {"start": 100, "deleted": -100}),
        ([opp("o1", "2026-02-01", "merged", into="o2")], {"start": 100, "deleted": -100}),
        ([opp("o1", "2026-06-01", "deleted")], {"start": 100, "end": 100}),
        (
            [
                opp("o1", "2026-02-01", close_date="2026-05-01"),
                opp("o1", "2026-02-02", close_date="2026-03-01"),
            ],
            {"start": 100, "end": 100},
        ),
        (
            [opp("o1", "2026-02-01", close_date="2026-05-01"), opp("o1", "2026-03-02", stage="Won")],
            {"start": 100, "won": -100},
        ),
    ],
    ids=[
        "nothing",
        "up",
        "net of two",
        "won",
        "lost",
        "omitted",
        "pushed out",
        "deleted",
        "merged",
        "deleted later",
        "out and in again",
        "pushed out, then won",
    ],
)
def test_a_deal_that_was_there_at_the_start(later: list[Event], expected: dict[str, int]) -> None:
    assert bars(company_of(deal(), *later)) == expected


@pytest.mark.rule("Executive")
@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([deal(time="2026-01-05")], {"created": 100, "end": 100}),
        (
            [deal(time="2026-01-05"), opp("o1", "2026-01-06", amount="250")],
            {"created": 100, "amount_up": 150, "end": 250},
        ),
        ([deal(time="2026-01-05"), opp("o1", "2026-01-09", stage="Won")], {"created": 100, "won": -100}),
        (
            [deal(close_date="2026-06-01"), opp("o1", "2026-01-09", close_date="2026-03-31")],
            {"pulled_in": 100, "end": 100},
        ),
        (
            [deal(), opp("o1", "2025-12-20", stage="Lost"), opp("o1", "2026-01-09", stage="Proposal")],
            {"reopened": 100, "end": 100},
        ),
        (
            [deal(), opp("o1", "2025-12-20", "deleted"), opp("o1", "2026-01-09", "restored")],
            {"reopened": 100, "end": 100},
        ),
        ([deal(close_date="2026-06-01"), opp("o1", "2026-01-09", stage="Won")], {}),
        ([deal(close_date="2026-04-01")], {}),
    ],
    ids=[
        "created",
        "raised later",
        "won at once",
        "pulled in",
        "reopened",
        "restored",
        "never in",
        "never expected",
    ],
)
def test_a_deal_that_came_later(history: list[Event], expected: dict[str, int]) -> None:
    assert bars(company_of(*history)) == expected


@pytest.mark.rule("Executive")
def test_a_transfer_carries_the_start_amount_and_the_change_belongs_to_the_new_team() -> None:
    company = company_of(
        rep("r1", team="North"),
        rep("r2", team="South"),
        deal(),
        opp("o1", "2026-01-10", owner_id="r2", amount="130"),
    )

    assert bars(company, by="team") == {
        ("North", "start"): 100,
        ("North", "transferred"): -100,
        ("South", "transferred"): 100,
        ("South", "amount_up"): 30,
        ("South", "end"): 130,
    }
    assert bars(company) == {"start": 100, "amount_up": 30, "end": 130}
    assert bars(company, "count", by="team") == {
        ("North", "start"): 1,
        ("North", "transferred"): -1,
        ("South", "transferred"): 1,
        ("South", "end"): 1,
    }


def test_a_rep_who_changes_his_team_takes_his_deals_along() -> None:
    company = company_of(
        rep("r1", team="North"), employee("r1", "2026-02-01", team="South", effective_on="2026-02-01"), deal()
    )

    assert bars(company, by="team")["South", "transferred"] == 100
    assert bars(company, by="rep") == {("r1", "start"): 100, ("r1", "end"): 100}


@pytest.mark.rule("Executive")
def test_what_exchange_rates_do_is_revalued_and_a_win_counts_at_the_rate_of_its_day() -> None:
    company = company_of(
        deal(currency="EUR"),
        deal("o2", currency="EUR"),
        opp("o2", "2026-02-01", stage="Won", amount="200"),
        *(
            rate("EUR/USD", day, text)
            for day, text in (("2025-12-31", "2"), ("2026-02-01", "3"), ("2026-03-31", "4"))
        ),
    )

    assert bars(company) == {"start": 400, "revalued": 300, "amount_up": 300, "won": -600, "end": 400}
    won = next(r for r in rows(company, "won", "2026-03-31", window=QUARTER) if r.reading == "amount")
    assert won.value == 600_00


def test_a_window_that_has_not_begun_has_not_changed() -> None:
    assert bars(company_of(deal(time="2025-12-20")), as_of="2025-12-25") == {"start": 100, "end": 100}


# Laws

DAYS = st.integers(0, 180).map(lambda days: (date(2025, 11, 1) + timedelta(days)).isoformat())


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Deals of two reps who change teams, in two currencies of which one has few rates."""
    events = [rep("r1", team="North"), rep("r2", team="South")]
    for _ in range(draw(st.integers(0, 2))):
        who, team = draw(st.sampled_from(["r1", "r2"])), draw(st.sampled_from(["North", "South"]))
        events.append(employee(who, draw(DAYS), team=team))
    for _ in range(draw(st.integers(1, 14))):
        subject = draw(st.sampled_from(["o1", "o2", "o3"]))
        verb = draw(st.sampled_from(["changed"] * 12 + ["deleted", "restored"]))
        fields: dict[str, Any] = {}
        for name, values in (
            ("stage", st.sampled_from(["Prospecting", "Proposal", "Won", "Lost", "Duplicate", "New Name"])),
            ("amount", st.one_of(st.none(), st.integers(0, 9999).map(str))),
            ("currency", st.sampled_from(["USD", "EUR"])),
            ("close_date", st.one_of(st.none(), DAYS)),
            ("owner_id", st.sampled_from(["r1", "r2", None])),
        ):
            if draw(st.booleans()):
                fields[name] = draw(values)
        events.append(opp(subject, draw(DAYS), verb, **(fields if verb == "changed" else {})))
    events.extend(rate("EUR/USD", day, "1.25") for day in draw(st.lists(DAYS, max_size=4)))
    return events


@pytest.mark.rule("Executive")
@given(histories(), st.sampled_from(["2025-12-20", "2026-02-10", "2026-03-31", "2026-06-30"]))
def test_start_and_changes_are_the_end_in_every_group_and_transfers_sum_to_nothing(
    events: list[Event], as_of: str
) -> None:
    company = company_of(*events)

    for by in ((), ("team",), ("rep",), ("rep", "team"), ("currency",), ("pipeline", "type")):
        sums: defaultdict[tuple[str, ...], Number] = defaultdict(int)
        counts: Counter[tuple[str, ...]] = Counter()
        transferred: Number = 0
        for step in steps(Ask(company, Question("waterfall", end_of(as_of), by=by)), SPAN):
            sign = -1 if step.change == "end" else 1
            sums[step.by] += sign * step.amount
            counts[step.by] += sign * step.count
            transferred += step.amount if step.change == "transferred" else 0
        assert not any(sums.values())
        assert not any(counts.values())
        assert transferred == 0


@pytest.mark.rule("Executive")
@given(histories(), st.sampled_from(["2026-02-10", "2026-03-31", "2026-06-30"]))
def test_each_deal_has_one_entry_one_change_and_one_exit_in_a_team(events: list[Event], as_of: str) -> None:
    ask = Ask(company_of(*events), Question("waterfall", end_of(as_of), by=("team",)))

    kinds: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    for step in steps(ask, SPAN):
        entry = step.change in ("start", "created", "pulled_in", "reopened") or (
            step.change == "transferred" and step.count > 0
        )
        leaves = step.change in (*LEAVING, "end") or (step.change == "transferred" and step.count < 0)
        kind = "entry" if entry else "exit" if leaves else "change" if "amount" in step.change else "revalued"
        kinds[step.deal.id, step.by, kind] += 1
    assert all(number == 1 for number in kinds.values())


@given(histories(), st.sampled_from(["2026-02-10", "2026-03-31"]))
def test_the_end_is_what_is_open_then_and_expected_in_the_window(events: list[Event], as_of: str) -> None:
    alive = [event for event in events if event.verb == "changed"]
    ask = Ask(company_of(*alive), Question("waterfall", end_of(as_of), by=("team", "rep")))

    shown = sorted((step.deal.id, step.by, step.amount) for step in steps(ask, SPAN) if step.change == "end")
    assert shown == sorted(
        (deal.id, ask.by_deal(deal, deal.owner, ask.as_of_on), deal.amount or 0)
        for deal in ask.deals
        if deal.is_open and deal.expected_on in SPAN
    )


@given(histories(), st.randoms())
def test_no_plan_or_pipeline_figure_depends_on_the_order_or_number_of_tellings(
    events: Sequence[Event], random: Random
) -> None:
    arrived = [*events, *random.choices(events, k=3)]
    random.shuffle(arrived)

    for kpi in ("waterfall", "forecast", "weighted_forecast", "velocity"):
        question: dict[str, Any] = {"as_of": "2026-02-10", "window": QUARTER, "by": "team"}
        assert rows(company_of(*arrived), kpi, **question) == rows(company_of(*events), kpi, **question)

"""Targets, attainment, pace, needed, coverage, forecasts and velocity, with figures worked out by hand."""

from fractions import Fraction
from typing import Any

import pytest

from aggregators.calendar import DAY_MS
from events.event import Event
from tests.aggregators.test_rep_kpis import employee, rep
from tests.aggregators.told import company_of, opp, rate, row, rows, told, value

QUARTER: dict[str, Any] = {"as_of": "2026-03-31", "window": "fiscal_quarter"}


def target(subject: str, time: str = "2025-12-01", verb: str = "changed", **fields: Any) -> Event:
    return told("target", subject, time, verb, **fields)


def won(
    subject: str, on: str, amount: str, owner: str = "r1", created: str = "2025-10-01", **fields: Any
) -> list[Event]:
    return [
        opp(subject, created, stage="Prospecting", amount=amount, owner_id=owner, **fields),
        opp(subject, on, stage="Won"),
    ]


def amounts(company: Any, by: str, reading: str = "amount", **question: Any) -> dict[str, Any]:
    asked = {**QUARTER, **question}
    return {r.by[0][1]: r.value for r in rows(company, "target", by=by, **asked) if r.reading == reading}


# Targets


@pytest.mark.rule("Targets")
def test_a_groups_target_is_its_own_statement_else_the_sum_of_its_members() -> None:
    members = [
        rep("r1", team="North"),
        rep("r2", team="North"),
        rep("r3", team="South"),
        rep("r4"),
        target("rep:r1/2026-Q1", amount="10"),
        target("rep:r2/2026-Q1", amount="20"),
        target("rep:r3/2026-Q1", amount="40"),
        target("rep:r4/2026-Q1", amount="80"),
    ]

    summed = company_of(*members)
    assert amounts(summed, "team") == {"North": 30_00, "South": 40_00, "unassigned": 80_00}
    assert value(summed, "target", "amount", **QUARTER) == 150_00
    own = company_of(*members, target("team:North/2026-Q1", amount="100"))
    assert amounts(own, "team") == {"North": 100_00, "South": 40_00, "unassigned": 80_00}
    assert value(own, "target", "amount", **QUARTER) == 220_00
    company = company_of(*members, target("company/2026-Q1", amount="7"))
    assert value(company, "target", "amount", **QUARTER) == 7_00
    assert amounts(own, "rep") == {"r1": 10_00, "r2": 20_00, "r3": 40_00, "r4": 80_00}


@pytest.mark.rule("Targets")
@pytest.mark.trap("a transfer in mid-quarter")
def test_a_reps_target_follows_its_team_by_days_in_a_transfer_in_mid_quarter() -> None:
    company = company_of(
        rep("r1", team="North"),
        employee("r1", "2026-02-01", team="South", effective_on="2026-01-31"),
        target("rep:r1/2026-Q1", amount="90"),
    )

    assert amounts(company, "team") == {"North": 30_00, "South": 60_00}
    assert amounts(company, "team", attribution="current") == {"South": 90_00}
    assert amounts(company, "rep") == {"r1": 90_00}


@pytest.mark.rule("F36")
def test_a_target_for_a_crm_user_is_his_employees() -> None:
    company = company_of(rep("r1", aliases=("/crm:u1",)), target("rep:u1/2026-Q1", amount="90"))

    assert amounts(company, "rep") == {"r1": 90_00}


@pytest.mark.rule("Targets")
def test_a_window_takes_a_coarser_target_by_days_and_finer_ones_if_they_cover_it() -> None:
    company = company_of(rep("r1"), target("rep:r1/2026", amount="365"))

    assert value(company, "target", "amount", **QUARTER) == 90_00
    monthly = company_of(rep("r1"), *(target(f"rep:r1/2026-0{month}", amount="5") for month in (1, 2, 3)))
    assert value(monthly, "target", "amount", **QUARTER) == 15_00
    assert value(monthly, "target", "amount", "2026-03-31", window="fiscal_year") is None


def test_a_rep_hired_within_the_window_needs_no_target_before() -> None:
    company = company_of(
        rep("r1", "2026-02-10"),
        *(target(f"rep:r1/2026-0{month}", amount="5") for month in (2, 3)),
        rep("r2"),
        *(target(f"rep:r2/2026-0{month}", amount="70") for month in (2, 3)),
    )

    assert amounts(company, "rep") == {"r1": 10_00}
    assert value(company, "target", "amount", **QUARTER) == 10_00


def test_a_deleted_target_is_none_and_no_target_is_no_sample() -> None:
    company = company_of(
        target("company/2026-Q1", amount="7"), target("company/2026-Q1", "2026-01-05", "deleted")
    )

    found = row(company, "target", "amount", **QUARTER)
    assert (found.value, found.samples) == (None, 0)


def test_a_target_in_another_currency_has_the_price_of_its_last_day() -> None:
    company = company_of(
        target("company/2026-Q1", amount="10", currency="EUR"),
        rate("EUR/USD", "2026-02-01", "2"),
        rate("EUR/USD", "2026-03-31", "3"),
    )

    assert value(company, "target", "amount", "2026-02-02", window="fiscal_quarter") == 20_00
    assert value(company, "target", "amount", "2026-12-31", window="2026-01-01..2026-03-31") == 30_00
    assert value(company, "target", "amount", "2026-01-05", window="fiscal_quarter") is None


# Attainment, pace, needed


@pytest.mark.rule("Further series these need", "Rep")
def test_attainment_is_won_over_target_and_pace_over_its_share_of_the_time_passed() -> None:
    company = company_of(
        rep("r1"), *won("o1", "2026-01-15", "30"), target("rep:r1/2026-Q1", amount="120", wins=2)
    )

    found = row(company, "attainment", "amount", **QUARTER)
    assert (found.value, found.numerator, found.denominator, found.samples) == (
        Fraction(1, 4),
        30_00,
        120_00,
        1,
    )
    assert value(company, "attainment", "wins", **QUARTER) == Fraction(1, 2)
    assert value(company, "pace", "amount", **QUARTER) == Fraction(1, 4)
    a_third = {"as_of": "2026-01-30", "window": "fiscal_quarter"}
    assert value(company, "pace", "amount", **a_third) == Fraction(3, 4)
    assert value(company, "pace", "wins", **a_third) == Fraction(3, 2)
    assert value(company, "attainment", "amount", "2026-04-10", window="fiscal_quarter") is None


@pytest.mark.rule("K3")
def test_the_articles_4_of_7_makes_4_wins_take_7_opportunities() -> None:
    deals = [event for n in range(4) for event in won(f"w{n}", "2026-02-01", "50")]
    lost = [opp(f"l{n}", "2026-02-01", stage="Lost", owner_id="r1") for n in range(3)]
    company = company_of(rep("r1"), *deals, *lost, target("rep:r1/2026-Q1", wins=4))

    found = row(company, "needed", "count", **QUARTER)
    assert (found.value, found.numerator, found.denominator) == (7, 4, Fraction(4, 7))
    by_amount = company_of(rep("r1"), *deals, *lost, target("rep:r1/2026-Q1", amount="200"))
    assert value(by_amount, "target", "wins", **QUARTER) == 4
    assert value(by_amount, "needed", "count", **QUARTER) == 7
    nothing_won = company_of(rep("r1"), *lost, target("rep:r1/2026-Q1", wins=4))
    assert value(nothing_won, "needed", "count", **QUARTER) is None


# Coverage, forecasts, velocity


def open_deal(subject: str, amount: str, close: str, stage: str = "Proposal", **fields: Any) -> Event:
    return opp(subject, "2026-01-02", stage=stage, amount=amount, close_date=close, owner_id="r1", **fields)


@pytest.mark.rule("Further series these need")
def test_coverage_is_open_over_what_is_missing_and_absent_without_a_gap() -> None:
    events = [
        rep("r1"),
        *won("o1", "2026-01-15", "30"),
        open_deal("o2", "140", "2026-03-31"),
        open_deal("o3", "9", "2026-04-01"),
    ]

    covered = company_of(*events, target("rep:r1/2026-Q1", amount="100"))
    assert value(covered, "coverage", "amount", "2026-02-01", window="fiscal_quarter") == 2
    reached = company_of(*events, target("rep:r1/2026-Q1", amount="30"))
    assert value(reached, "coverage", "amount", "2026-02-01", window="fiscal_quarter") is None
    assert value(company_of(*events), "coverage", "amount", "2026-02-01", window="fiscal_quarter") is None


@pytest.mark.rule("Further series these need")
def test_forecasts_take_the_deals_own_chance_and_category_before_its_stages() -> None:
    company = company_of(
        open_deal("o1", "100", "2026-03-01"),
        open_deal("o2", "100", "2026-03-01", probability="0.25", forecast_category="commit"),
        open_deal("o3", "100", "2026-03-01", stage="Negotiation"),
        open_deal("o4", "100", "2026-04-01"),
        open_deal("o5", "100", "2026-03-01", stage="Nobody Knows"),
        open_deal("o6", "100", "2026-03-01", forecast_category="omitted"),
    )

    now = {"as_of": "2026-02-01", "window": "fiscal_quarter"}
    assert value(company, "weighted_forecast", "amount", **now) == 50_00 + 25_00 + 80_00 + 50_00
    found = {r.reading: r.value for r in rows(company, "forecast", **now)}
    assert found == {"commit": 200_00, "best_case": 100_00, "pipeline": 100_00}


@pytest.mark.rule("Further series these need")
def test_velocity_is_open_times_rate_times_size_over_cycle() -> None:
    company = company_of(
        *won("o1", "2026-01-10", "100", created="2026-01-05"),
        *won("o2", "2026-01-15", "300", created="2026-01-05"),
        opp("o3", "2026-01-08", stage="Lost"),
        open_deal("o4", "1", "2026-05-01"),
        open_deal("o5", "1", "2026-05-01"),
        open_deal("o6", "1", "2026-05-01"),
    )

    expected = 3 * Fraction(2, 3) * 200_00 / (Fraction(15, 2) * DAY_MS)
    found = row(company, "velocity", "amount", **QUARTER)
    assert (found.value, found.unit, found.samples) == (expected, "USD/second", 2)
    assert value(company_of(), "velocity", "amount", **QUARTER) is None


def test_the_open_deals_of_a_past_windows_velocity_are_those_of_the_team_at_its_end() -> None:
    company = company_of(
        rep("r1", team="North"),
        employee("r1", "2026-04-10", team="South"),
        *won("o1", "2026-02-10", "50", created="2026-02-01"),
        opp("o2", "2026-03-01", stage="Prospecting", owner_id="r1"),
    )
    asked: dict[str, Any] = {"as_of": "2026-06-30", "window": "2026-01-01..2026-03-31", "by": "team"}
    found = {r.by[0][1]: r.value for r in rows(company, "velocity", **asked)}
    assert found == {"North": Fraction(50_00, 9 * DAY_MS)}


@pytest.mark.rule("G9")
@pytest.mark.parametrize("kpi", ["target", "attainment", "pace", "needed", "coverage", "velocity"])
def test_without_anything_a_plan_figure_is_no_sample(kpi: str) -> None:
    assert all((r.value, r.samples) == (None, 0) for r in rows(company_of(), kpi, **QUARTER))


def test_in_an_unfinished_quarter_rate_and_deal_size_are_of_the_twelve_months_before_the_instant() -> None:
    company = company_of(
        rep("r1"),
        *won("o1", "2025-03-01", "50", created="2025-02-20"),  # a year before the quarter's end: too long ago
        *won("o2", "2025-06-01", "30", created="2025-02-20"),
        opp("o3", "2025-06-01", stage="Lost", owner_id="r1"),
        target("company/2026-Q1", amount="80"),
    )
    early = {"as_of": "2026-02-10", "window": "fiscal_quarter"}
    assert value(company, "target", "wins", **early) == 2  # 80 / (50 + 30) x 2
    assert value(company, "needed", "count", **early) == 3  # 2 in 3 are won
    assert value(company, "target", "wins", **QUARTER) == Fraction(80, 30)
    assert value(company, "needed", "count", **QUARTER) == Fraction(80, 30) * 2


# Goals


def parts(company: Any, **question: Any) -> dict[str, Any]:
    return {r.by[-1][1]: r.value for r in rows(company, "goal", **{**QUARTER, **question})}


@pytest.mark.rule("Targets")
def test_a_goal_stands_beside_the_figure_with_the_difference() -> None:
    company = company_of(
        rep("r1", team="North"),
        *won("o1", "2026-02-01", "50"),
        opp("o2", "2026-02-01", stage="Lost", owner_id="r1"),
        target("company/2026-Q1/win_rate/closed_count", value="0.6"),
        target("team:North/2026-Q1/won/amount", value="80"),
    )

    assert parts(company) == {
        "goal": Fraction(3, 5),
        "figure": Fraction(1, 2),
        "difference": -Fraction(1, 10),
    }
    assert parts(company, by="team") == {"goal": 80_00, "figure": 50_00, "difference": -30_00}
    (goal, *_) = rows(company, "goal", by="team", **QUARTER)
    assert (goal.reading, goal.unit, goal.by[:2]) == ("amount", "USD", (("team", "North"), ("kpi", "won")))
    assert parts(company, by="rep") == {}


def test_a_rate_takes_the_goal_of_the_shortest_period_around_and_money_the_rate_of_its_last_day() -> None:
    company = company_of(
        rate("EUR/USD", "2026-03-31", "2"),
        rate("EUR/USD", "2026-04-30", "3"),
        target("company/2026/win_rate/closed_count", value="0.5"),
        target("company/2026-Q1/win_rate/closed_count", value="0.7"),
        target("company/2026-Q1/deal_size/mean", value="10", currency="EUR"),
    )
    asked: dict[str, Any] = {"as_of": "2026-04-30", "window": "2026-03-01..2026-03-31"}
    found = {r.by[0][1]: r.value for r in rows(company, "goal", **asked) if r.by[1][1] == "goal"}
    assert found == {"win_rate": Fraction(7, 10), "deal_size": 20_00}


def test_a_goal_of_a_count_stands_beside_0_where_nothing_happened_and_of_a_ratio_beside_nothing() -> None:
    company = company_of(
        rep("r1", team="North"),
        target("rep:r1/2026-Q1/won/count", value="3"),
        target("rep:r1/2026-Q1/open/amount", value="20"),
        target("rep:r1/2026-Q1/win_rate/closed_count", value="0.5"),
        target("rep:r1/2026-Q1/customers/active", value="1"),  # not split by rep
    )

    found = {(r.by[1][1], r.by[2][1]): r.value for r in rows(company, "goal", by="rep", **QUARTER)}
    assert {kpi: found[kpi, "figure"] for kpi, part in found if part == "figure"} == {
        "won": 0,
        "open": 0,
        "win_rate": None,
        "customers": None,
    }
    assert (found["won", "difference"], found["open", "difference"]) == (-3, -20_00)
    assert found["win_rate", "difference"] is None


def test_a_yearly_goal_is_shared_out_for_a_count_and_holds_as_it_is_for_a_rate() -> None:
    company = company_of(
        target("company/2026/created/count", value="365"),
        target("company/2026/sales_cycle/mean", value="86400"),
        target("company/2026/no_such_kpi/mean", value="1"),
    )

    found = {(r.by[0][1], r.by[1][1]): r.value for r in rows(company, "goal", **QUARTER)}
    assert found == {
        ("created", "goal"): 90,
        ("created", "figure"): 0,
        ("created", "difference"): -90,
        ("sales_cycle", "goal"): DAY_MS,
        ("sales_cycle", "figure"): None,
        ("sales_cycle", "difference"): None,
    }


def test_a_goal_for_contracts_expiring_stands_beside_those_of_all_bands_together() -> None:
    def contract(number: int, ends: str) -> Event:
        fields: dict[str, Any] = {"account_id": f"a{number}", "start_date": "2026-01-01", "end_date": ends}
        return told("contract", f"c{number}", "2026-01-01", recurring_amount="120", **fields)

    company = company_of(
        rep("r1", team="North"),
        told("account", "a1", "2026-01-01", owner_id="r1"),
        contract(1, "2026-04-10"),
        contract(2, "2026-05-20"),
        contract(3, "2026-06-20"),
        contract(4, "2026-12-31"),
        target("company/2026/contracts_expiring/count", value="2"),
        target("team:North/2026/contracts_expiring/count", value="0"),
        target("team:South/2026/contracts_expiring/count", value="0"),
    )

    assert parts(company) == {"goal": 2, "figure": 3, "difference": 1}
    by_team = [(r.by[0][1], r.by[-1][1], r.value) for r in rows(company, "goal", by="team", **QUARTER)]
    assert ("North", "difference", 1) in by_team
    assert ("South", "figure", 0) in by_team


def test_the_bars_of_a_waterfall_have_no_goal() -> None:
    company = company_of(
        opp("o1", "2026-01-05", stage="Proposal", amount="50", close_date="2026-03-01"),
        target("company/2026-Q1/waterfall/amount", value="80"),
    )
    assert parts(company) == {}


def test_a_yearly_goal_for_a_state_at_the_windows_end_holds_as_it_is() -> None:
    company = company_of(
        *(
            told("contract", f"c{n}", "2026-01-01", account_id=f"a{n}", start_date="2026-01-01")
            for n in range(3)
        ),
        told("contract", "c9", "2026-01-01", account_id="a9", start_date="2025-01-01", end_date="2026-03-20"),
        target("company/2026/customers/active", value="40"),
        target("company/2026/customers/in_grace", value="2"),
        target("company/2026/customers/new", value="365"),
    )

    found = {(r.reading, r.by[-1][1]): r.value for r in rows(company, "goal", **QUARTER)}
    assert (found["active", "goal"], found["active", "figure"]) == (40, 3)
    assert (found["in_grace", "goal"], found["in_grace", "figure"]) == (2, 1)
    assert found["new", "goal"] == 90


def test_a_yearly_goal_for_what_a_plan_asks_is_shared_out_as_the_plan_is() -> None:
    company = company_of(
        target("company/2026", amount="365.00"), target("company/2026/target/amount", value="730.00")
    )
    assert parts(company) == {"goal": 180_00, "figure": 90_00, "difference": -90_00}


def test_a_moved_reps_goal_stands_beside_his_whole_figure_under_his_team_at_the_windows_end() -> None:
    company = company_of(
        rep("ann", team="North", manager_id="bea"),
        employee("ann", "2026-03-01", effective_on="2026-03-01", team="South", manager_id="cy"),
        *(event for n in range(6) for event in won(f"n{n}", "2026-02-01", "10", owner="ann")),
        *(event for n in range(3) for event in won(f"s{n}", "2026-03-10", "10", owner="ann")),
        target("rep:ann/2026-Q1/won/count", value="10"),
        target("rep:ann/2026-Q1/deal_size/mean", value="10"),
        target("rep:ann/2026-Q1/acv/booked_per_contract", value="10"),  # by rep, though not by manager
        told("contract", "c1", "2026-02-01", owner_id="ann", start_date="2026-02-01", recurring_amount="7",
             recurring_per="year"),
    )  # fmt: skip

    expected = {"won": (10, 9, -1), "deal_size": (10_00, 10_00, 0), "acv": (10_00, 7_00, -3_00)}
    for by, holder in (
        ("rep", [("rep", "ann")]),
        ("rep,team", [("rep", "ann"), ("team", "South")]),
        ("rep,manager", [("rep", "ann"), ("manager", "cy")]),
    ):
        found: dict[str, list[Any]] = {}
        for row_ in rows(company, "goal", by=by, **QUARTER):
            assert list(row_.by[:-2]) == holder, by
            found.setdefault(row_.by[-2][1], []).append(row_.value)
        assert {kpi: tuple(values) for kpi, values in found.items()} == expected, by


# By manager


@pytest.mark.rule("Targets", "Manager")
def test_a_managers_target_is_the_sum_of_his_direct_reports_by_days() -> None:
    company = company_of(
        rep("r1", team="North", manager_id="ann"),
        rep("r2", team="North", manager_id="ann"),
        employee("r2", "2026-02-01", effective_on="2026-02-01", manager_id="bob"),
        rep("r3", team="South"),
        rep("ann", team="North", manager_id="cid"),
        target("rep:r1/2026-Q1", amount="900"),
        target("rep:r2/2026-Q1", amount="900"),
        target("rep:r3/2026-Q1", amount="90"),
        target("rep:ann/2026-Q1", amount="9"),
        target("team:North/2026-Q1", amount="5000"),
        target("company/2026-Q1", amount="7000"),
        *won("o1", "2026-01-20", "450", owner="r2"),
        *won("o2", "2026-03-20", "118", owner="r2"),
    )

    # r2 has 31 of the quarter's 90 days under Ann, 59 under Bob; Ann's own target is Cid's.
    assert amounts(company, "manager") == {
        "ann": 900_00 + 310_00,
        "bob": 590_00,
        "cid": 9_00,
        "unassigned": 90_00,
    }
    attained = {r.by[0][1]: r.value for r in rows(company, "attainment", by="manager", **QUARTER)[:4]}
    assert attained == {"ann": Fraction(450, 1210), "bob": Fraction(1, 5), "cid": 0, "unassigned": 0}
    by_both = rows(company, "target", by="rep,manager", **QUARTER)
    assert {r.by: r.value for r in by_both if r.reading == "amount"} == {
        (("rep", "ann"), ("manager", "cid")): 9_00,
        (("rep", "r1"), ("manager", "ann")): 900_00,
        (("rep", "r2"), ("manager", "ann")): 310_00,
        (("rep", "r2"), ("manager", "bob")): 590_00,
        (("rep", "r3"), ("manager", "unassigned")): 90_00,
    }


def test_a_managers_goal_stands_beside_the_figure_of_his_direct_reports() -> None:
    company = company_of(
        rep("r1", manager_id="ann"),
        rep("ann"),
        target("rep:ann/2026-Q1/won/amount", value="100.00"),
        target("rep:r1/2026-Q1/won/amount", value="1.00"),
        *won("o1", "2026-01-20", "40", owner="r1"),
        *won("o2", "2026-01-20", "3", owner="ann"),
    )

    def parts(by: str) -> list[tuple[str, str, Any]]:
        return [(r.by[0][1], r.by[-1][1], r.value) for r in rows(company, "goal", by=by, **QUARTER)]

    assert parts("manager") == [
        ("ann", "goal", 100_00),
        ("ann", "figure", 40_00),
        ("ann", "difference", -60_00),
    ]
    assert ("ann", "figure", 3_00) in parts("rep")
    assert parts("team,manager") == []

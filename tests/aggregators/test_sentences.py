"""Sentences of kpi-definitions.md that no other file holds by name, in the order of the page."""

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.ask import Ask
from aggregators.calendar import DAY_MS, Calendar
from aggregators.explain_page import explained
from aggregators.explain_text import explanation_text
from aggregators.kpis import registry
from aggregators.meaning import Stage
from aggregators.question import Question
from aggregators.render import Renderer
from aggregators.reported import Schedule, figures
from tests.aggregators.test_customer_kpis import account, contract
from tests.aggregators.test_plan_kpis import target, won
from tests.aggregators.test_rep_kpis import employee, referral, rep
from tests.aggregators.told import company_of, end_of, meaning, opp, rate, row, rows, told, value

Q1 = "2026-01-01..2026-03-31"
PURCHASES = {"customer_basis": "purchases", "clv_min_customers": 1, "purchase_active_days": 30}


def notes(company: Any, kpi: str, as_of: str, **asked: Any) -> dict[str, str]:
    """What is said beside each record of a figure."""
    found = explained(company, now_ms=end_of(as_of, company.meaning), kpi=kpi, **asked)
    return {each["record"]: each["note"] for each in found["records"]["list"]}


# Rules for every KPI


@pytest.mark.rule("G1")
def test_a_null_clears_what_was_stated_and_what_is_left_out_stays() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", amount="10", close_date="2026-02-01"),
        opp("a", "2026-01-06", name="Acme"),
        opp("a", "2026-01-07", amount=None),
        opp("a", "2026-01-08", stage=None),
    )

    assert [value(company, "open", "amount", f"2026-01-0{day}") for day in (5, 6, 7)] == [10_00, 10_00, 0]
    assert row(company, "open", "amount", "2026-01-07").samples == 0
    assert rows(company, "open", "2026-01-08", by="stage")[0].by == (("stage", "unassigned"),)
    assert row(company, "forecast", "pipeline", "2026-01-08").samples == 0


@pytest.mark.rule("G2")
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"])
def test_a_stated_date_is_that_day_in_every_zone(zone: str) -> None:
    company = company_of(
        opp("a", "2026-03-20T12:00:00Z", stage="Proposal"),
        opp("a", "2026-04-02T12:00:00Z", stage="Won", close_date="2026-03-31"),
        contract("c1", "2026-03-31", "2026-12-31", "10"),
        meaning=meaning(timezone=zone),
    )

    assert value(company, "won", "count", "2026-06-30", window="2026-03-31..2026-03-31") == 1
    assert [value(company, "customers", "active", f"2026-03-{day}") for day in (30, 31)] == [0, 1]


@pytest.mark.rule("G3")
def test_a_kpi_asked_by_week_and_by_fiscal_quarter_counts_in_those() -> None:
    company = company_of(
        *(opp(day, day, stage="Won") for day in ("2026-01-31", "2026-02-01", "2026-02-02", "2026-04-30")),
        meaning=meaning(fiscal_year_start_month=2),
    )

    assert value(company, "won", "count", "2026-02-01", window="week") == 2, "Monday 26 January to Sunday"
    assert value(company, "won", "count", "2026-02-02", window="week") == 1
    assert value(company, "won", "count", "2026-05-31", window=None) == 0
    assert value(company, "won", "count", "2026-04-30") == 3, "February to April"
    assert value(company, "won", "count", "2026-02-02", window="trailing_2d") == 2


@pytest.mark.rule("G4")
def test_the_native_amount_is_kept_when_there_is_no_rate_yet() -> None:
    events = [opp("a", "2026-02-07", stage="Won", amount="8", currency="EUR")]
    assert notes(company_of(*events), "won", "2026-02-28", reading="amount") == {
        "opportunity/a": "no rate: not priced"
    }

    late = told("fx_rate", "EUR/USD/2026-02-07", "2026-05-01", base="EUR", quote="USD", rate="1.5")
    assert value(company_of(*events, late), "won", "amount", "2026-02-28") == 12_00


@pytest.mark.rule("G4", "F23")
def test_contracts_without_a_price_are_a_series_of_their_own() -> None:
    company = company_of(
        rate("JPY/USD", "2026-02-01", "0.01"),
        contract("c1", "2026-01-05", "2026-12-31", "100", currency="EUR", kind="renewal"),
        contract("c2", "2026-01-05", None, "100", account_id="a2"),
        contract("c3", "2026-02-01", "2027-01-31", "100", account_id="a3", currency="JPY"),
        contract("c4", "2026-01-05", "2026-12-31", "100", account_id="a4"),
    )

    booked = {"as_of": "2026-03-31", "window": "fiscal_quarter"}
    assert value(company, "unpriced_contracts", "booked", **booked) == 2
    assert value(company, "unpriced_contracts", "active", "2026-02-01") == 2
    assert value(company, "unpriced_contracts", "active", "2026-03-31") == 3, "the rate of yen is too old"
    split = rows(company, "unpriced_contracts", "2026-02-01", by="kind")
    assert [(r.by[0][1], r.value) for r in split if r.reading == "active"] == [("new", 1), ("renewal", 1)]
    assert value(company, "customers", "active", "2026-03-31") == 4


@pytest.mark.rule("G5")
def test_a_manager_too_is_that_of_the_day_or_that_of_today() -> None:
    company = company_of(
        rep("ann", manager_id="mia"),
        employee("ann", "2026-05-01", manager_id="max", effective_on="2026-03-01"),
        *won("a", "2026-02-10", "5", owner="ann"),
    )

    then = rows(company, "won", "2026-06-30", by="manager", window=Q1)
    now = rows(company, "won", "2026-06-30", by="manager", window=Q1, attribution="current")
    assert [r.by for r in then] == [(("manager", "mia"),)] * 2
    assert [r.by for r in now] == [(("manager", "max"),)] * 2


@pytest.mark.rule("G6")
def test_the_stage_history_of_a_merged_deal_never_goes_to_the_survivor() -> None:
    company = company_of(
        opp("old", "2026-01-01", stage="Prospecting"),
        opp("dup", "2026-01-01", stage="Prospecting"),
        opp("dup", "2026-01-20", stage="Negotiation"),
        opp("dup", "2026-01-21", "merged", into="old"),
    )

    at = "2026-01-31T12:00:00Z"
    assert value(company, "stagnation", "stagnation", at) == 30 * DAY_MS
    assert value(company, "open", "count", at, by="stage", group="Prospecting") == 1
    assert value(company, "created", "count", "2026-01-15") == 1, "also at an instant before the merge"


@pytest.mark.rule("G8")
def test_what_is_frozen_is_the_list_of_the_page() -> None:
    promised = {
        *("won", "lost", "created", "win_rate", "customer_retention", "churn"),
        *("rep_retention", "acv", "sales_cycle", "attainment"),
    }
    schedule = Schedule(meaning())
    company = company_of(rep("ann", team="North"), *won("a", "2026-02-10", "5", owner="ann"))
    for name in ("2026-02", "2026-Q1", "2026"):
        rows_ = list(figures(company, schedule.named(name)))
        assert {r.kpi for r in rows_} - {"customers"} == promised, name
        assert {tuple(dimension for dimension, _ in r.by) for r in rows_ if r.kpi == "won"} == {
            (),
            ("team",),
            ("rep",),
        }
        assert {r.definition_version for r in rows_} == {1}
    assert (
        schedule.of_days(*(day for day in (schedule.named("2026-Q1").start, schedule.named("2026-02").end)))
        == []
    )


@pytest.mark.rule("G9")
def test_numerator_and_denominator_stand_beside_every_ratio() -> None:
    company = company_of(
        rep("r1", "2024-01-01", team="North"),
        *won("a", "2026-02-10", "5"),
        opp("b", "2026-02-11", stage="Proposal", amount="7", owner_id="r1", close_date="2026-03-01"),
        contract("c1", "2025-01-01", "2026-12-31", "10"),
        target("company/2026-Q1", amount="100", wins=3),
    )

    for kpi in registry().values():
        for r in answer(company, Question(kpi.name, end_of("2026-02-20"))):
            if r.unit == "ratio":
                assert None not in (r.value, r.numerator, r.denominator), (kpi.name, r.reading)
                assert r.value == Fraction(r.numerator or 0) / Fraction(r.denominator or 1)


# The nine KPIs


@pytest.mark.rule("K1")
def test_months_and_years_priced_over_more_than_a_year_come_to_the_price_of_twelve_months() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2027-06-30", "10", recurring_per="month", one_time_amount="1000"),
        contract("c2", "2026-01-01", "2028-12-31", "240", recurring_per="year", account_id="a2"),
    )

    assert row(company, "acv", "booked_per_contract", "2026-03-31").numerator == 120_00 + 240_00


@pytest.mark.rule("K3", "F16")
def test_only_a_creation_is_new_and_its_amount_is_that_of_the_instant() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", amount="10", owner_id="ann", close_date="2026-09-30"),
        opp("a", "2026-02-05", stage="Won"),
        opp("a", "2026-04-05", stage="Proposal", owner_id="bob", close_date="2026-04-30"),
        opp("a", "2026-04-06", amount="25"),
    )

    q1, q2 = "2026-01-01..2026-03-31", "2026-04-01..2026-06-30"
    assert value(company, "new_opportunities", "count", "2026-02-28", window=q1) == 1, "closed in its quarter"
    assert value(company, "new_opportunities", "amount", "2026-02-28", window=q1) == 10_00
    assert value(company, "new_opportunities", "amount", "2026-04-30", window=q1) == 25_00
    assert value(company, "new_opportunities", "count", "2026-06-30", window=q2) == 0
    assert [r.by for r in rows(company, "created", "2026-06-30", by="rep", window=q1)] == [
        (("rep", "ann"),)
    ] * 2


@pytest.mark.rule("K4", "F29")
def test_each_stage_has_a_threshold_of_its_own_and_one_without_never_stalls() -> None:
    company = company_of(
        opp("a", "2026-01-01", stage="Prospecting", amount="1"),
        opp("b", "2026-01-01", stage="Proposal", amount="2"),
        opp("c", "2026-01-01", stage="Negotiation", amount="4"),
    )

    amounts = [value(company, "stalled", "amount", f"2026-01-{day}T13:00:00Z") for day in (14, 15, 21, 22)]
    assert amounts == [0, 2_00, 2_00, 3_00]
    assert value(company, "stalled", "amount", "2036-01-01") == 3_00


@pytest.mark.rule("K5")
def test_by_amount_a_win_weighs_what_it_brings() -> None:
    company = company_of(
        *won("a", "2026-02-10", "30", owner="ann"),
        opp("b", "2026-02-11", stage="Lost", amount="10", owner_id="ann"),
        opp("c", "2026-02-11", stage="Duplicate", amount="99", owner_id="ann"),
    )

    found = row(company, "win_rate", "closed_amount", "2026-03-31")
    assert (found.value, found.numerator, found.denominator, found.samples) == (
        Fraction(3, 4),
        30_00,
        40_00,
        2,
    )


# Fine points


@pytest.mark.rule("F8", "F20", "F18")
def test_what_is_odd_about_a_close_is_said_beside_every_figure_it_is_in() -> None:
    company = company_of(
        opp("early", "2026-02-05", stage="Won", close_date="2026-01-20", created_at="2026-02-01"),
        opp("late", "2026-01-05", stage="Proposal"),
        opp("late", "2026-03-30", stage="Won", close_date="2026-12-24"),
        opp("plain", "2026-02-05", stage="Won"),
    )

    expected = {
        "opportunity/early": "closed before its creation",
        "opportunity/late": "close date after the closing event",
        "opportunity/plain": "",
    }
    for kpi in ("won", "win_rate", "sales_cycle"):
        assert notes(company, kpi, "2026-03-31", window=Q1) == expected, kpi


@pytest.mark.rule("F9")
def test_a_dated_cycle_is_whole_days_across_the_night_the_clocks_change() -> None:
    company = company_of(
        opp("a", "2026-03-01T23:30:00-05:00", stage="Proposal"),
        opp("a", "2026-03-20T00:30:00-04:00", stage="Won", close_date="2026-03-19"),
        meaning=meaning(timezone="America/New_York"),
    )

    assert value(company, "sales_cycle", "mean", "2026-03-31") == 18 * DAY_MS


@pytest.mark.rule("F10")
def test_the_owner_at_the_close_is_the_one_after_its_event_and_not_after_its_instant() -> None:
    noon = "2026-02-10T12:00:00Z"
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", owner_id="ann"),
        opp("a", noon, sequence="1", stage="Won", owner_id="bob"),
        opp("a", noon, sequence="2", owner_id="cid"),
    )

    assert [r.by for r in rows(company, "won", "2026-03-31", by="rep")] == [(("rep", "bob"),)] * 2


@pytest.mark.rule("F15")
def test_what_belongs_to_nobody_is_in_the_whole_and_unassigned_in_a_split() -> None:
    company = company_of(
        *won("a", "2026-02-10", "5", owner="ann"),
        opp("b", "2026-02-11", stage="Won", amount="7"),
    )

    assert value(company, "won", "amount", "2026-03-31") == 12_00
    for dimension, split in (
        ("rep", {"ann": 5_00, "unassigned": 7_00}),
        ("team", {"unassigned": 12_00}),
        ("segment", {"unassigned": 12_00}),
        ("manager", {"unassigned": 12_00}),
    ):
        found = rows(company, "won", "2026-03-31", by=dimension)
        assert {r.by[0][1]: r.value for r in found if r.reading == "amount"} == split
    assert rows(company, "won", "2026-06-30", by="rep") == [], "no group has a record"
    assert [r.value for r in rows(company, "won", "2026-06-30")] == [0, 0], "the company has its row"


@pytest.mark.rule("F21")
def test_the_owner_at_creation_is_the_one_in_force_then_else_the_first_ever_else_nobody() -> None:
    created = "2026-01-05T12:00:00Z"
    company = company_of(
        opp("a", "2026-01-03", stage="Proposal", owner_id="eve", created_at=created),
        opp("a", "2026-01-04", owner_id="ann"),
        opp("a", "2026-01-06", owner_id="bob"),
        opp("b", "2026-01-05", stage="Proposal"),
        opp("b", "2026-01-20", owner_id="cid"),
        opp("b", "2026-01-21", owner_id="dan"),
        opp("c", "2026-01-05", stage="Proposal"),
    )

    found = rows(company, "created", "2026-01-31", by="rep")
    assert {r.by[0][1] for r in found} == {"ann", "cid", "unassigned"}


@pytest.mark.rule("F22", "K6", "K7")
def test_an_owner_without_an_employee_record_counts_as_owner_and_is_no_rep() -> None:
    company = company_of(*won("a", "2026-02-10", "5", owner="005A"), rep("ann", "2026-02-01"))

    assert value(company, "won", "amount", "2026-03-31", by="rep", group="005A") is not None
    assert row(company, "rep_retention", "trailing", "2026-03-31").denominator == 0
    assert row(company, "rep_retention", "trailing", "2026-03-31", window="day").denominator == 1
    assert value(company, "ramping_reps", "count", "2026-03-31") == 1
    assert row(company, "rep_retention", "trailing", "2026-01-31", window="day").denominator == 0


@pytest.mark.rule("F25")
def test_a_contract_of_nothing_makes_a_customer_without_revenue() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2026-12-31", "0"),
        contract("c2", "2025-01-01", "2026-12-31", "240", account_id="a2"),
    )

    assert value(company, "customers", "active", "2026-03-31") == 2
    assert row(company, "customer_retention", "logo", "2026-03-31").denominator == 2
    assert row(company, "customer_retention", "nrr", "2026-03-31").denominator == 120_00
    assert value(company, "acv", "active_per_contract", "2026-03-31") == 60_00
    assert value(company, "unpriced_contracts", "active", "2026-03-31") == 0


@pytest.mark.rule("F28", "K2")
def test_lifetime_value_takes_the_rate_of_the_as_of_day() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "365", currency="EUR", one_time_amount="10"),
        rate("EUR/USD", "2026-01-01", "2"),
        rate("EUR/USD", "2026-01-10", "3"),
    )

    assert value(company, "clv", "signed", "2026-01-08") == 375_00 * 2
    assert value(company, "clv", "signed", "2026-01-10") == 375_00 * 3
    assert value(company, "clv", "historic", "2026-01-10") == 20_00 * 3


@pytest.mark.rule("F31")
def test_an_unfinished_window_ends_at_the_instant_and_a_finished_one_at_its_last_day() -> None:
    company = company_of(
        rate("EUR/USD", "2026-02-10", "2"),
        rate("EUR/USD", "2026-03-31", "3"),
        contract("c1", "2025-01-01", "2026-03-15", "100", account_id="a1"),
        contract("c2", "2025-01-01", "2026-12-31", "24", account_id="a2", currency="EUR"),
        rep("r1"),
        employee("r1", "2026-03-01", left_on="2026-03-15"),
        rep("r2"),
        employee("r2", "2026-05-01", left_on="2026-05-15"),
    )

    for kpi, reading in (("customer_retention", "logo"), ("rep_retention", "trailing")):
        days = ("2026-02-10", "2026-03-31", "2026-06-30")
        kept = [row(company, kpi, reading, day, window=Q1).numerator for day in days]
        assert kept == [2, 1, 1], kpi
    revenue = {"window": Q1, "by": "segment", "group": "unassigned"}
    assert row(company, "customer_retention", "nrr", "2026-06-30", **revenue).numerator == 12_00 * 3


@pytest.mark.rule("F36")
def test_the_owner_of_a_contract_is_known_by_his_alias_in_its_own_source() -> None:
    company = company_of(
        rep("r1", aliases=("/billing:42",), team="North"),
        contract("c1", "2026-01-01", "2026-12-31", "10", owner_id="42", source="/billing"),
        contract("c2", "2026-01-01", "2026-12-31", "20", owner_id="42", source="/crm"),
    )

    found = rows(company, "acv", "2026-02-01", by="rep,team")
    booked = {r.by: r.value for r in found if r.reading == "booked_per_contract"}
    assert booked == {
        (("rep", "r1"), ("team", "North")): 10_00,
        (("rep", "42"), ("team", "unassigned")): 20_00,
    }


@pytest.mark.rule("F27")
def test_an_unknown_referrer_is_one_pair_with_each_account() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2026-12-31", "100", account_id="unknown"),
        referral("o1", "2026-02-01", "p1", "unknown"),
        referral("o2", "2026-02-02", "p1", "unknown"),
        referral("o3", "2026-02-02", "p2", "unknown"),
    )

    found = {r.reading: r.value for r in rows(company, "referrals", "2026-03-31")}
    assert (found["from_customers"], found["from_others"]) == (0, 2), "never a customer, whatever its id"


@pytest.mark.rule("F34")
def test_from_purchases_nothing_is_projected_and_no_annual_value_ends() -> None:
    company = company_of(
        *(opp(f"o{n}", f"2025-0{n}-20", stage="Won", amount="10", account_id=f"a{n}") for n in range(1, 7)),
        meaning=meaning(kpis=PURCHASES),
    )

    assert value(company, "churn", "logo", "2025-06-30", window="fiscal_quarter") == 1
    lost = row(company, "clv", "projected", "2025-06-30")
    assert (lost.value, lost.samples) == (None, 0)
    ending = [r for r in rows(company, "contracts_expiring", "2025-06-30") if r.value or r.samples]
    assert [(r.reading, r.value) for r in ending] == [("count", 1)]


@pytest.mark.rule("F7", "F34")
def test_the_next_purchase_heals_a_gap_also_one_after_the_instant() -> None:
    company = company_of(
        opp("o1", "2026-01-01", stage="Won", amount="10", account_id="a1"),
        opp("o2", "2026-01-05", stage="Proposal", amount="10", account_id="a1"),
        opp("o2", "2026-02-28", stage="Won"),
        opp("o3", "2026-01-01", stage="Won", amount="10", account_id="a2"),
        opp("o4", "2026-03-02", stage="Won", amount="10", account_id="a2"),
        meaning=meaning(kpis=PURCHASES),
    )

    def of(reading: str, as_of: str) -> Any:
        return value(company, "customers", reading, as_of, window="day")

    # Both were active until 30 January: a1 bought again 29 days later, a2 31 days.
    assert [of("active", day) for day in ("2026-01-30", "2026-01-31", "2026-02-27", "2026-02-28")] == [
        2,
        1,
        1,
        1,
    ]
    assert [of("in_grace", day) for day in ("2026-01-30", "2026-01-31", "2026-03-01", "2026-03-02")] == [
        0,
        1,
        1,
        0,
    ]
    assert value(company, "clv", "signed", "2026-02-10") == 10_00, (
        "what is bought later is not yet worth anything"
    )
    assert value(company, "won", "count", "2026-02-10") == 2


@pytest.mark.rule("F34", "K8")
def test_a_referral_won_on_the_day_of_its_creation_is_not_undone_by_its_own_purchase() -> None:
    company = company_of(
        opp("o1", "2026-01-10", stage="Won", account_id="a1", amount="10"),
        referral("o2", "2026-01-20", "p1", "a1", stage="Won", amount="5"),
        referral("o3", "2026-02-20", "p1", "a9"),
        meaning=meaning(kpis={"customer_basis": "purchases"}),
    )

    found = {r.reading: r.value for r in rows(company, "referrals", "2026-03-31")}
    assert found == {"from_customers": 1, "from_others": 0, "won": 1}, "o3: p1 had bought by then"


@pytest.mark.rule("F35")
def test_parents_that_run_in_a_circle_are_its_smallest_id() -> None:
    company = company_of(
        account("b", parent_id="c"),
        account("c", parent_id="b"),
        account("a", parent_id="b"),
        contract("c1", "2026-01-01", "2026-12-31", "10", account_id="a"),
        contract("c2", "2026-01-01", "2026-12-31", "30", account_id="c"),
        meaning=meaning(kpis={"customer_level": "parent"}),
    )

    found = explained(company, now_ms=end_of("2026-02-01"), kpi="customers")
    assert [each["record"] for each in found["records"]["list"]] == ["account/b"]
    assert value(company, "acv", "booked_per_customer", "2026-02-01") == 40_00


# What the roles look at


@pytest.mark.rule("Further series these need")
def test_a_stages_chance_counts_to_six_decimals_on_both_roads() -> None:
    third = (
        Stage(name="A", probability=1 / 3),
        Stage(name="Won", kind="won"),
        Stage(name="Lost", kind="lost"),
    )
    company = company_of(
        opp("a", "2026-01-05", stage="A", amount="1000000", close_date="2026-01-20"),
        meaning=meaning(pipelines={"default": third}),
    )

    assert value(company, "weighted_forecast", "amount", "2026-01-06") == Fraction("333333.00") * 100


@pytest.mark.rule("Executive")
def test_a_record_says_in_its_story_which_bar_of_the_waterfall_it_is_in() -> None:
    company = company_of(opp("a", "2026-01-05", stage="Proposal", amount="5", close_date="2026-02-01"))

    story = explanation_text(explained(company, now_ms=end_of("2026-01-31"), entity="a"))
    bars = [line.split()[:3] for line in story.splitlines() if line.startswith("waterfall")]
    assert bars == [
        ["waterfall", f"{reading},", bar] for reading in ("amount", "count") for bar in ("created", "end")
    ]


# How an answer looks


@pytest.mark.rule("answer")
def test_an_answer_of_every_kpi_is_json_with_one_instant_and_as_many_windows_as_asked() -> None:
    company = company_of(
        rep("r1", team="North"),
        *won("a", "2026-02-10", "5"),
        contract("c1", "2025-01-01", "2026-12-31", "10"),
        target("company/2026-Q1/won/count", value="3"),
        meaning=meaning(timezone="Asia/Taipei"),
    )
    render, calendar = Renderer(company.meaning), Calendar(company.meaning.company)
    for kpi in registry().values():
        asked = Question(kpi.name, end_of("2026-02-20", company.meaning), "month", periods=2)
        found = json.loads(json.dumps(render.records(answer(company, asked))))
        assert {each["as_of"] for each in found} <= {"2026-02-20T23:59:59.999+08:00"}
        for reading in kpi.readings:
            windows = {tuple(each["window"].values()) for each in found if each["reading"] == reading.name}
            days = [("month", "2026-01-01", "2026-01-31"), ("month", "2026-02-01", "2026-02-28")]
            assert windows == ({(None, None, None)} if reading.level else set() if kpi.rows else set(days))
        whole = answer(company, replace(asked, window="all", periods=4))
        assert {(r.window.start, r.window.end) for r in whole} <= {(None, None)}
    ends = [span.end for _, span in calendar.windows("trailing_90d", Ask(company, asked).as_of_on)]
    assert [str(end) for end in ends] == ["2026-02-20"], "the as-of's local day"

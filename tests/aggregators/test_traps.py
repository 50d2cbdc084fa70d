"""The questions and traps of the hard cases that no other file asks by name."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.calendar import DAY_MS
from aggregators.explain_page import explained
from aggregators.question import Question
from aggregators.state import partition_state
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.deals import DealTable
from events.canonical import encode
from events.keys import partition_of
from tests.aggregators.test_customer_kpis import contract
from tests.aggregators.test_rep_kpis import employee, rep
from tests.aggregators.told import PLAIN, company_of, end_of, meaning, opp, rate, row, rows, told, value

QUARTER = "2026-01-01..2026-03-31"


# As of the future


@pytest.mark.rule("K4", "F11")
def test_which_deals_will_be_stalled_on_friday_if_nobody_acts() -> None:
    company = company_of(
        opp("o1", "2026-03-02T09:00:00Z", stage="Proposal", owner_id="ann"),
        opp("o2", "2026-03-09T09:00:00Z", stage="Proposal", owner_id="ann"),
    )
    now, friday = "2026-03-11", "2026-03-20"

    def stalled(as_of: str) -> Any:
        return explained(company, now_ms=end_of(now), kpi="stalled", as_of=as_of)["records"]

    assert stalled(now)["total"] == 0
    assert [each["record"] for each in stalled(friday)["list"]] == ["opportunity/o1"]
    assert value(company, "stalled", "count", "2026-03-23T09:00:00Z") == 1, "o2 is idle for exactly 14 days"
    assert value(company, "stalled", "count", "2026-03-23T09:00:01Z") == 2


def test_whose_contract_ends_next_month() -> None:
    company = company_of(
        contract("c1", "2025-05-01", "2026-04-30", "100", account_id="a1"),
        contract("c2", "2025-04-01", "2026-03-31", "100", account_id="a2"),
        contract("c3", "2025-05-01", "2026-04-15", "100", account_id="a3"),
        contract("c4", "2026-04-16", "2027-04-15", "100", account_id="a3"),
    )

    found = explained(
        company,
        now_ms=end_of("2026-03-10"),
        kpi="contracts_expiring",
        as_of="2026-04-01",
        where=["band=0_30d"],
    )
    assert [each["record"] for each in found["records"]["list"]] == ["contract/c1"]


def test_churn_known_to_come_is_in_a_question_about_the_future_alone() -> None:
    company = company_of(contract("c1", "2025-01-01", "2026-03-31", "100", account_id="a1"))

    assert value(company, "churn", "logo", "2026-03-31", window="fiscal_quarter") == 0
    assert value(company, "churn", "logo", "2026-04-01", window="fiscal_quarter") == 1


# Taking a bar apart


@pytest.mark.rule("Executive")
def test_a_bar_of_the_waterfall_drills_down_to_the_deals_behind_it() -> None:
    company = company_of(
        rep("r1", team="North"),
        rep("r2", team="South"),
        *(
            opp(
                subject,
                "2025-12-01",
                stage="Proposal",
                amount=amount,
                owner_id=owner,
                close_date="2026-02-15",
            )
            for subject, amount, owner in (("o1", "100.01", "r1"), ("o2", "50", "r1"), ("o3", "7", "r2"))
        ),
        opp("o1", "2026-02-01", stage="Won"),
        opp("o2", "2026-02-02", stage="Won", amount="55.50"),
        opp("o3", "2026-02-03", stage="Won"),
    )

    found = explained(
        company,
        now_ms=end_of("2026-03-31"),
        kpi="waterfall",
        reading="amount",
        window=QUARTER,
        where=["team=North", "change=won"],
        sort="numerator",
    )
    assert found["value"] == "-155.51"
    listed = {each["record"]: each["numerator"] for each in found["records"]["list"]}
    assert listed == {"opportunity/o1": "-100.01", "opportunity/o2": "-55.5"}


@pytest.mark.rule("Executive")
def test_a_transfer_between_teams_sums_to_nothing_and_every_team_and_rep_comes_to_its_end() -> None:
    company = company_of(
        rep("r1", team="North"),
        rep("r2", team="South"),
        employee("r1", "2026-02-10", team="South", effective_on="2026-02-10"),
        rate("EUR/USD", "2025-12-31", "2"),
        rate("EUR/USD", "2026-03-28", "3"),
        opp("o1", "2025-12-01", stage="Proposal", amount="100", currency="EUR", owner_id="r1"),
        opp("o1", "2025-12-02", close_date="2026-03-01"),
        opp("o1", "2026-02-20", amount="150"),
        opp("o1", "2026-02-25", owner_id="r2"),
        opp("o2", "2026-01-15", stage="Proposal", amount="10", owner_id="r2", close_date="2026-03-31"),
    )

    def bars(by: str) -> dict[tuple[str, ...], int]:
        found = rows(company, "waterfall", "2026-03-31", by=by, window=QUARTER)
        return {
            tuple(label for _, label in r.by): int(r.value or 0) // 100
            for r in found
            if r.reading == "amount" and r.value
        }

    assert bars("team") == {
        ("North", "start"): 200,
        ("North", "transferred"): -200,
        ("South", "transferred"): 200,
        ("South", "revalued"): 100,
        ("South", "amount_up"): 150,
        ("South", "created"): 10,
        ("South", "end"): 460,
    }
    assert bars("rep")["r2", "end"] == 460
    assert bars("rep")["r1", "transferred"] == -200
    assert bars("") == {
        ("start",): 200,
        ("created",): 10,
        ("amount_up",): 150,
        ("revalued",): 100,
        ("end",): 460,
    }


# Nights, weeks, weekends

NEW_YORK = meaning(timezone="America/New_York")


@pytest.mark.rule("F11")
@pytest.mark.trap("daylight-saving night")
def test_a_threshold_in_days_is_hours_also_in_the_night_the_clocks_change() -> None:
    """On 8 March 2026 New York's day has 23 hours: 14 x 24 hours end an hour later on the clock (F11)."""
    company = company_of(
        opp("o1", "2026-02-28T12:00:00-05:00", stage="Proposal"),
        meaning=NEW_YORK,
    )

    assert value(company, "stalled", "count", "2026-03-14T13:00:00-04:00") == 0
    assert value(company, "stalled", "count", "2026-03-14T13:00:01-04:00") == 1


@pytest.mark.rule("G2")
@pytest.mark.trap("daylight-saving night")
@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-11-01T00:59:59-04:00", "2026-11-01"),
        ("2026-11-01T01:30:00-05:00", "2026-11-01"),
        ("2026-11-01T23:30:00-05:00", "2026-11-01"),
        ("2026-11-02T00:00:00-05:00", "2026-11-02"),
        ("2026-03-08T23:59:59-04:00", "2026-03-08"),
    ],
)
def test_a_win_in_the_night_the_clocks_change_is_of_its_local_day(instant: str, day: str) -> None:
    company = company_of(
        opp("o1", "2026-01-05", stage="Proposal"), opp("o1", instant, stage="Won"), meaning=NEW_YORK
    )

    assert value(company, "won", "count", "2026-12-31", window=f"{day}..{day}") == 1


@pytest.mark.rule("F19")
def test_a_deal_dated_to_the_day_the_clocks_change_is_open_until_that_days_end() -> None:
    company = company_of(
        opp("o1", "2026-01-05", stage="Proposal"),
        opp("o1", "2026-11-03T10:00:00-05:00", stage="Won", close_date="2026-11-01"),
        meaning=NEW_YORK,
    )

    assert value(company, "open", "count", "2026-11-01T23:59:59-05:00") == 1
    assert value(company, "won", "count", "2026-11-02T00:00:00-05:00", window="month") == 1


@pytest.mark.rule("F30")
@pytest.mark.trap("4-4-5 with a 53rd week")
def test_a_win_of_the_53rd_week_is_of_the_last_period_and_of_its_fiscal_year() -> None:
    weeks = meaning(calendar="4-4-5")
    # The year that starts on the Monday nearest 1 January: 2026 from 29 December 2025, 2027 from 4 January
    # 2027, so that 2026 has 53 weeks and 3 January 2027 is its last day.
    company = company_of(
        opp("o1", "2026-01-05", stage="Proposal"), opp("o1", "2027-01-03", stage="Won"), meaning=weeks
    )

    assert value(company, "won", "count", "2027-01-03", window="fiscal_quarter") == 1
    last = row(company, "won", "count", "2027-01-03", window="fiscal_year")
    assert (str(last.window.start), str(last.window.end), last.value) == ("2025-12-29", "2027-01-03", 1)
    assert value(company, "won", "count", "2027-01-04", window="fiscal_year") == 0


# Instants that a question is cut at


@pytest.mark.rule("F17", "F3")
def test_an_as_of_cut_drops_what_became_true_later_and_keeps_what_was_told_later() -> None:
    """Told on 1 May: she left on 10 February and changed her team on 20 January (F17)."""
    company = company_of(
        rep("ann", team="North"),
        employee("ann", "2026-05-01", left_on="2026-02-10", leave_kind="voluntary"),
        employee("ann", "2026-05-01", team="South", effective_on="2026-01-20"),
        opp("o1", "2026-01-25", stage="Proposal", owner_id="ann"),
    )

    def there(as_of: str) -> Any:
        return value(company, "rep_retention", "trailing", as_of, window="fiscal_quarter")

    assert (there("2026-02-10"), there("2026-02-11")) == (1, 0)
    assert rows(company, "created", "2026-01-31", by="team", window="month")[0].by == (("team", "South"),)
    assert value(company, "open", "count", "2026-01-24") == 0


@pytest.mark.rule("F1")
def test_a_level_at_a_windows_start_and_what_came_and_went_is_the_level_at_its_end() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2026-01-31", "100", account_id="a1"),
        contract("c2", "2025-06-01", "2026-12-31", "100", account_id="a2"),
        contract("c3", "2026-02-15", "2027-02-14", "100", account_id="a3"),
    )

    def of(reading: str, as_of: str) -> Any:
        return value(company, "customers", reading, as_of, window="fiscal_quarter")

    assert of("active", "2025-12-31") == 2
    assert (of("new", "2026-03-31"), of("churned", "2026-03-31"), of("active", "2026-03-31")) == (1, 1, 2)


@pytest.mark.rule("G9")
def test_what_a_mean_is_made_of_is_never_an_average_of_averages() -> None:
    company = company_of(
        rep("ann", team="North"),
        rep("bob", team="North"),
        *(
            event
            for number, (owner, stage) in enumerate(
                [("ann", "Won")] * 3 + [("ann", "Lost")] + [("bob", "Lost")]
            )
            for event in (
                opp(f"o{number}", "2026-01-05", stage="Proposal", owner_id=owner),
                opp(f"o{number}", "2026-02-05", stage=stage),
            )
        ),
    )

    (team,) = [
        r
        for r in answer(company, Question("win_rate", end_of("2026-03-31"), None, ("team",)))
        if r.reading == "closed_count"
    ]
    assert (team.numerator, team.denominator, team.value) == (3, 5, Fraction(3, 5)), "not (3/4 + 0) / 2"


@pytest.mark.rule("K4")
def test_stagnation_grows_with_no_event_at_all() -> None:
    company = company_of(opp("o1", "2026-01-05T09:00:00Z", stage="Proposal"))

    first = value(company, "stagnation", "stagnation", "2026-01-07T09:00:00Z")
    assert first == 2 * DAY_MS
    assert value(company, "stagnation", "stagnation", "2026-01-07T09:00:05Z") == first + 5_000


@pytest.mark.rule("G1")
def test_two_sources_that_tell_of_one_deal_with_the_same_event_id_are_two_events() -> None:
    one = opp("o1", "2026-01-05", stage="Proposal", amount="10", source="/crm/a", event_id="1")
    two = opp("o1", "2026-01-06", stage="Won", source="/crm/b", event_id="1")

    for events in ((one, two), (two, one, two, one)):
        assert value(company_of(*events), "won", "amount", "2026-01-31", window="month") == 10_00


@pytest.mark.rule("F32")
def test_what_an_account_owner_gets_is_decided_on_the_day_and_not_by_who_owns_it_now() -> None:
    company = company_of(
        rep("ann", team="North"),
        rep("bob", team="South"),
        told("account", "a1", "2025-01-01", owner_id="ann"),
        told("account", "a1", "2026-02-10", owner_id="bob"),
        contract("c1", "2025-06-01", "2026-05-31", "120", account_id="a1"),
        contract("c2", "2026-03-01", "2027-02-28", "240", account_id="a1"),
    )

    def of(kpi: str, reading: str, by: str, as_of: str, window: str) -> dict[str, Any]:
        found = rows(company, kpi, as_of, by=by, window=window)
        return {r.by[0][1]: r.value for r in found if r.reading == reading}

    assert of("acv", "booked_per_contract", "rep", "2026-06-30", "fiscal_year") == {"bob": 240_00}
    assert of("acv", "booked_per_contract", "rep", "2026-06-30", "2025-01-01..2025-12-31") == {"ann": 120_00}
    assert of("acv", "active_per_contract", "rep", "2026-04-30", "day") == {"ann": 120_00, "bob": 240_00}
    assert of("acv", "active_per_customer", "rep", "2026-04-30", "day") == {"bob": 360_00}
    assert of("customer_retention", "logo", "team", "2026-06-30", "2026-02-01..2026-06-30") == {"North": 1}
    assert of("customers", "active", "team", "2026-01-31", "month") == {"North": 1}
    assert of("customers", "active", "team", "2026-06-30", "2026-01-01..2026-01-31") == {"North": 1}


# Two who publish


@pytest.mark.trap("two publishers with different partitioners")
def test_two_publishers_with_different_partitioners_tell_of_one_deal() -> None:
    """Where the key hashes differ, a record is taken in only on its own partition: it comes again there."""
    partitions, key = 8, b"opp-1"
    home, elsewhere = (partition_of(key, partitions, name) for name in ("murmur2", "crc32"))
    assert home != elsewhere, "else the trap is not set"
    states = [
        partition_state("crm.opportunity", number, partitions, "murmur2", PLAIN)
        for number in range(partitions)
    ]
    opened = encode(opp("opp-1", "2026-01-05", stage="Proposal", amount="10"))
    closed = encode(opp("opp-1", "2026-02-05", stage="Won"))

    assert states[home].fold([key], [opened]).applied == 1
    stray = states[elsewhere].fold([key], [closed])
    assert (stray.applied, stray.misplaced) == (0, [0]), "not folded there, and not lost"
    assert states[home].fold([key], [closed]).applied == 1

    table = DealTable()
    for number, state in enumerate(states):
        if (change := state.take_change()) is not None:
            table.apply(f"crm.opportunity/{number}", [change.facts])
    question = Question("won", end_of("2026-03-31"))
    assert [row.value for row in fast_answer(table, company_of(), question)] == [1, 10_00]
    assert [row.value for row in fast_answer(table, company_of(), replace(question, kpi="open"))] == [0, 0]

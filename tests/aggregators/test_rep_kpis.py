"""Rep retention, ramp-up, ramping reps and referrals, with figures worked out by hand."""

from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, DAY_MS
from aggregators.kpis.ramp_up import BEFORE_THE_FIRST_DAY, first_contact
from aggregators.question import Question
from events.event import Event
from tests.aggregators.test_customer_kpis import account, contract
from tests.aggregators.told import company_of, end_of, meaning, opp, row, rows, told, value

YEAR = {"as_of": "2026-12-31", "window": "fiscal_year"}


def employee(subject: str, time: str = "2020-01-01", **fields: Any) -> Event:
    return told("employee", subject, time, source="/hr", **fields)


def rep(subject: str, hired_on: str = "2020-01-01", **fields: Any) -> Event:
    return employee(subject, hired_on=hired_on, role="sales", **fields)


def contact(subject: str, time: str, rep_id: str, **fields: Any) -> Event:
    return told("activity", subject, time, rep_id=rep_id, kind="call", **fields)


# Retention


@pytest.mark.rule("K6")
def test_retention_is_of_those_in_role_at_the_start_and_hires_are_in_neither_number() -> None:
    company = company_of(
        rep("r1"),
        rep("r2"),
        employee("r2", "2026-03-01", left_on="2026-03-31", leave_kind="voluntary"),
        rep("r3", "2026-02-01"),
        employee("clerk", hired_on="2020-01-01", role="finance"),
    )

    found = row(company, "rep_retention", "trailing", **YEAR)
    assert (found.value, found.numerator, found.denominator) == (Fraction(1, 2), 1, 2)


@pytest.mark.rule("K6", "F13")
@pytest.mark.trap("rehire after 29 and 31 days")
@pytest.mark.parametrize(("days", "stayed"), [(29, 1), (30, 1), (31, 0)])
def test_a_rehire_after_29_days_is_continuous_and_after_31_is_a_new_hire(days: int, stayed: int) -> None:
    back = (date(2026, 3, 31) + timedelta(days=days)).isoformat()
    company = company_of(
        rep("r1"),
        employee("r1", "2026-03-31", left_on="2026-03-31", leave_kind="voluntary"),
        employee("r1", back, hired_on=back),
    )

    assert value(company, "rep_retention", "trailing", **YEAR) == stayed
    hired = [r for r in rows(company, "ramping_reps", **YEAR) if r.reading == "count"]
    assert hired[0].value == 1 - stayed


@pytest.mark.rule("F3")
def test_the_last_day_at_work_is_still_a_day_in_role() -> None:
    company = company_of(rep("r1"), employee("r1", "2026-12-31", left_on="2026-12-31"))

    assert value(company, "rep_retention", "trailing", "2026-12-31", window="fiscal_year") == 1
    assert value(company, "rep_retention", "trailing", "2027-01-01", window="trailing_90d") == 0


@pytest.mark.rule("K6")
def test_leaving_the_role_is_told_apart_from_leaving_the_company_and_leave_is_presence() -> None:
    company = company_of(
        rep("r1"),
        employee("r1", "2026-05-01", role="finance", effective_on="2026-06-01"),
        rep("r2"),
        employee("r2", "2026-05-01", left_on="2026-05-31", leave_kind="involuntary"),
        rep("r3"),
        employee("r3", "2026-05-01", on_leave=True, effective_on="2026-05-01"),
        rep("r4"),
        employee("r4", "2026-05-01", left_on="2026-05-31"),
    )

    found = rows(company, "rep_retention", by="leave_kind", **YEAR)
    split = {r.by[0][1]: (r.numerator, r.denominator) for r in found if r.reading == "trailing"}
    assert split == {"left_role": (0, 1), "involuntary": (0, 1), "stayed": (1, 1), "unassigned": (0, 1)}
    whole = row(company, "rep_retention", "trailing", **YEAR)
    assert (whole.numerator, whole.denominator) == (1, 4)


@pytest.mark.rule("K6", "F1")
def test_tenured_retention_asks_only_those_with_the_tenure_at_the_start() -> None:
    company = company_of(
        rep("old", "2024-12-31"),
        rep("young", "2025-01-01"),
        employee("young", "2026-03-01", left_on="2026-03-01"),
    )

    assert value(company, "rep_retention", "trailing", **YEAR) == Fraction(1, 2)
    found = row(company, "rep_retention", "tenured", **YEAR)
    assert (found.numerator, found.denominator) == (1, 1)


@pytest.mark.rule("K6", "F14", "F30")
def test_tenure_is_the_share_of_all_ever_hired_that_long_ago_that_reached_it() -> None:
    company = company_of(
        rep("r1", "2020-02-29"),
        employee("r1", "2021-02-28", left_on="2021-02-28"),
        rep("r2", "2020-03-01"),
        employee("r2", "2021-02-28", left_on="2021-02-28"),
        rep("r3", "2026-01-01"),
    )

    found = row(company, "rep_retention", "tenure", "2026-06-01")
    assert (found.numerator, found.denominator, found.window.start) == (1, 2, None)


def test_a_rep_counts_for_the_team_at_the_windows_start() -> None:
    company = company_of(rep("r1", team="North"), employee("r1", "2026-02-01", team="South"))

    found = [r for r in rows(company, "rep_retention", by="team", **YEAR) if r.reading == "trailing"]
    assert [r.by for r in found] == [(("team", "North"),)]


# Ramp-up


def test_a_rep_who_has_not_begun_yet_has_no_ramp_up_whatever_he_did_before() -> None:
    company = company_of(rep("r1", "2026-03-15"), contact("m1", "2026-02-01", "r1"))

    early = row(company, "ramp_up", "first_contact", "2026-03-14", window="fiscal_quarter")
    assert (early.value, early.samples) == (None, 0)
    begun = row(company, "ramp_up", "first_contact", "2026-03-15", window="fiscal_quarter")
    assert (begun.value, begun.samples) == (0, 1)


@pytest.mark.rule("K7", "F9", "F36")
def test_ramp_up_is_from_the_first_day_to_the_first_contact_with_a_prospect() -> None:
    company = company_of(
        rep("r1", "2026-01-10", aliases=("/crm:u1",)),
        contact("x1", "2026-01-12", "u1", with_="customer"),
        contact("x2", "2026-01-20", "u1"),
        contact("x3", "2026-03-01", "u1", completed_at="2026-01-15T09:00:00Z"),
        rep("r2", "2026-01-10"),
        contact("x4", "2026-02-09", "r2"),
        rep("r3", "2026-01-31"),
    )

    quarter = {"as_of": "2026-02-28", "window": "fiscal_quarter"}
    found = row(company, "ramp_up", "first_contact", **quarter)
    assert (found.value, found.numerator, found.denominator) == (Fraction(35, 2) * DAY_MS, 35 * DAY_MS, 2)
    assert value(company, "ramping_reps", "count", **quarter) == 1
    assert value(company, "ramping_reps", "age", **quarter) == 28 * DAY_MS


@pytest.mark.rule("K7")
@pytest.mark.trap("a contact before the first day")
def test_a_contact_before_the_first_day_counts_as_0_and_is_flagged() -> None:
    company = company_of(rep("r1", "2026-01-10"), contact("x1", "2026-01-05", "r1"))

    (found,) = first_contact(Ask(company, Question("ramp_up", end_of("2026-02-28"))), ALWAYS)
    assert (found.numerator, found.denominator, found.note) == (0, 1, BEFORE_THE_FIRST_DAY)


@pytest.mark.rule("F13")
def test_a_second_spell_has_a_clock_of_its_own() -> None:
    company = company_of(
        rep("r1", "2026-01-10"),
        contact("x1", "2026-01-11", "r1"),
        employee("r1", "2026-03-01", left_on="2026-03-01"),
        employee("r1", "2026-06-01", hired_on="2026-06-01"),
        contact("x2", "2026-06-11", "r1"),
    )

    assert value(company, "ramp_up", "first_contact", "2026-12-31", window="fiscal_year") == 11 * DAY_MS / 2
    assert value(company, "ramp_up", "first_contact", "2026-06-30", window="fiscal_quarter") == 10 * DAY_MS


@pytest.mark.rule("K7", "F13")
def test_further_milestones_are_the_first_opportunity_and_the_first_win() -> None:
    company = company_of(
        rep("r1", "2026-01-10"),
        opp("o1", "2026-01-20", stage="Prospecting", owner_id="r1"),
        opp("o1", "2026-02-10", stage="Won"),
        rep("r2", "2026-01-10"),
        opp("o2", "2026-01-15", stage="Prospecting", owner_id="other"),
        opp("o2", "2026-01-16", owner_id="r2"),
    )

    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter"}
    assert row(company, "ramp_up", "first_opportunity", **quarter).denominator == 1
    assert value(company, "ramp_up", "first_opportunity", **quarter) == 10 * DAY_MS
    assert value(company, "ramp_up", "first_win", **quarter) == 31 * DAY_MS
    assert value(company, "ramp_up", "first_win", "2026-02-01", window="fiscal_quarter") is None


# Referrals


def referral(subject: str, created: str, account_id: str | None, referred_by: str, **fields: Any) -> Event:
    stage = fields.pop("stage", "Prospecting")
    return opp(subject, created, stage=stage, account_id=account_id, referred_by=referred_by, **fields)


CUSTOMER = contract("c1", "2025-01-01", "2026-03-31", "100")


@pytest.mark.rule("K8", "F12")
def test_a_referral_by_an_active_customer_is_credited_to_its_accounts_owner() -> None:
    company = company_of(
        CUSTOMER,
        account("a1", owner_id="u1"),
        rep("r1", aliases=("/crm:u1",)),
        referral("o1", "2026-02-01", "p1", "a1", owner_id="r2"),
        referral("o2", "2026-02-01", "p2", "p9", owner_id="r2"),
    )

    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter", "by": "rep"}
    found = {(r.reading, r.by[0][1]): r.value for r in rows(company, "referrals", **quarter)}
    assert found == {("from_customers", "r1"): 1, ("from_others", "r2"): 1}


@pytest.mark.rule("F12")
def test_an_account_owner_first_told_of_later_takes_no_credit_for_a_referral() -> None:
    company = company_of(
        CUSTOMER,
        account("a1", "2026-02-02", owner_id="r1"),
        referral("o1", "2026-02-01", "p1", "a1", owner_id="r2"),
    )

    found = rows(company, "referrals", "2026-03-31", window="fiscal_quarter", by="rep")
    assert [(r.by[0][1], r.value) for r in found if r.reading == "from_customers"] == [("r2", 1)]


@pytest.mark.rule("K8", "F27")
@pytest.mark.trap("a referral by a customer that had already left")
def test_a_referral_by_a_customer_that_had_already_left_is_counted_apart() -> None:
    company = company_of(
        CUSTOMER,
        referral("o1", "2026-03-31", "p1", "a1"),
        referral("o2", "2026-04-01", "p2", "a1"),
        referral("o3", "2026-04-01", "p3", "unknown"),
    )

    found = {r.reading: r.value for r in rows(company, "referrals", "2026-12-31", window="all")}
    assert found == {"from_customers": 1, "from_others": 2, "won": 0}


def test_who_becomes_a_customer_on_the_day_of_the_opportunity_is_not_referred() -> None:
    events = [CUSTOMER, referral("o1", "2026-02-01", "p1", "a1")]
    for start, referred in (("2026-02-01", 0), ("2026-02-02", 1)):
        customer = contract("c2", start, "2026-12-31", "100", account_id="p1")
        found = value(
            company_of(*events, customer), "referrals", "from_customers", "2026-12-31", window="all"
        )
        assert found == referred


def test_an_unknown_referrer_is_no_customer_even_if_an_account_is_called_so() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "100", account_id="unknown"),
        referral("o1", "2026-02-01", "p1", "unknown", owner_id="r2"),
    )
    found = {r.reading: r.value for r in rows(company, "referrals", "2026-12-31", window="all")}
    assert found == {"from_customers": 0, "from_others": 1, "won": 0}


@pytest.mark.rule("F12")
def test_a_contract_told_of_late_makes_a_past_referrer_a_customer() -> None:
    events = [CUSTOMER, referral("o1", "2026-04-20", "p1", "a1")]
    renewal = contract("c2", "2026-04-15", "2027-03-31", "100", time="2026-09-01", signed_on="2026-08-31")

    assert value(company_of(*events), "referrals", "from_customers", "2026-12-31", window="all") == 0
    assert value(company_of(*events, renewal), "referrals", "from_customers", "2026-12-31", window="all") == 1


@pytest.mark.rule("K8")
def test_neither_a_customer_nor_the_referrer_itself_is_referred() -> None:
    company = company_of(
        CUSTOMER,
        contract("c2", "2025-01-01", "2025-02-01", "100", account_id="p1"),
        account("a1"),
        account("a0", "2026-01-01", "merged", into="a1"),
        referral("o1", "2026-02-01", "p1", "a1"),
        referral("o2", "2026-02-01", "a0", "a1"),
        referral("o3", "2026-02-01", "p9", "p9"),
    )

    found = {r.reading: r.value for r in rows(company, "referrals", "2026-12-31", window="all")}
    assert found == {"from_customers": 0, "from_others": 0, "won": 0}


@pytest.mark.rule("F27", "K8")
def test_a_pair_counts_once_by_its_earliest_opportunity_until_that_is_deleted() -> None:
    events = [
        CUSTOMER,
        referral("o1", "2026-03-01", "p1", "a1"),
        referral("o2", "2026-04-05", "p1", "a1", stage="Won"),
        referral("o3", "2026-03-05", None, "a1"),
        referral("o4", "2026-03-06", None, "a1"),
    ]

    found = {r.reading: r.value for r in rows(company_of(*events), "referrals", "2026-12-31", window="all")}
    assert found == {"from_customers": 3, "from_others": 0, "won": 0}
    without = company_of(*events, opp("o1", "2026-06-01", "deleted"))
    found = {r.reading: r.value for r in rows(without, "referrals", "2026-12-31", window="all")}
    assert found == {"from_customers": 2, "from_others": 1, "won": 0}


@pytest.mark.rule("F12")
def test_won_referrals_count_on_the_day_of_the_win() -> None:
    company = company_of(
        CUSTOMER,
        rep("r1", team="North"),
        employee("r1", "2026-04-01", team="South", effective_on="2026-04-01"),
        referral("o1", "2026-03-01", "p1", "a1", owner_id="r1"),
        opp("o1", "2026-05-02", stage="Won"),
    )

    assert value(company, "referrals", "won", "2026-05-01", window="fiscal_quarter") == 0
    assert value(company, "referrals", "won", "2026-05-02", window="fiscal_quarter") == 1
    assert value(company, "referrals", "from_customers", "2026-05-02", window="fiscal_quarter") == 0
    by_team = rows(company, "referrals", "2026-05-02", window="all", by="team")
    assert {(r.reading, r.by[0][1]) for r in by_team} == {("from_customers", "North"), ("won", "South")}


def test_referrers_are_customers_by_purchase_where_there_are_no_contracts() -> None:
    company = company_of(
        opp("o1", "2026-01-01", stage="Won", account_id="a1", amount="10"),
        referral("o2", "2026-02-01", "p1", "a1"),
        meaning=meaning(kpis={"customer_basis": "purchases"}),
    )

    assert value(company, "referrals", "from_customers", "2026-03-31", window="fiscal_quarter") == 1


# Properties

DAYS = st.integers(0, 1000).map(lambda days: (date(2024, 1, 1) + timedelta(days)).isoformat())


@st.composite
def staff_events(draw: st.DrawFn) -> list[Event]:
    """Hirings, leavings, roles, teams and contacts of a few people, in any state of sense."""
    events = []
    for _ in range(draw(st.integers(1, 12))):
        who = draw(st.sampled_from(["r1", "r2", "r3"]))
        fields: dict[str, Any] = {}
        for name, values in (
            ("hired_on", DAYS),
            ("left_on", DAYS),
            ("role", st.sampled_from(["sales", "finance"])),
            ("team", st.sampled_from(["North", "South"])),
            ("effective_on", DAYS),
            ("leave_kind", st.sampled_from(["voluntary", "other"])),
        ):
            if draw(st.booleans()):
                fields[name] = draw(values)
        events.append(employee(who, draw(DAYS), **fields))
    whose = draw(st.lists(st.sampled_from(["r1", "r2", "r3"]), max_size=4))
    events.extend(contact(f"x{number}", draw(DAYS), who) for number, who in enumerate(whose))
    return events


@given(staff_events(), DAYS, st.randoms())
def test_no_rep_kpi_depends_on_the_order_or_number_of_tellings(
    events: list[Event], as_of: str, random: Random
) -> None:
    arrived = events + random.choices(events, k=3)
    random.shuffle(arrived)

    for kpi in ("rep_retention", "ramp_up", "ramping_reps", "referrals"):
        assert rows(company_of(*arrived), kpi, as_of, by="team") == rows(
            company_of(*events), kpi, as_of, by="team"
        )


@given(staff_events(), DAYS, st.sampled_from(["fiscal_quarter", "trailing_12m"]))
def test_a_split_by_leave_kind_takes_the_company_apart(events: list[Event], as_of: str, window: str) -> None:
    company = company_of(*events)

    for reading in ("trailing", "tenured", "tenure"):
        whole = row(company, "rep_retention", reading, as_of, window=window)
        parts = [
            r
            for r in rows(company, "rep_retention", as_of, by="leave_kind", window=window)
            if r.reading == reading
        ]
        assert sum(r.denominator or 0 for r in parts) == whole.denominator
        assert sum(r.numerator or 0 for r in parts) == whole.numerator

"""ACV, CLV, retention, churn, customers and expiring contracts, with figures worked out by hand."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event import Event
from tests.aggregators.told import PLAIN, company_of, meaning, opp, rate, row, rows, told, value


def contract(
    subject: str, start: str | None, end: str | None = None, amount: Any = None, **fields: Any
) -> Event:
    """A contract of account `a1` told of on its first day."""
    time = fields.pop("time", start or "2026-01-01")
    told_fields = {
        "account_id": "a1",
        "start_date": start,
        "end_date": end,
        "recurring_amount": amount,
        **fields,
    }
    return told("contract", subject, time, **told_fields)


def account(subject: str, time: str = "2020-01-01", verb: str = "changed", **fields: Any) -> Event:
    return told("account", subject, time, verb, **fields)


RAMP = tuple(
    (date(year, 1, 1), date(year, 12, 31), Decimal(amount))
    for year, amount in ((2026, 162_000), (2027, 171_000), (2028, 180_000))
)


# ACV


@pytest.mark.rule("K1", "K2")
def test_the_golden_ramp_contract_has_an_acv_of_171000_and_a_tcv_of_538000() -> None:
    company = company_of(contract("c1", "2026-01-01", "2028-12-31", ramp=RAMP, one_time_amount="25000"))

    assert value(company, "acv", "booked_per_contract", "2026-02-01", window="fiscal_quarter") == 171_000_00
    assert value(company, "acv", "active_per_contract", "2027-06-01") == 171_000_00
    assert value(company, "clv", "signed", "2026-02-01") == 538_000_00
    assert value(company, "clv", "historic", "2028-12-31") == 538_000_00


@pytest.mark.rule("K1")
def test_a_ramp_says_by_itself_when_the_contract_starts_and_ends() -> None:
    company = company_of(contract("c1", None, None, ramp=RAMP))

    assert value(company, "acv", "active_per_contract", "2028-12-31") == 171_000_00
    assert value(company, "acv", "active_per_contract", "2029-01-01") is None


@pytest.mark.rule("K1")
def test_acv_per_customer_counts_each_customer_once() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "100"),
        contract("c2", "2026-01-01", "2026-12-31", "50", kind="cross_sell"),
        contract("c3", "2026-01-01", "2026-12-31", "30", account_id="a2"),
    )

    assert value(company, "acv", "booked_per_contract", "2026-02-01") == 60_00
    assert value(company, "acv", "booked_per_customer", "2026-02-01") == 90_00
    by_kind = rows(company, "acv", "2026-02-01", by="kind")
    assert [
        (r.by, r.value, r.denominator, r.additive) for r in by_kind if r.reading == "booked_per_customer"
    ] == [
        ((("kind", "cross_sell"),), 50_00, 1, False),
        ((("kind", "new"),), 65_00, 2, False),
    ]
    assert all(r.additive for r in by_kind if r.reading == "booked_per_contract")


@pytest.mark.rule("F28")
def test_booked_values_take_the_rate_of_the_signature_and_active_ones_that_of_the_as_of_day() -> None:
    company = company_of(
        contract(
            "c1",
            "2026-01-10",
            "2026-12-31",
            "100",
            currency="EUR",
            signed_on="2026-01-05",
            recurring_per="year",
        ),
        rate("EUR/USD", "2026-01-05", "2"),
        rate("EUR/USD", "2026-03-01", "3"),
        meaning=meaning(),
    )

    booked = value(company, "acv", "booked_per_contract", "2026-03-02")
    active = value(company, "acv", "active_per_contract", "2026-03-02")
    assert active / booked == Fraction(3, 2)


@pytest.mark.rule("G4")
def test_without_a_rate_a_contract_is_counted_and_not_priced() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "100", currency="EUR"),
        contract("c2", "2026-01-01", "2026-12-31", "80"),
    )

    found = row(company, "acv", "booked_per_contract", "2026-02-01")
    assert (found.value, found.denominator, found.samples) == (80_00, 1, 1)
    assert value(company, "customers", "active", "2026-02-01") == 1


def test_a_trial_and_a_deleted_contract_are_in_no_kpi() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "100", trial=True),
        contract("c2", "2026-01-01", "2026-12-31", "100"),
        told("contract", "c2", "2026-03-01", "deleted"),
    )

    assert value(company, "acv", "booked_per_contract", "2026-02-01") is None
    assert value(company, "customers", "active", "2026-02-01") == 0


@pytest.mark.rule("F32")
def test_a_contract_is_its_owners_at_signature_else_its_account_owners() -> None:
    company = company_of(
        told("employee", "rep1", "2020-01-01", hired_on="2020-01-01", role="sales", team="North"),
        told("employee", "rep2", "2020-01-01", hired_on="2020-01-01", role="sales", team="South"),
        account("a1", owner_id="rep2"),
        contract("c1", "2026-01-01", "2026-12-31", "100", owner_id="rep1"),
        contract("c2", "2026-01-01", "2026-12-31", "50"),
    )

    found = rows(company, "acv", "2026-02-01", by="team")
    booked = {r.by[0][1]: r.value for r in found if r.reading == "booked_per_contract"}
    assert booked == {"North": 100_00, "South": 50_00}
    per_customer = {r.by[0][1]: r.value for r in found if r.reading == "booked_per_customer"}
    assert per_customer == {"South": 150_00}


def test_a_contract_without_an_account_is_a_customer_of_its_own() -> None:
    company = company_of(
        contract("c1", "2026-01-01", "2026-12-31", "100", account_id=None),
        contract("c2", "2026-01-01", "2026-12-31", "50", account_id=None),
    )

    assert value(company, "customers", "active", "2026-02-01") == 2
    assert value(company, "acv", "booked_per_customer", "2026-02-01") == 75_00


# CLV


@pytest.mark.rule("K2")
def test_clv_accrues_over_all_contracts_of_a_customer() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2025-12-31", "365"),
        contract("c2", "2026-01-01", None, "31", recurring_per="month", kind="renewal", one_time_amount="10"),
        contract("c3", "2026-02-01", "2026-12-31", "1", account_id="a2"),
    )

    assert value(company, "clv", "historic", "2025-01-10") == 10_00
    assert value(company, "clv", "historic", "2026-01-10") == 385_00
    assert row(company, "clv", "historic", "2026-02-01").denominator == 2


@pytest.mark.rule("K2")
@pytest.mark.trap("a renewal signed late")
def test_a_renewal_signed_late_counts_as_signed_only_from_its_signature() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2025-12-31", "365"),
        contract("c2", "2026-01-01", "2026-12-31", "365", kind="renewal", signed_on="2026-01-20"),
    )

    assert value(company, "clv", "signed", "2026-01-19") == 365_00
    assert value(company, "clv", "signed", "2026-01-20") == 730_00
    assert value(company, "customers", "active", "2026-01-19") == 1


@pytest.mark.rule("K2", "F17")
def test_a_cancellation_stops_the_accrual_and_is_taken_away_from_what_was_signed() -> None:
    company = company_of(contract("c1", "2025-01-01", "2025-12-31", "365", cancelled_on="2025-01-31"))

    assert value(company, "clv", "signed", "2025-01-30") == 365_00
    assert value(company, "clv", "signed", "2025-01-31") == 30_00
    assert value(company, "clv", "historic", "2025-12-31") == 30_00


def customers_of(left: int, stayed: int) -> Iterator[Event]:
    """So many customers a year ago, each worth 1,200 a year."""
    for number in range(left + stayed):
        end = "2025-06-30" if number < left else None
        yield contract(
            f"c{number}",
            "2024-01-01",
            end,
            "100" if end is None else "1800",
            account_id=f"a{number}",
            recurring_per="month" if end is None else "term",
        )


@pytest.mark.rule("K2", "F26")
def test_projected_clv_is_revenue_times_margin_over_churn() -> None:
    company = company_of(*customers_of(5, 15), meaning=meaning(kpis={"clv_margin": 0.5}))

    assert value(company, "clv", "projected", "2025-12-31") == 1200_00 * Fraction(1, 2) * 4


@pytest.mark.rule("K2", "F26")
@pytest.mark.parametrize(
    ("left", "stayed", "kpis", "projected"),
    [
        (0, 20, {}, None),
        (5, 14, {}, None),
        (5, 14, {"clv_min_customers": 19}, 1200_00 * Fraction(19, 5)),
        (1, 19, {}, 1200_00 * 5),
    ],
    ids=["no churn", "too few", "fewer allowed", "capped"],
)
def test_projected_clv_is_absent_without_churn_or_customers_and_capped(
    left: int, stayed: int, kpis: dict[str, Any], projected: Fraction | None
) -> None:
    company = company_of(*customers_of(left, stayed), meaning=meaning(kpis=kpis))

    assert value(company, "clv", "projected", "2025-12-31") == projected


# Retention


@pytest.mark.rule("K9")
def test_the_golden_company_retains_87_point_5_percent() -> None:
    lost = [(f"lost{n}", "2024-01-01", "2025-06-30") for n in range(347)]
    stayed = [(f"kept{n}", "2024-01-01", None) for n in range(2_770 - 347)]
    new = [(f"new{n}", "2025-05-01", None) for n in range(2_482)]
    company = company_of(*(contract(i, start, end, account_id=i) for i, start, end in (*lost, *stayed, *new)))

    found = row(company, "customer_retention", "logo", "2025-12-31")
    assert (found.numerator, found.denominator) == (2_423, 2_770)
    assert round(float(found.value or 0), 3) == 0.875
    assert row(company, "churn", "logo", "2025-12-31").numerator == 347
    counts = {r.reading: r.value for r in rows(company, "customers", "2025-12-31", window="trailing_12m")}
    assert counts == {"active": 4_905, "new": 2_482, "churned": 347, "in_grace": 0}


@pytest.mark.rule("K9", "F7", "F33")
@pytest.mark.trap("a renewal signed late")
def test_churn_falls_on_the_contracts_end_and_a_late_renewal_heals_it() -> None:
    first = contract("c1", "2025-01-01", "2025-12-31", "365")
    renewal = contract("c2", "2026-01-30", "2026-12-31", "365", kind="renewal", signed_on="2026-02-15")

    told_before, told_after = company_of(first), company_of(first, renewal)

    quarter = "2026-01-01..2026-03-31"
    assert value(told_before, "customer_retention", "logo", "2026-01-15", window=quarter) == 0
    assert value(told_before, "customers", "in_grace", "2026-01-15", window=quarter) == 1
    assert value(told_before, "customers", "in_grace", "2026-01-31", window=quarter) == 0
    assert value(told_after, "customer_retention", "logo", "2026-01-15", window=quarter) == 1
    assert value(told_after, "customers", "in_grace", "2026-01-15", window=quarter) == 0


@pytest.mark.rule("K9", "F6")
def test_revenue_retention_caps_gross_at_each_customers_own_start() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2025-12-31", "100"),
        contract("c2", "2026-01-01", "2026-12-31", "300", kind="renewal"),
        contract("c3", "2025-01-01", "2025-12-31", "100", account_id="a2"),
        contract("c4", "2026-01-01", "2026-12-31", "40", account_id="a2", kind="renewal"),
        contract("c5", "2025-01-01", "2025-12-31", "100", account_id="a3"),
        contract("c6", "2026-01-01", "2026-12-31", "999", account_id="a4"),
    )

    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter"}
    assert value(company, "customer_retention", "grr", **quarter) == Fraction(140, 300)
    assert value(company, "customer_retention", "nrr", **quarter) == Fraction(340, 300)
    assert value(company, "churn", "revenue", **quarter) == Fraction(160, 300)
    assert value(company, "customer_retention", "logo", **quarter) == Fraction(2, 3)


@pytest.mark.rule("F28")
def test_exchange_rates_are_no_churn() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2026-12-31", "200", currency="EUR"),
        *(rate("EUR/USD", day, text) for day, text in (("2025-12-31", "2"), ("2026-03-31", "1"))),
    )

    assert value(company, "customer_retention", "nrr", "2026-03-31", window="fiscal_quarter") == 1


@pytest.mark.rule("F6")
def test_a_customer_kept_by_the_grace_alone_has_no_revenue_there() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2025-12-31", "100"), contract("c2", "2026-01-20", "2026-12-31", "100")
    )

    found = row(company, "customer_retention", "nrr", "2026-01-10", window="fiscal_quarter")
    assert (found.numerator, found.denominator) == (0, 100_00)
    assert value(company, "customer_retention", "logo", "2026-01-10", window="fiscal_quarter") == 1


@pytest.mark.trap("a contract moved to another account")
def test_a_contract_moved_to_another_account_moves_the_customer() -> None:
    contracts = [contract("c1", "2025-01-01", None, "10", recurring_per="month")]
    company = company_of(*contracts, told("contract", "c1", "2026-05-01", account_id="a9"))

    assert [r.by for r in rows(company, "customers", "2026-02-01", by="segment")] == [
        (("segment", "unassigned"),)
    ]
    assert value(company, "customers", "active", "2026-02-01") == 1
    moved = company_of(
        *contracts, told("contract", "c1", "2026-05-01", account_id="a9"), account("a9", segment="SMB")
    )
    assert row(moved, "customers", "active", "2026-02-01", by="segment").by == (("segment", "SMB"),)


@pytest.mark.rule("G6")
@pytest.mark.trap("an account merged away and its contracts kept")
def test_an_account_merged_away_keeps_its_contracts_and_its_history_as_a_customer() -> None:
    events = [
        account("a1"),
        account("a2"),
        contract("c1", "2025-01-01", "2025-12-31", "100"),
        contract("c2", "2026-01-15", "2026-12-31", "100", account_id="a2"),
    ]
    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter"}

    assert value(company_of(*events), "customer_retention", "logo", **quarter) == 0
    merged = company_of(*events, account("a1", "2026-06-01", "merged", into="a2"))
    assert value(merged, "customer_retention", "logo", **quarter) == 1
    assert value(merged, "customers", "active", "2026-03-31") == 1
    restored = company_of(
        *events, account("a1", "2026-06-01", "merged", into="a2"), account("a1", "2026-07-01", "restored")
    )
    assert value(restored, "customer_retention", "logo", **quarter) == 0


@pytest.mark.rule("F35")
def test_with_parents_a_customer_is_the_top_of_the_chain() -> None:
    events = [
        account("top"),
        account("a1", parent_id="top"),
        account("a2", parent_id="a1"),
        contract("c1", "2025-01-01", "2025-12-31", "100"),
        contract("c2", "2025-01-01", None, "10", account_id="a2", recurring_per="month"),
    ]
    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter"}

    assert value(company_of(*events), "customer_retention", "logo", **quarter) == Fraction(1, 2)
    parents = company_of(*events, meaning=meaning(kpis={"customer_level": "parent"}))
    assert row(parents, "customer_retention", "logo", **quarter).denominator == 1
    assert value(parents, "customer_retention", "logo", **quarter) == 1


@pytest.mark.rule("F32", "G5")
def test_a_customer_counts_for_the_team_of_its_account_owner_at_the_start() -> None:
    company = company_of(
        told("employee", "rep1", "2020-01-01", hired_on="2020-01-01", role="sales", team="North"),
        told("employee", "rep1", "2026-02-01", team="South", effective_on="2026-02-01"),
        account("a1", owner_id="rep1"),
        contract("c1", "2025-01-01", None, "10", recurring_per="month"),
    )

    quarter = {"as_of": "2026-03-31", "window": "fiscal_quarter"}
    assert row(company, "customer_retention", "logo", by="team", **quarter).by == (("team", "North"),)
    assert row(company, "customers", "active", by="team", **quarter).by == (("team", "South"),)
    today = row(company, "customer_retention", "logo", by="team", attribution="current", **quarter)
    assert today.by == (("team", "South"),)


@pytest.mark.rule("F34")
def test_purchases_make_a_customer_for_their_days_and_no_acv() -> None:
    company = company_of(
        opp("o1", "2025-03-01", stage="Prospecting", account_id="a1", amount="500", created_at="2025-03-01"),
        opp("o1", "2025-04-01", stage="Won"),
        meaning=meaning(kpis={"customer_basis": "purchases", "purchase_active_days": 100}),
    )

    assert value(company, "customers", "active", "2025-03-31") == 0
    assert value(company, "customers", "active", "2025-04-01") == 1
    assert value(company, "customers", "active", "2025-07-09") == 1
    assert value(company, "customers", "active", "2025-07-10") == 0
    assert value(company, "clv", "historic", "2025-07-10") == 500_00
    assert value(company, "acv", "booked_per_contract", "2025-04-01") is None
    assert value(company, "acv", "active_per_customer", "2025-04-01") is None


# Supersession and expiry


def test_a_contract_that_supersedes_another_replaces_it_from_its_own_start() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2025-12-31", "365"),
        contract("c2", "2025-07-01", "2026-06-30", "730", supersedes="c1", kind="expansion"),
    )

    assert row(company, "acv", "active_per_contract", "2025-06-30").numerator == 365_00
    assert row(company, "acv", "active_per_contract", "2025-07-01").numerator == 730_00
    assert value(company, "clv", "historic", "2025-12-31") == 181_00 + 184 * 2_00
    assert value(company, "clv", "signed", "2025-07-01") == 181_00 + 730_00


def test_contracts_expire_in_bands_unless_something_is_in_force_after_them() -> None:
    company = company_of(
        contract("c1", "2025-01-01", "2026-01-30", "100", account_id="a1"),
        contract("c2", "2025-01-01", "2026-01-31", "100", account_id="a2"),
        contract("c3", "2025-01-01", "2026-01-15", "100", account_id="a3"),
        contract("c4", "2026-03-01", "2027-01-15", "100", account_id="a3"),
        contract(
            "c5", "2025-01-01", None, "10", account_id="a4", recurring_per="month", cancelled_on="2026-04-01"
        ),
        contract("c6", "2025-01-01", "2026-04-02", "100", account_id="a5"),
    )

    found = {
        r.by[-1][1]: r.value
        for r in rows(company, "contracts_expiring", "2025-12-31")
        if r.reading == "count"
    }
    assert found == {"0_30d": 1, "31_60d": 1, "61_90d": 1}
    a_day_later = rows(company, "contracts_expiring", "2026-01-01")
    assert {r.by[-1][1]: r.value for r in a_day_later if r.reading == "count"} == {
        "0_30d": 2,
        "31_60d": 0,
        "61_90d": 1,
    }
    amounts = {r.by[-1][1]: r.value for r in a_day_later if r.reading == "amount"}
    assert amounts["61_90d"] == 120_00


# Properties

ACCOUNTS = ["a1", "a2", "a3"]
DAYS = st.integers(0, 900).map(lambda days: (date(2024, 1, 1) + timedelta(days)).isoformat())


@st.composite
def contract_events(draw: st.DrawFn) -> list[Event]:
    """Partial, repeated statements about a few contracts and accounts."""
    events = []
    for _ in range(draw(st.integers(1, 12))):
        subject = draw(st.sampled_from(["c1", "c2", "c3", "c4", "c5"]))
        fields: dict[str, Any] = {"account_id": draw(st.sampled_from(ACCOUNTS))}
        if draw(st.booleans()):
            fields["start_date"] = draw(DAYS)
        if draw(st.booleans()):
            fields["end_date"] = draw(st.one_of(st.none(), DAYS))
        if draw(st.booleans()):
            fields["recurring_amount"] = str(draw(st.integers(0, 10_000)))
            fields["recurring_per"] = draw(st.sampled_from(["term", "year", "month"]))
        if draw(st.integers(0, 4)) == 0:
            fields["cancelled_on"] = draw(DAYS)
        if draw(st.integers(0, 4)) == 0:
            fields["supersedes"] = draw(st.sampled_from(["c1", "c2", "c9"]))
        verb = draw(st.sampled_from(["changed"] * 9 + ["deleted", "restored"]))
        events.append(told("contract", subject, draw(DAYS), verb, **(fields if verb == "changed" else {})))
    return events


KPIS = ("acv", "clv", "customer_retention", "churn", "customers", "contracts_expiring")


@given(contract_events(), DAYS, st.randoms())
def test_no_customer_kpi_depends_on_the_order_or_number_of_tellings(
    events: list[Event], as_of: str, random: Random
) -> None:
    arrived = events + random.choices(events, k=3)
    random.shuffle(arrived)

    for kpi in KPIS:
        assert rows(company_of(*arrived), kpi, as_of, by="segment") == rows(
            company_of(*events), kpi, as_of, by="segment"
        )


@pytest.mark.rule("F1", "K9")
@given(contract_events(), DAYS, st.sampled_from(["month", "fiscal_quarter", "trailing_12m", "fiscal_year"]))
def test_start_and_new_less_churned_is_the_end(events: list[Event], as_of: str, window: str) -> None:
    company = company_of(*events)

    found = {r.reading: r for r in rows(company, "customers", as_of, window=window)}
    retained = row(company, "customer_retention", "logo", as_of, window=window)
    assert found["active"].window.start is not None
    start = value(
        company,
        "customers",
        "active",
        (found["active"].window.start - timedelta(days=1)).isoformat(),
        window="day",
    )
    assert start == retained.denominator
    assert start + found["new"].value - found["churned"].value == found["active"].value
    assert row(company, "churn", "logo", as_of, window=window).numerator == found["churned"].value
    assert retained.numerator == start - found["churned"].value


@pytest.mark.rule("G9")
def test_a_company_without_contracts_has_no_sample() -> None:
    empty = company_of(meaning=PLAIN)

    for kpi in ("acv", "clv", "customer_retention", "churn"):
        assert [(r.value, r.samples) for r in rows(empty, kpi, "2026-01-01")] == [(None, 0)] * len(
            rows(empty, kpi, "2026-01-01")
        )


@pytest.mark.rule("G4")
def test_a_rate_taken_away_leaves_its_contracts_counted_and_not_priced() -> None:
    events = [
        contract("c1", "2026-01-01", "2026-12-31", "100", currency="EUR"),
        rate("EUR/USD", "2026-01-01", "2"),
    ]
    question = {"as_of": "2026-01-05", "window": "fiscal_quarter"}

    assert value(company_of(*events), "acv", "booked_per_contract", **question) == 200_00
    corrected = company_of(*events, told("fx_rate", "EUR/USD/2026-01-01", "2026-02-01", rate="3"))
    assert value(corrected, "acv", "booked_per_contract", **question) == 300_00
    gone = company_of(*events, told("fx_rate", "EUR/USD/2026-01-01", "2026-02-01", rate=None))
    assert value(gone, "acv", "booked_per_contract", **question) is None
    assert value(gone, "clv", "historic", "2026-01-05") is None
    assert value(gone, "customers", "active", **question) == 1


def test_a_customer_booked_in_an_unfinished_quarter_counts_for_the_team_of_today_not_of_its_end() -> None:
    company = company_of(
        told("employee", "r1", "2026-01-01", hired_on="2026-01-01", role="sales", team="North"),
        told("employee", "r1", "2026-01-02", team="South", effective_on="2026-03-15"),
        account("a1", owner_id="r1"),
        contract("c1", "2026-02-01", "2027-01-31", "120"),
    )
    question: dict[str, Any] = {"by": "team", "window": "fiscal_quarter"}
    for as_of, team in (("2026-03-01", "North"), ("2026-03-31", "South")):
        found = rows(company, "acv", as_of, **question)
        assert [r.by[0][1] for r in found if r.reading == "booked_per_customer"] == [team]


def test_of_several_contracts_that_replace_one_the_earliest_start_ends_it() -> None:
    company = company_of(
        contract("c0", "2026-01-01", "2026-12-31", "120", account_id="a0"),
        contract("c1", "2026-03-01", "2026-12-31", "120", account_id="a1", supersedes="c0"),
        contract("c2", "2026-05-01", "2026-12-31", "120", account_id="a2", supersedes="c0"),
    )
    for as_of, held in (("2026-02-28", 1), ("2026-03-01", 1), ("2026-05-01", 2)):
        assert row(company, "acv", "active_per_contract", as_of).samples == held


def test_a_ramp_is_the_value_of_its_term_whatever_period_is_stated_beside_it() -> None:
    stated = contract("c1", "2026-01-01", "2028-12-31", None, ramp=RAMP, recurring_per="month")
    assert value(company_of(stated), "acv", "booked_per_contract", "2026-12-31", window="all") == 171_000_00


def test_a_purchase_without_an_account_stays_with_who_won_it() -> None:
    company = company_of(
        opp("o1", "2026-02-01", stage="Won", amount="50", owner_id="ann"),
        opp("o1", "2026-02-02", owner_id="bob"),
        meaning=meaning(kpis={"customer_basis": "purchases"}),
    )
    found = rows(company, "clv", "2026-03-31", by="rep")
    assert {r.by[0][1] for r in found if r.reading == "historic"} == {"ann"}


def test_an_account_that_changes_hands_later_that_day_is_still_its_owners_at_the_instant() -> None:
    company = company_of(
        account("a1", owner_id="ann"),
        account("a1", "2026-03-10T18:00:00Z", owner_id="bob"),
        contract("c1", "2026-01-01", "2026-12-31", "120"),
    )
    for as_of, owner in (("2026-03-10T12:00:00Z", "ann"), ("2026-03-10T18:00:00Z", "bob")):
        found = rows(company, "acv", as_of, by="rep")
        assert {r.by[0][1] for r in found if r.reading == "active_per_customer"} == {owner}

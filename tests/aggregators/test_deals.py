"""The traps about opportunities, each broken by the bug it names."""

from fractions import Fraction

import pytest

from aggregators.meaning import Stage
from tests.aggregators.told import (
    STAGES,
    company_of,
    meaning,
    ms,
    opp,
    rate,
    row,
    rows,
    told,
    value,
)

DAY_MS = 86_400_000
Q1, Q2 = "2026-01-01..2026-03-31", "2026-04-01..2026-06-30"


@pytest.mark.rule("K5")
@pytest.mark.trap("wins and no losses")
def test_a_rep_with_wins_and_no_losses_has_a_rate_of_one() -> None:
    company = company_of(opp("a", "2026-01-05", stage="Won", owner_id="ann"))

    assert value(company, "win_rate", "closed_count", "2026-03-31") == 1


@pytest.mark.rule("G9")
@pytest.mark.trap("an empty denominator")
def test_nothing_closed_is_no_sample_and_not_zero() -> None:
    company = company_of(opp("a", "2026-01-05", stage="Proposal"))
    found = row(company, "win_rate", "closed_count", "2026-03-31")

    assert (found.value, found.numerator, found.denominator, found.samples) == (None, 0, 0, 0)
    assert value(company, "won", "count", "2026-03-31") == 0, "a count of nothing is 0"


@pytest.mark.rule("G7", "F2")
def test_reopening_a_won_deal_takes_its_win_back_from_that_instant() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-02-10", stage="Won"),
        opp("a", "2026-04-12", stage="Negotiation"),
    )

    assert value(company, "won", "count", "2026-03-31", window=Q1) == 1, "it still stood then"
    assert value(company, "won", "count", "2026-04-30", window=Q1) == 0
    assert value(company, "open", "count", "2026-04-30") == 1


@pytest.mark.rule("G7")
@pytest.mark.trap("won, open, won")
def test_won_open_won_counts_once_at_the_last_close() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-02-10", stage="Won"),
        opp("a", "2026-04-12", stage="Negotiation"),
        opp("a", "2026-05-02", stage="Won"),
    )

    assert value(company, "won", "count", "2026-06-30", window=Q1) == 0
    assert value(company, "won", "count", "2026-06-30", window=Q2) == 1


@pytest.mark.rule("G7", "F10")
def test_won_to_won_never_moves_the_close() -> None:
    company = company_of(
        opp("a", "2026-02-10", stage="Won", owner_id="ann"),
        opp("a", "2026-04-12", stage="Won Paid", owner_id="bob"),
        opp("a", "2026-04-13", stage="Won Paid"),
    )
    found = row(company, "won", "count", "2026-06-30", window=Q1, by="rep", group="ann")

    assert found.value == 1, "the owner is the one after the closing event (F10)"


@pytest.mark.rule("G7")
def test_won_to_lost_is_another_close() -> None:
    company = company_of(opp("a", "2026-02-10", stage="Won"), opp("a", "2026-04-12", stage="Lost"))

    assert value(company, "won", "count", "2026-06-30", window=Q1) == 0
    assert value(company, "lost", "count", "2026-06-30", window=Q2) == 1


@pytest.mark.rule("G6", "F2")
@pytest.mark.trap("won by mistake and deleted")
def test_a_deal_won_by_mistake_and_deleted_counts_at_no_instant() -> None:
    company = company_of(opp("a", "2026-02-10", stage="Won"), opp("a", "2026-04-12", "deleted"))

    for as_of in ("2026-03-31", "2026-06-30"):
        assert value(company, "won", "count", as_of, window=Q1) == 0
        assert value(company, "created", "count", as_of, window=Q1) == 0


@pytest.mark.rule("G6")
@pytest.mark.trap("a deleted deal that a late change must not revive")
def test_a_late_change_does_not_revive_a_deleted_deal_but_a_full_statement_does() -> None:
    events = [
        opp("a", "2026-01-10", stage="Proposal"),
        opp("a", "2026-02-10", "deleted"),
        opp("a", "2026-02-11", amount="5"),
    ]
    assert value(company_of(*events), "open", "count", "2026-03-31") == 0

    events.append(opp("a", "2026-02-12", complete=True, stage="Proposal"))
    assert value(company_of(*events), "open", "count", "2026-03-31") == 1


@pytest.mark.rule("G6")
@pytest.mark.trap("a merge")
def test_only_a_restoration_takes_a_merge_back() -> None:
    events = [
        opp("a", "2026-01-10", stage="Proposal"),
        opp("b", "2026-01-10", stage="Proposal"),
        opp("a", "2026-02-10", "merged", into="b"),
        opp("a", "2026-02-12", complete=True, stage="Proposal"),
    ]
    assert value(company_of(*events), "open", "count", "2026-03-31") == 1

    events.append(opp("a", "2026-02-13", "restored"))
    assert value(company_of(*events), "open", "count", "2026-03-31") == 2


@pytest.mark.rule("G10", "F1", "F19")
def test_the_close_date_given_with_the_close_decides_and_closes_at_its_end() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-04-02", stage="Won", close_date="2026-03-31"),
    )

    assert value(company, "open", "count", "2026-03-31T23:00:00Z") == 1
    assert value(company, "open", "count", "2026-03-31") == 0, "start + in - out = end (F1)"
    assert value(company, "won", "count", "2026-03-31", window=Q1) == 1
    assert value(company, "won", "count", "2026-03-31T23:00:00Z", window=Q1) == 0


@pytest.mark.rule("G10", "F18")
def test_an_expected_close_date_is_never_a_close() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", close_date="2026-03-15"),
        opp("a", "2026-04-02", stage="Won"),
    )

    assert value(company, "won", "count", "2026-06-30", window=Q1) == 0
    assert value(company, "won", "count", "2026-06-30", window=Q2) == 1


@pytest.mark.rule("F18")
@pytest.mark.trap("a full statement that repeats an old expected close date")
def test_a_full_statement_that_repeats_an_old_expected_close_date_says_nothing_new() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", close_date="2026-03-15"),
        opp("a", "2026-04-02", stage="Won"),
        opp("a", "2026-04-05", complete=True, stage="Won", close_date="2026-03-15"),
    )

    assert value(company, "won", "count", "2026-06-30", window=Q2) == 1


@pytest.mark.rule("F17", "F18")
def test_a_later_correction_moves_the_close_for_every_as_of() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", close_date="2026-03-15"),
        opp("a", "2026-04-02", stage="Won"),
        opp("a", "2026-04-09", close_date="2026-03-30"),
    )

    assert value(company, "won", "count", "2026-06-30", window=Q1) == 1
    assert value(company, "won", "count", "2026-03-30", window=Q1) == 1
    assert value(company, "won", "count", "2026-03-29", window=Q1) == 0


@pytest.mark.rule("G10")
def test_a_cleared_close_date_gives_the_day_of_the_closing_event_back() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-04-02", stage="Won", close_date="2026-03-30"),
        opp("a", "2026-04-09", close_date=None),
    )

    assert value(company, "won", "count", "2026-06-30", window=Q2) == 1


@pytest.mark.rule("F18")
def test_a_close_date_after_the_closing_event_counts_as_its_day_and_is_flagged() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-03-31", stage="Won", close_date="2026-12-24"),
    )
    assert value(company, "won", "count", "2026-06-30", window=Q1) == 1
    assert value(company, "sales_cycle", "mean", "2026-06-30", window=Q1) == 85 * DAY_MS


@pytest.mark.rule("G2")
@pytest.mark.trap("closed at 23:30 at UTC+8 on the last day of the quarter")
def test_a_deal_closed_at_2330_in_taipei_on_the_last_day_of_the_quarter_belongs_to_it() -> None:
    taipei = meaning(timezone="Asia/Taipei", currency="TWD")
    company = company_of(
        opp("a", "2026-03-01", stage="Proposal"),
        opp("a", "2026-03-31T23:30:00+08:00", stage="Won"),
        opp("b", "2026-03-31T16:30:00Z", stage="Won"),
        meaning=taipei,
    )

    assert value(company, "won", "count", "2026-06-30", window=Q1) == 1
    assert value(company, "won", "count", "2026-06-30", window=Q2) == 1
    assert value(company, "won", "count", "2026-03-31", window="fiscal_quarter") == 1


@pytest.mark.rule("F8", "Further series these need")
def test_the_cycle_is_whole_days_with_a_close_date_else_instant_to_instant() -> None:
    company = company_of(
        opp("a", "2026-01-05T20:00:00Z", stage="Proposal"),
        opp("a", "2026-01-08T08:00:00Z", stage="Won", close_date="2026-01-07"),
        opp("b", "2026-01-05T20:00:00Z", stage="Proposal"),
        opp("b", "2026-01-06T08:00:00Z", stage="Won"),
        opp("c", "2026-01-05", stage="Won", created_at=None),
    )
    found = row(company, "sales_cycle", "mean", "2026-03-31")

    assert found.numerator == 2 * DAY_MS + DAY_MS // 2
    assert found.samples == 2, "a deal of unknown creation has no cycle"


@pytest.mark.rule("F8", "F20")
def test_a_close_before_the_creation_is_kept_as_it_is() -> None:
    company = company_of(
        opp("a", "2026-02-05", stage="Won", close_date="2026-01-20", created_at="2026-02-01")
    )

    assert value(company, "won", "count", "2026-03-31", window="2026-01-20..2026-01-20") == 1
    assert value(company, "sales_cycle", "mean", "2026-03-31") == -12 * DAY_MS
    assert value(company, "won", "count", "2026-01-25", window=Q1) == 1
    assert value(company, "created", "count", "2026-01-25", window=Q1) == 0


@pytest.mark.rule("K5")
def test_an_omitted_deal_is_in_no_ratio_but_was_created() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-01-10", stage="Duplicate"),
        opp("b", "2026-01-05", stage="Won"),
    )

    assert value(company, "win_rate", "closed_count", "2026-03-31") == 1
    assert value(company, "win_rate", "cohort", "2026-03-31") == 1
    assert value(company, "created", "count", "2026-03-31") == 2
    assert value(company, "open", "count", "2026-03-31") == 0


@pytest.mark.rule("K5", "F2")
def test_the_cohort_counts_by_creation_and_its_wins_from_their_instant() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("b", "2026-01-06", stage="Proposal"),
        opp("a", "2026-04-05", stage="Won"),
    )

    assert value(company, "win_rate", "cohort", "2026-03-31", window=Q1) == 0
    assert value(company, "win_rate", "cohort_open", "2026-03-31", window=Q1) == 1
    assert value(company, "win_rate", "cohort", "2026-06-30", window=Q1) == Fraction(1, 2)
    assert value(company, "win_rate", "cohort_open", "2026-06-30", window=Q1) == Fraction(1, 2)


@pytest.mark.rule("G5", "F21", "K3")
def test_creation_counts_for_the_owner_at_creation_and_open_for_the_current_one() -> None:
    company = company_of(
        opp("a", "2026-01-07", owner_id="ann", stage="Proposal", created_at="2026-01-05T12:00:00Z"),
        opp("a", "2026-02-01", owner_id="bob"),
        opp("a", "2026-03-01", owner_id=None),
    )

    assert value(company, "created", "count", "2026-03-31", by="rep", group="ann") == 1
    assert value(company, "open", "count", "2026-02-15", by="rep", group="bob") == 1
    assert value(company, "open", "count", "2026-03-31", by="rep", group="unassigned") == 1


def test_between_creation_and_the_first_statement_the_deal_is_open_as_first_told() -> None:
    company = company_of(
        opp("a", "2026-01-20", owner_id="ann", stage="Proposal", created_at="2026-01-05T12:00:00Z"),
        opp("b", "2026-01-20", owner_id="ann", stage="Won", created_at="2026-01-05T12:00:00Z"),
    )

    assert value(company, "open", "count", "2026-01-10", by="stage", group="Proposal") == 1
    assert value(company, "open", "count", "2026-01-10", by="stage", group="unassigned") == 1
    assert value(company, "open", "count", "2026-01-10", by="rep", group="ann") == 2
    assert value(company, "open", "count", "2026-01-04") == 0
    assert value(company, "win_rate", "cohort", "2026-01-10") == 0


@pytest.mark.rule("G1")
def test_a_stage_move_told_before_the_creation_is_folded_where_it_belongs() -> None:
    moved = opp("a", "2026-02-01", stage="Negotiation")
    created = opp("a", "2026-01-05", stage="Prospecting")

    for events in ([moved, created], [created, moved]):
        company = company_of(*events)
        assert value(company, "open", "count", "2026-01-31", by="stage", group="Prospecting") == 1
        assert value(company, "open", "count", "2026-02-28", by="stage", group="Negotiation") == 1


@pytest.mark.rule("F29")
def test_an_unknown_stage_counts_as_open_without_order_and_never_stalls() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Prospecting"), opp("a", "2026-01-10", stage="Daydreaming")
    )

    assert value(company, "open", "count", "2026-03-31", by="stage", group="Daydreaming") == 1
    assert value(company, "stalled", "count", "2026-12-31") == 0
    assert value(company, "stagnation", "stagnation", "2026-01-20T12:00:00Z") == 15 * DAY_MS


# Stagnation


@pytest.mark.rule("K4")
def test_a_backward_move_an_edit_and_a_new_owner_do_not_reset_stagnation() -> None:
    company = company_of(
        opp("a", "2026-01-01", stage="Proposal"),
        opp("a", "2026-01-05", stage="Prospecting"),
        opp("a", "2026-01-06", owner_id="bob", amount="5"),
        opp("a", "2026-01-07", stage="Proposal"),
    )

    as_of = "2026-01-11T12:00:00Z"
    assert value(company, "stagnation", "stagnation", as_of) == 10 * DAY_MS
    assert value(company, "stagnation", "time_in_stage", as_of) == 4 * DAY_MS


@pytest.mark.rule("K4")
def test_the_time_a_deal_was_closed_before_a_reopening_does_not_count() -> None:
    company = company_of(
        opp("a", "2026-01-01", stage="Proposal"),
        opp("a", "2026-01-05", stage="Won"),
        opp("a", "2026-01-25", stage="Proposal"),
    )

    as_of = "2026-01-31T12:00:00Z"
    assert value(company, "stagnation", "stagnation", as_of) == (4 + 6) * DAY_MS
    assert value(company, "stagnation", "age", as_of) == 30 * DAY_MS


@pytest.mark.rule("K4", "F19")
def test_the_clock_of_stagnation_stands_still_from_the_close_date_not_its_event() -> None:
    company = company_of(
        opp("a", "2026-01-01", stage="Prospecting"),
        opp("a", "2026-01-15", stage="Proposal"),
        opp("a", "2026-01-20", stage="Won", close_date="2026-01-10"),
        opp("a", "2026-01-25", stage="Proposal"),
    )

    assert value(company, "stagnation", "stagnation", "2026-01-31T12:00:00Z") == 6 * DAY_MS


@pytest.mark.rule("F11", "K4")
def test_a_deal_stalls_a_moment_after_its_threshold_and_not_at_it() -> None:
    company = company_of(opp("a", "2026-01-01T15:00:00Z", stage="Proposal"))

    assert value(company, "stalled", "count", "2026-01-15T15:00:00Z") == 0
    assert value(company, "stalled", "count", "2026-01-15T15:00:00.001Z") == 1
    assert value(company, "stalled", "count", "2036-01-15T15:00:00Z") == 1, "as of a future day, too"


@pytest.mark.rule("F29")
def test_another_pipeline_starts_the_moves_anew() -> None:
    two = meaning(pipelines={"default": STAGES, "partner": (Stage(name="Prospecting"), Stage(name="Won"))})
    company = company_of(
        opp("a", "2026-01-01", stage="Negotiation"),
        opp("a", "2026-01-11", stage="Prospecting", pipeline="partner"),
        meaning=two,
    )

    assert value(company, "stagnation", "stagnation", "2026-01-21T12:00:00Z") == 10 * DAY_MS
    found = rows(company, "open", "2026-01-21", by="pipeline,stage")
    assert found[0].by == (("pipeline", "partner"), ("stage", "partner/Prospecting"))


# Money


@pytest.mark.rule("G4")
@pytest.mark.trap("a Saturday's win converted at Friday's rate")
def test_a_saturdays_win_is_converted_at_fridays_rate() -> None:
    company = company_of(
        rate("EUR/USD", "2026-02-06", "1.25"),  # a Friday
        rate("EUR/USD", "2026-02-09", "1.5"),
        opp("a", "2026-02-07", stage="Won", amount="1000.00", currency="EUR"),
    )

    assert value(company, "won", "amount", "2026-03-31") == 1250_00


@pytest.mark.rule("G4")
def test_a_changed_rate_moves_the_deals_of_its_day_and_of_days_without_their_own() -> None:
    deals = [
        opp(f"d{day}", f"2026-02-{day:02d}", stage="Won", amount="100", currency="EUR")
        for day in (5, 6, 7, 8, 9)
    ]
    rates = [rate("EUR/USD", day, "1") for day in ("2026-02-05", "2026-02-06", "2026-02-09")]
    changed = [rates[0], rate("EUR/USD", "2026-02-06", "2"), rates[2]]

    before = company_of(*deals, *rates)
    after = company_of(*deals, *changed)

    moved = [
        value(after, "won", "amount", "2026-03-31", window=f"2026-02-{day:02d}..2026-02-{day:02d}")
        - value(before, "won", "amount", "2026-03-31", window=f"2026-02-{day:02d}..2026-02-{day:02d}")
        for day in (5, 6, 7, 8, 9)
    ]
    assert moved == [0, 100_00, 100_00, 100_00, 0]


@pytest.mark.rule("G4")
def test_without_a_rate_a_deal_is_counted_and_not_priced() -> None:
    company = company_of(
        rate("EUR/USD", "2026-01-01", "1.25"),
        opp("a", "2026-02-07", stage="Won", amount="1000", currency="EUR"),
        opp("b", "2026-02-07", stage="Won", amount="10", currency="USD"),
        opp("c", "2026-02-07", stage="Won"),
        opp("d", "2026-02-07", stage="Proposal", amount="1", currency="JPY"),
    )

    assert value(company, "won", "count", "2026-03-31") == 3
    assert row(company, "won", "amount", "2026-03-31").samples == 1
    assert value(company, "deal_size", "mean", "2026-03-31") == 10_00
    assert value(company, "unpriced_opportunities", "won", "2026-03-31") == 1
    assert value(company, "unpriced_opportunities", "open", "2026-03-31") == 1
    assert value(company, "unpriced_opportunities", "lost", "2026-03-31") == 0


@pytest.mark.rule("G4")
def test_open_deals_are_priced_at_the_as_of_day_and_a_future_one_at_the_newest_rate() -> None:
    company = company_of(
        rate("EUR/USD", "2026-02-01", "1"),
        rate("EUR/USD", "2026-02-03", "2"),
        opp("a", "2026-01-07", stage="Proposal", amount="1", currency="EUR"),
    )

    assert value(company, "open", "amount", "2026-02-02") == 100
    assert value(company, "open", "amount", "2026-02-05") == 200
    assert value(company, "open", "amount", "2026-02-11") == 0, "eight days old"
    assert value(company, "open", "amount", "2026-02-28", now_ms=ms("2026-02-04")) == 200


@pytest.mark.trap("JPY, TWD and KWD")
@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("JPY", "1234.5", 1234), ("TWD", "1234.565", 123456), ("KWD", "1.2345", 1234), ("USD", "-0.005", 0)],
)
def test_an_amount_is_scaled_by_its_currency_half_to_even(currency: str, amount: str, minor: int) -> None:
    company = company_of(
        opp("a", "2026-02-07", stage="Won", amount=amount), meaning=meaning(currency=currency)
    )

    assert value(company, "won", "amount", "2026-03-31") == minor


@pytest.mark.trap("an amount told before its currency")
def test_an_amount_told_before_its_currency_is_scaled_by_it() -> None:
    company = company_of(
        rate("JPY/USD", "2026-03-30", "0.01"),
        opp("a", "2026-02-07", stage="Proposal", amount="1000"),
        opp("a", "2026-02-08", currency="JPY"),
    )

    assert value(company, "open", "amount", "2026-02-07") == 1000_00
    assert value(company, "open", "amount", "2026-03-31") == 10_00


# People and accounts


@pytest.mark.rule("G5")
@pytest.mark.trap("a transfer in mid-quarter")
def test_a_transfer_in_mid_quarter_leaves_what_was_closed_with_the_old_team() -> None:
    events = [
        told("employee", "ann", "2025-01-01", hired_on="2025-01-01", role="sales", team="North"),
        told("employee", "ann", "2026-02-20", team="South", effective_on="2026-02-15"),
        opp("a", "2026-01-05", owner_id="ann", stage="Proposal"),
        opp("a", "2026-02-10", stage="Won"),
        opp("b", "2026-02-16", owner_id="ann", stage="Won"),
    ]
    company = company_of(*events)

    by_team = {each.by[0][1]: each.value for each in rows(company, "won", "2026-03-31", by="team")}
    assert value(company, "won", "count", "2026-03-31", by="team", group="North") == 1
    assert value(company, "won", "count", "2026-03-31", by="team", group="South") == 1
    assert set(by_team) == {"North", "South"}
    today = rows(company, "won", "2026-03-31", by="team", attribution="current")
    assert [(each.by[0][1], each.value) for each in today if each.reading == "count"] == [("South", 2)]


@pytest.mark.rule("F36")
def test_an_owner_known_by_an_alias_is_the_employee() -> None:
    company = company_of(
        told("employee", "e7", "2025-01-01", aliases=("/crm:005A",), team="North"),
        told("employee", "e9", "2025-01-01", aliases=("/crm:005A",), team="South"),
        opp("a", "2026-01-05", owner_id="005A", stage="Proposal"),
        opp("b", "2026-01-05", owner_id="005A", stage="Proposal", source="/other"),
    )
    found = rows(company, "open", "2026-03-31", by="rep,team")

    assert [each.by for each in found if each.reading == "count"] == [
        (("rep", "005A"), ("team", "unassigned")),
        (("rep", "e7"), ("team", "North")),
    ]


@pytest.mark.rule("G6")
def test_an_account_merged_away_is_its_survivor() -> None:
    company = company_of(
        told("account", "x", "2025-01-01", segment="small"),
        told("account", "y", "2025-01-01", segment="large"),
        told("account", "x", "2025-02-01", "merged", into="y"),
        opp("a", "2026-01-05", account_id="x", stage="Proposal"),
    )

    assert value(company, "open", "count", "2026-03-31", by="segment", group="large") == 1


@pytest.mark.rule("G6")
def test_a_cycle_of_merges_is_its_smallest_id() -> None:
    company = company_of(
        told("account", "x", "2025-01-01", segment="small"),
        told("account", "y", "2025-01-01", segment="large"),
        told("account", "z", "2025-01-01", segment="huge"),
        told("account", "z", "2025-02-01", "merged", into="y"),
        told("account", "x", "2025-02-01", "merged", into="y"),
        told("account", "y", "2025-02-01", "merged", into="x"),
        opp("a", "2026-01-05", account_id="z", stage="Proposal"),
    )

    assert value(company, "open", "count", "2026-03-31", by="segment", group="small") == 1

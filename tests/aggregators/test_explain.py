"""Figures taken apart: contributions sum to them, moves tell them apart, stories are told."""

from collections import defaultdict
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.answer import answer, windows
from aggregators.ask import Ask
from aggregators.company import Company
from aggregators.explain import explain, moves, ordered
from aggregators.explain_page import explained, pairs
from aggregators.explain_text import explanation_text
from aggregators.kpi import Sums
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.render import Renderer
from events.errors import UsageError
from events.event import Event
from tests.aggregators import dense
from tests.aggregators.histories import INSTANTS, MEANINGS, histories
from tests.aggregators.lively import lively, some
from tests.aggregators.test_rep_kpis import rep
from tests.aggregators.told import company_of, end_of, opp, rate, told

QUARTER = "2026-01-01..2026-03-31"


def deals() -> Company:
    return company_of(
        rate("EUR/USD", "2026-02-10", "1.1"),
        opp("a", "2026-01-05", name="Acme dolls", stage="Proposal", owner_id="ann"),
        opp("a", "2026-02-10", stage="Won", amount="100.01", currency="EUR"),
        opp("b", "2026-02-20", stage="Won", amount="5", owner_id="bob"),
        opp("c", "2026-02-21", stage="Lost", owner_id="bob"),
        opp("b", "2026-03-31", stage="Proposal"),
    )


@given(st.one_of(st.tuples(MEANINGS, histories(), INSTANTS), dense.asked()))
@settings(max_examples=60)
def test_contributions_sum_to_every_figure_of_every_kpi(asked: tuple[Meaning, list[Event], int]) -> None:
    meaning, events, as_of = asked
    company = Company.from_events(meaning, events)
    for kpi in registry().values():
        by = ("team",) if "team" in kpi.dimensions else ()
        for row in answer(company, Question(kpi.name, as_of, None, by)):
            if kpi.rows and dict(row.by)["part"] != "goal":
                continue  # the figure is another KPI's, and so are its records
            found = explain(company, Question(kpi.name, as_of), row.reading, dict(row.by))
            assert found.row == row
            reading = found.reading
            if reading.compose:
                parts = defaultdict(Sums, found.parts)
                ask = Ask(company, Question(kpi.name, as_of, None, by))
                assert reading.compose(ask, parts).value == row.value
            else:
                sums = found.parts.get("", Sums())
                top = row.value if row.numerator is None else row.numerator
                assert sums.numerator == top
                assert row.denominator in (None, sums.denominator)


def test_an_explanation_has_the_words_the_arithmetic_and_the_records() -> None:
    found = explained(deals(), now_ms=end_of("2026-03-30"), kpi="win_rate", where=["rep=bob"], window=QUARTER)

    assert found["arithmetic"] == "1 / 2 = 0.5 ratio"
    assert found["definition_version"] == 1
    assert "won / (won + lost)" in found["definition"]["en"]
    assert [each["record"] for each in found["records"]["list"]] == ["opportunity/b", "opportunity/c"]


def test_records_are_unrounded_and_sorted_and_paged() -> None:
    found = explained(
        deals(),
        now_ms=end_of("2026-03-30"),
        kpi="won",
        reading="amount",
        window=QUARTER,
        sort="numerator",
        per_page=1,
        page=2,
    )

    assert found["value"] == "115.01", "5 + 110.011, rounded at the very end"
    assert found["exact"]["numerator"] == "115.011"
    assert found["records"]["total"] == 2
    assert [each["numerator"] for each in found["records"]["list"]] == ["110.011"]
    assert found["records"]["list"][0]["name"] == "Acme dolls"


def test_against_another_instant_lists_the_records_that_moved_the_figure() -> None:
    found = explained(
        deals(),
        now_ms=end_of("2026-04-30"),
        kpi="won",
        reading="amount",
        window=QUARTER,
        against="2026-02-15",
    )

    assert (found["against"]["before"]["value"], found["value"]) == ("110.01", "110.01")
    assert found["against"]["moved"] == []
    found = explained(
        deals(),
        now_ms=end_of("2026-04-30"),
        kpi="won",
        reading="amount",
        window=QUARTER,
        against="2026-03-30",
    )
    assert [(each["record"], each["difference"]) for each in found["against"]["moved"]] == [
        ("opportunity/b", "-5")
    ]
    assert "opportunity/b" in explanation_text(found)


def test_against_reported_tells_what_was_recorded_after_the_freeze() -> None:
    late = opp("d", "2026-03-20", stage="Won", amount="7")
    late = Event(
        **{name: getattr(late, name) for name in late.__slots__} | {"recorded_ms": end_of("2026-05-01")}
    )
    company = company_of(opp("a", "2026-02-10", stage="Won", amount="5"), late)

    found = explained(company, now_ms=end_of("2026-06-30"), kpi="won", window=QUARTER, against="reported")

    assert (found["against"]["before"]["value"], found["value"]) == (1, 2)
    assert found["against"]["before"]["as_of"].startswith("2026-03-31T23:59:59.999")
    with pytest.raises(UsageError, match="only months, fiscal quarters and fiscal years"):
        explained(company, now_ms=end_of("2026-06-30"), kpi="won", window="week", against="reported")
    with pytest.raises(UsageError, match="not frozen before the end of 2026-04-06"):
        explained(company, now_ms=end_of("2026-04-05"), kpi="won", window=QUARTER, against="reported")


def goals() -> Company:
    return company_of(
        rate("EUR/USD", "2026-03-31", "1.5"),
        rep("ann", manager_id="bea"),
        told("target", "company/2026-Q1/won/amount", "2025-12-01", value="90", currency="EUR"),
        told("target", "company/2026-Q2/won/amount", "2025-12-01", value="91"),
        told("target", "company/2026/win_rate/closed_count", "2025-12-01", value="0.6"),
        told("target", "rep:ann/2026/sales_cycle/mean", "2025-12-01", value="86400"),
        told("target", "rep:bea/2026-Q1/won/count", "2025-12-01", value="3"),
        opp("a", "2026-02-10", stage="Won", amount="5"),
    )


def test_a_goal_is_taken_apart_into_the_events_that_state_it_with_their_days() -> None:
    now_ms = end_of("2026-03-31")
    found = explained(goals(), now_ms=now_ms, kpi="goal", where=["kpi=won"], window="2026-02-01..2026-04-30")

    # Two of three months of the quarter's 90 EUR, and one of the 91 USD of the next.
    assert (found["value"], found["unit"], found["by"]) == ("118.50", "USD", {"kpi": "won", "part": "goal"})
    assert [
        (each["record"], each["numerator"], each["note"], each["on"]) for each in found["records"]["list"]
    ] == [
        ("target/company/2026-Q1/won/amount", "88.5", "59 of 90 days of 90 EUR", "2026-02-01"),
        ("target/company/2026-Q2/won/amount", "30", "30 of 91 days of 91 USD", "2026-04-01"),
    ]
    assert found["arithmetic"] == "sum of 2 records = 118.50 USD"
    assert "each for its days" in found["reading_definition"]
    assert "59 of 90 days" in explanation_text(found)

    found = explained(goals(), now_ms=now_ms, kpi="goal", where=["kpi=sales_cycle", "rep=ann"])
    assert (found["value"], found["reading"], found["unit"]) == (86400, "mean", "seconds")
    assert "shortest period" in found["reading_definition"]
    found = explained(goals(), now_ms=now_ms, kpi="goal", reading="count", where=["manager=bea"])
    assert found["value"] == 3


def test_a_goal_that_is_not_told_from_others_is_refused_with_the_names_of_those_there_are() -> None:
    def refusal(*where: str, **asked: Any) -> str:
        with pytest.raises(UsageError) as refused:
            explained(goals(), now_ms=end_of("2026-03-31"), kpi="goal", where=where, **asked)
        return str(refused.value)

    several = refusal()
    assert "2 figures of goal fit; there are" in several
    assert "--reading amount --where kpi=won --where part=goal" in several
    assert "--reading closed_count --where kpi=win_rate --where part=goal" in several
    for_the_figure = refusal("kpi=won", "part=figure")
    assert "no figure of goal fits" in for_the_figure
    assert "explained as its own KPI" in for_the_figure
    assert "none is stated" in refusal("team=North")


def test_a_goals_story_says_where_it_counts() -> None:
    def counts(entity: str, window: str | None = None) -> list[tuple[Any, ...]]:
        found = explained(goals(), now_ms=end_of("2026-03-31"), entity=entity, window=window)
        return [
            (each["kpi"], each["reading"], each["by"], each["numerator"], each["note"])
            for each in found["counts"]
        ]

    assert counts("target/company/2026-Q1/won/amount", "month") == [
        ("goal", "amount", {"kpi": "won", "part": "goal"}, "46.5", "31 of 90 days of 90 EUR")
    ]
    assert counts("target/rep:bea/2026-Q1/won/count") == [
        ("goal", "count", {"rep": "bea", "kpi": "won", "part": "goal"}, "3", "stated: 3"),
        ("goal", "count", {"manager": "bea", "kpi": "won", "part": "goal"}, "3", "stated: 3"),
    ]
    assert counts("target/company/2026-Q2/won/amount", "fiscal_quarter") == []
    (next_one,) = explained(goals(), now_ms=end_of("2026-03-31"), entity="target/company/2026-Q2/won/amount")[
        "counts"
    ]
    assert (next_one["start"], next_one["end"], next_one["numerator"]) == ("2026-04-01", "2026-06-30", "91")


def test_a_goal_was_never_reported() -> None:
    with pytest.raises(UsageError, match="goal is never frozen"):
        explained(goals(), now_ms=end_of("2026-06-30"), kpi="goal", where=["kpi=won"], against="reported")


def test_a_contract_is_called_by_its_account() -> None:
    company = company_of(
        told("account", "acme", "2026-01-01", name="Acme dolls"),
        told("contract", "c1", "2026-01-01", account_id="acme", start_date="2026-01-01"),
        told("contract", "c2", "2026-01-01", start_date="2026-01-01"),
    )

    found = explained(company, now_ms=end_of("2026-03-31"), kpi="acv", sort="record")
    assert [(each["record"], each["name"]) for each in found["records"]["list"]] == [
        ("contract/c1", "Acme dolls"),
        ("contract/c2", None),
    ]


def test_moves_are_the_difference_of_the_figures() -> None:
    company = deals()
    now = explain(company, Question("won", end_of("2026-04-30"), QUARTER), "amount")
    then = explain(company, Question("won", end_of("2026-03-30"), QUARTER), "amount")

    difference = sum(Fraction(move.difference) for move in moves(then, now))
    assert difference == Fraction(now.row.value or 0) - Fraction(then.row.value or 0)


def test_records_sort_by_day_with_undated_ones_first() -> None:
    found = explain(deals(), Question("won", end_of("2026-03-30"), QUARTER)).contributions

    assert [each.record for each in ordered(found, "-on")] == ["opportunity/b", "opportunity/a"]
    with pytest.raises(UsageError, match="numerator, denominator, on, record"):
        ordered(found, "size")


def test_a_story_has_the_history_as_folded_and_where_the_record_counts() -> None:
    company = company_of(
        told("account", "acme", "2026-01-01", name="Acme"),
        opp("a", "2026-02-10", stage="Won", amount="5", account_id="acme"),
        opp("a", "2026-01-05", stage="Proposal", created_at="2026-01-05"),
    )
    found = explained(company, now_ms=end_of("2026-03-31"), entity="a")

    assert [event["states"]["stage"] for event in found["history"]] == ["Proposal", "Won"]
    counts = {(each["kpi"], each["reading"]): each["numerator"] for each in found["counts"]}
    assert counts["won", "amount"] == "5"
    assert counts["win_rate", "closed_count"] == "1"
    assert ("open", "count") not in counts
    assert "2026-02-10T12:00:00.000+00:00  changed" in explanation_text(found)
    with pytest.raises(UsageError, match="nothing was ever told of 'b'"):
        explained(company, now_ms=0, entity="b")


def test_a_story_tells_the_windows_in_which_a_record_counted_however_long_ago() -> None:
    company = company_of(
        opp("a", "2025-01-10", stage="Proposal", owner_id="ann", amount="5", close_date="2025-06-30"),
        opp("a", "2025-02-20", stage="Won"),
        opp("b", "2025-05-20", stage="Proposal"),
    )
    found = explained(company, now_ms=end_of("2026-11-26"), entity="a")

    counts = {(each["kpi"], each["reading"], each["start"], each["end"]) for each in found["counts"]}
    first = ("2025-01-01", "2025-03-31")
    assert {("won", "amount", *first), ("created", "count", *first), ("win_rate", "cohort", *first)} <= counts
    assert not any(kpi == "won" and start != first[0] for kpi, _, start, _ in counts)
    assert "fiscal_quarter 2025-01-01..2025-03-31" in explanation_text(found)
    asked = explained(company, now_ms=end_of("2026-11-26"), entity="a", window="fiscal_quarter")
    assert "won" not in {each["kpi"] for each in asked["counts"]}, (
        "the window that was asked for, and no other"
    )


def test_a_story_tells_the_trailing_windows_in_which_a_person_or_customer_left() -> None:
    company = company_of(
        told("employee", "ann", "2020-01-01", hired_on="2020-01-01", role="sales"),
        told("employee", "ann", "2023-05-10", left_on="2023-05-10"),
        told("account", "acme", "2019-01-01", name="Acme"),
        told(
            "contract",
            "c1",
            "2022-01-01",
            account_id="acme",
            start_date="2022-01-01",
            end_date="2023-12-31",
            recurring_amount="120",
            recurring_per="year",
        ),
        told("target", "rep:ann/2022", "2022-01-01", amount="400", currency="USD"),
    )

    def counts(entity: str, *figure: str) -> dict[str, str]:
        found = explained(company, now_ms=end_of("2026-11-26"), entity=entity)["counts"]
        return {each["end"]: each["numerator"] for each in found if (each["kpi"], each["reading"]) == figure}

    assert counts("employee/ann", "rep_retention", "trailing")["2023-06-30"] == "0"
    assert counts("account/acme", "churn", "logo")["2024-03-31"] == "1"
    assert counts("account/acme", "customer_retention", "logo")["2023-12-31"] == "1"
    assert sorted(end for end in counts("target/rep:ann/2022", "target", "amount")) == [
        "2022-03-31",
        "2022-06-30",
        "2022-09-30",
        "2022-12-31",
    ]


@given(st.one_of(st.tuples(MEANINGS, histories(), INSTANTS), dense.asked()))
@settings(max_examples=30)
def test_a_story_adds_up_to_what_every_figure_has_of_the_record(
    asked: tuple[Meaning, list[Event], int],
) -> None:
    _, events, _ = asked
    stories_add_up(asked, sorted({(each.entity, each.subject) for each in events}))


@given(st.integers(0, 10**9), st.randoms(use_true_random=False))
@some(0.1)
def test_a_story_adds_up_where_a_lot_happens(seed: int, random: Random) -> None:
    asked = lively(seed)
    told_of = sorted({(each.entity, each.subject) for each in asked[1]})
    stories_add_up(asked, random.sample(told_of, min(15, len(told_of))))


def stories_add_up(asked: tuple[Meaning, list[Event], int], records: list[tuple[str, str]]) -> None:
    """What the stories of some records say, and after it every figure, is what whole figures are made of."""
    meaning, events, as_of = asked
    company, again = Company.from_events(meaning, events), Company.from_events(meaning, events)
    render = Renderer(meaning)
    listed: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for kpi in registry().values():
        ask = Ask(again, Question(kpi.name, as_of, "fiscal_quarter", now_ms=as_of))
        for reading in kpi.readings:
            (_, span) = windows(ask, kpi, reading)[-1]
            for each in reading.contributions(ask, span):
                top = render.unrounded(each.numerator, reading.units_of(each.part)[0])
                listed[each.record].append((kpi.name, reading.name, each.part, top, each.note))
    for kind, subject in records:
        record = f"{kind}/{subject}"
        found = explained(company, now_ms=as_of, entity=record, window="fiscal_quarter")["counts"]
        names = ("kpi", "reading", "part", "numerator", "note")
        own = (each for each in found if not registry()[each["kpi"]].rows)  # goals have a test of their own
        counts = [tuple(each.get(name, "") for name in names) for each in own]
        assert sorted(counts) == sorted(listed[record]), record
    for name in registry():
        question = Question(name, as_of, now_ms=as_of)
        assert answer(company, question) == answer(again, question), "a story leaves nothing behind"


def test_of_two_referrals_of_a_pair_the_second_ones_story_has_none() -> None:
    company = company_of(
        told("account", "old", "2025-01-01", owner_id="ann"),
        told(
            "contract", "c1", "2025-01-01", account_id="old", start_date="2025-01-01", end_date="2026-12-31"
        ),
        opp("a", "2026-02-01", stage="Proposal", account_id="new", referred_by="old", owner_id="bob"),
        opp("b", "2026-02-02", stage="Proposal", account_id="new", referred_by="old", owner_id="bob"),
    )

    def figures(entity: str) -> set[str]:
        found = explained(company, now_ms=end_of("2026-03-31"), entity=entity)["counts"]
        return {each["kpi"] for each in found}

    assert "referrals" in figures("a")
    assert "referrals" not in figures("b")


def test_a_story_has_each_part_in_its_own_unit() -> None:
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal", owner_id="ann"),
        opp("a", "2026-02-10", stage="Won", amount="100.01"),
    )
    found = explained(company, now_ms=end_of("2026-03-31"), entity="a")["counts"]
    parts = {each["part"]: each["numerator"] for each in found if each["kpi"] == "velocity"}

    assert parts["deal size"] == "100.01"
    assert parts["sales cycle"] == str(36 * 86_400)


@given(st.one_of(st.tuples(MEANINGS, histories(), INSTANTS), dense.asked()))
@settings(max_examples=30)
def test_exact_figures_are_the_shown_ones_before_rounding(asked: tuple[Meaning, list[Event], int]) -> None:
    meaning, events, as_of = asked
    company = Company.from_events(meaning, events)
    for kpi in registry().values():
        for row in answer(company, Question(kpi.name, as_of)):
            if kpi.rows or kpi.partition:
                continue  # goals have no records; bars are rounded together (test_bars)
            found = explained(company, now_ms=as_of, kpi=kpi.name, reading=row.reading)
            exact, over = found["exact"], found["numerator"] is not None
            shown = found["numerator" if over else "value"]
            assert is_rounded(exact["numerator"], shown), (kpi.name, row.reading)
            assert is_rounded(exact["denominator"], found["denominator"]), (kpi.name, row.reading)


def is_rounded(exact: str | None, shown: str | float | None) -> bool:
    """Whether a shown number is the exact one, up to half of its last digit."""
    if exact is None or shown is None:
        return exact is shown
    digits = len(str(shown).partition(".")[2]) if isinstance(shown, str) else 9
    return abs(Fraction(exact) - Fraction(str(shown))) <= Fraction(1, 2 * 10**digits)


def test_the_exact_velocity_is_per_second_too() -> None:
    company = company_of(
        opp("a", "2026-01-01T00:00:00Z", stage="Proposal"),
        opp("b", "2026-01-01T00:00:00Z", stage="Proposal"),
        opp("b", "2026-01-01T00:01:40Z", stage="Won", amount="150"),
    )
    found = explained(company, now_ms=end_of("2026-01-02"), kpi="velocity")

    assert found["value"] == "1.500000000000", "one open deal x 100 % x 150 USD / 100 s"
    assert found["exact"]["numerator"] == "1.5"


def test_a_label_with_a_comma_is_one_label() -> None:
    assert pairs(["region=Korea, Republic of"]) == ("region=Korea, Republic of",)
    assert pairs(["region=Korea, Republic of", "team=North"]) == ("region=Korea, Republic of", "team=North")
    assert pairs(["region=Korea, Republic of,team=North"]) == ("region=Korea, Republic of", "team=North")
    assert pairs(["rep=ann,band=0_30d"]) == ("rep=ann", "band=0_30d")
    assert pairs(["team=a,b=c"]) == ("team=a,b=c",), "b is no dimension"
    assert pairs([""]) == pairs([]) == ()


def test_a_wrong_reading_or_group_is_an_error_that_says_what_there_is() -> None:
    company = deals()
    for wrong, said in (
        ({"kpi": "won", "reading": "sum"}, "count, amount"),
        ({"kpi": "won", "where": ["stage=Won"]}, "cannot be split by 'stage'"),
        ({"kpi": "won", "where": ["ann"]}, "rep=ann"),
        ({"kpi": "contracts_expiring"}, "always split by band"),
    ):
        with pytest.raises(UsageError, match=said):
            explained(company, now_ms=end_of("2026-03-31"), **wrong)

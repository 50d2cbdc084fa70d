"""Families counted from records add up with the answers of the exact road, over an invented company."""

from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from aggregators.answer import answer
from aggregators.calendar import Calendar
from aggregators.company import Company
from aggregators.meaning import Meaning
from aggregators.people import People
from aggregators.question import Question, Row, Window
from aggregators.tables.deals import DealTable
from events.instants import time_ns
from events.reader import read
from events.simulator import SAULS_DOLLS, Simulation
from exporters.counted import Counted
from exporters.figures import Asked, Series
from exporters.names import FAMILIES
from tests.integration.traffic import envelope

NOW_MS = time_ns("2026-05-20T12:00:00+08:00") // 1_000_000


class ExactEvaluator:
    """What an exporter's evaluator gives, from events without any shard."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.people = People(company)
        self.snapshot = SimpleNamespace(deals=DealTable())

    def answer(self, question: Question) -> list[Row]:
        return answer(self.company, question)

    def figures(self, question: Question, reading: str) -> dict[Window, dict[tuple[str, ...], Row]]:
        found: dict[Window, dict[tuple[str, ...], Row]] = defaultdict(dict)
        for row in self.answer(question):
            if row.reading == reading:
                found[row.window][tuple(label for _, label in row.by)] = row
        return found


@pytest.fixture(scope="module")
def evaluator() -> ExactEvaluator:
    simulation = Simulation(SAULS_DOLLS, seed=3, reps=12, quarters=6, end_ms=NOW_MS, mess=False, poison=False)
    company = Company(Meaning())
    for record in simulation.history():
        company.fold(read(record.value, record.topic))
    return ExactEvaluator(company)


def families(evaluator: ExactEvaluator, kpi: str) -> Mapping[str, Series]:
    today = Calendar(evaluator.company.meaning.company).day(NOW_MS)
    people = evaluator.people
    teams = sorted({team for one in people.employees if (team := people.team(one, today))})
    return Counted(evaluator.company.meaning).families(kpi, Asked(evaluator, NOW_MS), teams)  # type: ignore[arg-type]  # a stand-in with all that is read


def rows(evaluator: ExactEvaluator, kpi: str, reading: str, window: str) -> dict[str, Row]:
    question = Question(kpi, NOW_MS, window, ("team",), now_ms=NOW_MS)
    return {row.by[0][1]: row for row in evaluator.answer(question) if row.reading == reading}


@pytest.mark.parametrize(
    "kpi", ["rep_retention", "ramping_reps", "customer_retention", "coverage", "goal", "waterfall"]
)
def test_every_series_is_a_cell_of_its_family(evaluator: ExactEvaluator, kpi: str) -> None:
    for name, series in families(evaluator, kpi).items():
        one = FAMILIES[name]
        for labels in series:
            named = dict(zip(one.labels, labels, strict=True))
            assert {label: named[label] for label in one.cells[0]} in one.cells


def test_those_who_departed_are_those_who_were_not_retained(evaluator: ExactEvaluator) -> None:
    found = families(evaluator, "rep_retention")
    departed: defaultdict[str, float] = defaultdict(float)
    for (team, _, _), count in found["dealpulse_reps_departed"].items():
        departed[team] += count
    retained = rows(evaluator, "rep_retention", "trailing", "trailing_12m")
    assert sum(departed.values()) > 0
    for team, row in retained.items():
        assert departed[team] == (row.denominator or 0) - (row.numerator or 0)
    now = sum(found["dealpulse_reps_active"].values())
    at_start = sum(int(row.denominator or 0) for row in retained.values())
    hired = sum(found["dealpulse_reps_hired"].values())
    gone_again = hired + at_start - sum(departed.values()) - now
    assert 0 <= gone_again <= hired


def test_start_and_changes_are_what_revenue_retention_divides(evaluator: ExactEvaluator) -> None:
    changes = families(evaluator, "customer_retention")["dealpulse_recurring_change_amount"]
    minor = 100
    gross, net = (rows(evaluator, "customer_retention", name, "trailing_12m") for name in ("grr", "nrr"))
    assert any(changes.values())
    for team, row in gross.items():
        part = {
            name: changes.get((team, name, "trailing_12m", "USD"), 0.0)
            for name in ("expansion", "contraction", "churn")
        }
        assert part["expansion"] >= 0 >= max(part["contraction"], part["churn"])
        start = float(row.denominator or 0) / minor
        kept = start + part["contraction"] + part["churn"]
        assert kept == pytest.approx(float(row.numerator or 0) / minor)
        assert kept + part["expansion"] == pytest.approx(float(net[team].numerator or 0) / minor)


def test_a_gap_is_what_is_missing_to_the_target_and_never_negative(evaluator: ExactEvaluator) -> None:
    gaps = families(evaluator, "coverage")["dealpulse_target_gap_amount"]
    target = rows(evaluator, "target", "amount", "fiscal_quarter")
    won = rows(evaluator, "won", "amount", "fiscal_quarter")
    assert target
    for team, row in target.items():
        missing = (row.value or 0) - (won[team].value or 0 if team in won else 0)
        assert gaps[team, "quarter_to_date", "USD"] == pytest.approx(max(0.0, float(missing) / 100))


def test_a_goal_is_the_stated_one_in_base_units(evaluator: ExactEvaluator) -> None:
    for number, (subject, value) in enumerate(
        [
            ("company/2026-Q2/win_rate/closed_count", "0.6"),
            ("company/2026-Q2/sales_cycle/mean", "4000000"),
            ("company/2026/won/amount", "1200000"),
            ("team:Taipei/2026-Q2/won/count", "30"),
        ]
    ):
        stated_at = "2026-05-19T00:00:00Z"
        message = envelope("target", "changed", subject, number, {"value": value}, time=stated_at)
        evaluator.company.fold(read(message, "sales.target"))
    found = families(evaluator, "goal")["dealpulse_kpi_goal"]
    assert found["", "win_rate", "closed_count", "", "quarter_to_date"] == 0.6
    assert found["", "sales_cycle", "mean", "", "quarter_to_date"] == 4_000_000
    assert found["", "won", "amount", "USD", "year_to_date"] == 1_200_000
    assert found["", "won", "amount", "USD", "quarter_to_date"] == pytest.approx(1_200_000 * 91 / 365)
    assert found["Taipei", "won", "count", "", "quarter_to_date"] == 30
    answered = {
        (dict(row.by)["kpi"], row.reading): row.value
        for row in evaluator.answer(Question("goal", NOW_MS, "fiscal_quarter", (), now_ms=NOW_MS))
        if dict(row.by)["part"] == "goal"
    }
    assert float(answered["sales_cycle", "mean"] or 0) == 4_000_000 * 1000


def test_the_first_contact_agrees_with_the_answer(evaluator: ExactEvaluator) -> None:
    found = families(evaluator, "ramping_reps")
    for team, row in rows(evaluator, "ramping_reps", "count", "trailing_12m").items():
        key = (team, "first_contact", "trailing_12m")
        assert found["dealpulse_ramping_reps"].get(key, 0.0) == float(row.value or 0)

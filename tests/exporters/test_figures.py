"""The KPI families of an invented company: complete, equal to the answers, adding up, and robust."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pytest

from aggregators.calendar import Calendar
from aggregators.kpis import find_kpi
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from events.log import captured
from exporters.evaluate import Evaluator
from exporters.family import Family
from exporters.figures import Asked, Series
from exporters.metrics import KpiMetrics
from exporters.names import KPI_FAMILIES
from exporters.settings import ExporterSettings
from tests.exporters.stand import Stand, dolls, instant, record

NOW_MS = instant("2026-05-20T12:00:00+08:00")
ALL = ExporterSettings(
    rep_names=True, native_money=True, extra_windows=("trailing_90d",), series_limit=1_000_000
)
NO_TARGET_THERE = {"dealpulse_rep_kpi_goal", "dealpulse_rep_target_pace_amount"}
ONE_PART = {"dealpulse_waterfall_start_amount": "start", "dealpulse_waterfall_end_amount": "end"}
OF_TARGETS = ("target", "pace", "attainment", "coverage", "needed")
"""What a target says of a team is its own statement: teams need not come to the company."""


@pytest.fixture(scope="module")
def stand() -> Stand:
    return dolls(Meaning(), NOW_MS, reps=10, quarters=6)


def evaluated(stand: Stand, settings: ExporterSettings = ALL, now_ms: int = NOW_MS) -> dict[str, Series]:
    metrics = KpiMetrics(stand.meaning, settings, stand.snapshot)
    families, failed = metrics.slow_families(metrics.slow_due(now_ms), now_ms)
    assert not failed
    metrics.keep(families, failed)
    return metrics.evaluate(now_ms)


@pytest.fixture(scope="module")
def found(stand: Stand) -> dict[str, Series]:
    return evaluated(stand)


def named(family: Family, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(family.labels, labels, strict=True))


def total(family: Family, series: Series, cell: Mapping[str, str]) -> float:
    return sum(value for labels, value in series.items() if cell.items() <= named(family, labels).items())


def shown() -> Iterator[Family]:
    return (one for one in KPI_FAMILIES.values() if not one.name.startswith("dealpulse_reported_"))


def test_every_family_of_the_registry_is_there(found: dict[str, Series]) -> None:
    missing = {family.name for family in shown() if not found.get(family.name)}
    assert missing <= NO_TARGET_THERE


def test_they_come_in_the_order_of_the_registry(found: dict[str, Series]) -> None:
    order = [name for name in KPI_FAMILIES if name in found]
    assert list(found) == order


def test_every_series_stands_in_a_cell_of_its_family(found: dict[str, Series]) -> None:
    for name, series in found.items():
        family = KPI_FAMILIES[name]
        for labels in series:
            cell = {label: text for label, text in named(family, labels).items() if label in family.cells[0]}
            if cell.get("window") != "trailing_90d":
                assert cell in family.cells, name


def test_every_additive_family_comes_to_the_company_wide_answer(
    stand: Stand, found: dict[str, Series]
) -> None:
    asked, calendar = Asked(Evaluator(stand.snapshot), NOW_MS), Calendar(stand.meaning.company)
    minor, checked = 100, 0
    for family in shown():
        for cell in family.cells:
            answer = family.answer(cell)
            if answer is None or family.opt_in or find_kpi(answer.kpi).name in OF_TARGETS:
                continue
            reading = find_kpi(answer.kpi).reading(answer.reading)
            if answer.part == "value" and (reading.parts or reading.compose):
                continue
            by = ("kind",) if "contract_type" in cell else ()
            only = [cell[label] for label in ("contract_type", "change", "band") if label in cell]
            only += [ONE_PART[family.name]] if family.name in ONE_PART else []
            rows = asked.pairs(answer, by, cell.get("window", "now"), calendar)
            numbers = [getattr(row, answer.part) for labels, row in rows if list(labels) == only]
            units = reading.parts or (reading.unit, reading.unit)
            unit = {"value": reading.unit, "numerator": units[0], "denominator": units[1]}.get(answer.part)
            divisor = {"money": minor, "seconds": 1000}.get(str(unit), 1)
            wanted = float(Fraction(sum(numbers)) / divisor)
            assert total(family, found[family.name], cell) == pytest.approx(wanted, abs=0.01 * 40), (
                family.name,
                cell,
            )
            checked += 1
    assert checked > 120


def test_samples_are_there_without_any_and_ratios_are_not(found: dict[str, Series]) -> None:
    without = 0
    for name, series in found.items():
        samples = found.get(name.replace("_ratio", "_samples").replace("_average_seconds", "_samples"))
        if samples is None or not name.endswith(("_ratio", "_average_seconds")):
            continue
        for labels in series:
            assert samples[labels] > 0, name
        without += sum(count == 0 and labels not in series for labels, count in samples.items())
    assert without > 0


def test_the_waterfall_closes_for_every_team(found: dict[str, Series]) -> None:
    left: dict[str, float] = defaultdict(float)
    for (team, _, _), amount in found["dealpulse_waterfall_start_amount"].items():
        left[team] += amount
    for (team, *_), amount in found["dealpulse_waterfall_change_amount"].items():
        left[team] += amount
    ends = {team: amount for (team, _, _), amount in found["dealpulse_waterfall_end_amount"].items()}
    assert any(ends.values())
    assert {team: round(total * 100) for team, total in left.items()} == {
        team: round(ends[team] * 100) for team in left
    }


def test_the_bars_shown_close_to_the_last_cent_where_rates_leave_fractions() -> None:
    stand = Stand(Meaning())
    deal = {"stage": "Proposal", "amount": 100.05, "currency": "EUR", "close_date": "2026-06-01"}
    stand.take(
        [
            record("fx_rate", "EUR/USD/2026-03-31", "2026-03-31T00:00:00Z", rate=1.1),
            record("fx_rate", "EUR/USD/2026-05-20", "2026-05-20T00:00:00Z", rate=1.3),
            record("opportunity", "a", "2026-03-01T00:00:00Z", created_at="2026-03-01T00:00:00Z", **deal),
        ],
        at_ms=NOW_MS,
    )
    metrics = KpiMetrics(stand.meaning, ALL, stand.snapshot)
    found, _ = metrics.slow_families(["waterfall"], NOW_MS)
    families = found["waterfall"]
    (start,), (end,) = (
        [round(amount * 100) for amount in families[f"dealpulse_waterfall_{part}_amount"].values()]
        for part in ("start", "end")
    )
    changes = [round(amount * 100) for amount in families["dealpulse_waterfall_change_amount"].values()]

    assert (start, end) == (110_06, 130_06), "each half to even: 110.055 and 130.065"
    assert max(changes) == 20_00
    assert start + sum(changes) == end


def test_cohorts_add_up_to_what_was_created(found: dict[str, Series]) -> None:
    created = found["dealpulse_opportunities_created"]
    cohorts: dict[tuple[str, str], float] = defaultdict(float)
    for (team, _, window), count in found["dealpulse_cohort_opportunities"].items():
        cohorts[team, window] += count
    for (team, window), count in cohorts.items():
        if window != "previous_month":
            assert count == created[team, window]


def test_teams_of_today_have_their_zeros(stand: Stand) -> None:
    new = Stand(stand.meaning)
    at = "2026-05-01T09:00:00+08:00"
    hired = {"name": "Ann", "role": "sales", "team": "Nord", "hired_on": "2026-05-01"}
    new.take([record("employee", "ann", at, **hired)], at_ms=NOW_MS)
    found = evaluated(new)
    assert found["dealpulse_opportunities_won"]["Nord", "day"] == 0
    assert found["dealpulse_open_opportunities"]["Nord", "Prospecting"] == 0
    assert found["dealpulse_rep_opportunities_won"]["ann", "Nord", "quarter_to_date"] == 0
    assert found["dealpulse_win_samples"]["Nord", "closed_count", "trailing_12m"] == 0
    assert not found["dealpulse_win_ratio"]
    assert found["dealpulse_rep_opportunities_created_recent"]["ann", "Nord"] == 0
    assert not found["dealpulse_target_pace_amount"]
    assert found["dealpulse_rep_info"] == {("ann", "Nord", "Ann"): 1.0}


def test_a_team_called_unassigned_is_counted_with_those_without_one(stand: Stand) -> None:
    odd = Stand(stand.meaning)
    at = "2026-05-01T09:00:00+08:00"
    deal = {"stage": "Prospecting", "amount": "100.00", "currency": "USD"}
    odd.take(
        [
            record("employee", "ann", at, name="Ann", role="sales", team="unassigned", hired_on="2026-05-01"),
            record("opportunity", "o1", at, owner_id="ann", **deal),
            record("opportunity", "o2", at, **deal),
            record("opportunity", "o3", at, owner_id='q"\\\n', **deal),
        ],
        at_ms=NOW_MS,
    )
    found = evaluated(odd)
    assert found["dealpulse_open_opportunities"]["unassigned", "Prospecting"] == 3
    by_rep = {labels: count for labels, count in found["dealpulse_rep_open_opportunities"].items() if count}
    assert by_rep == {
        ("ann", "unassigned", "Prospecting"): 1,
        ("unassigned", "unassigned", "Prospecting"): 1,
        ('q"\\\n', "unassigned", "Prospecting"): 1,
    }


def test_native_money_is_in_the_currency_of_the_record(stand: Stand) -> None:
    native = Stand(stand.meaning)
    at = "2026-05-01T09:00:00+08:00"
    native.take(
        [
            record("opportunity", "a", at, stage="Prospecting", amount="100.50", currency="EUR"),
            record("opportunity", "b", at, stage="Prospecting", amount="7000", currency="JPY"),
            record("opportunity", "c", at, stage="Prospecting", amount="1.25", currency="EUR"),
            record("opportunity", "d", at, stage="Prospecting"),
            record(
                "opportunity",
                "e",
                at,
                stage="Closed Won",
                amount="9.00",
                currency="EUR",
                close_date="2026-05-01",
            ),
        ],
        at_ms=NOW_MS,
    )
    found = evaluated(native)
    assert found["dealpulse_native_open_amount"] == {
        ("unassigned", "EUR"): 101.75,
        ("unassigned", "JPY"): 7000.0,
    }
    assert found["dealpulse_native_won_amount"]["unassigned", "quarter_to_date", "EUR"] == 9.0
    assert found["dealpulse_unpriced_opportunities"]["unassigned", "open", "now"] == 3


def test_opt_in_families_stay_out_unless_asked_for(stand: Stand) -> None:
    found = evaluated(stand, ExporterSettings(rep_series=False))
    assert not [name for name in found if name.startswith("dealpulse_rep_") or "native" in name]
    windows = {labels[-1] for labels in found["dealpulse_opportunities_won"]}
    assert "trailing_90d" not in windows


def test_an_extra_window_is_answered_like_any_other(stand: Stand, found: dict[str, Series]) -> None:
    question = Question("won", NOW_MS, "trailing_90d", now_ms=NOW_MS)
    won = next(row for row in Evaluator(stand.snapshot).answer(question) if row.reading == "count")
    family = KPI_FAMILIES["dealpulse_opportunities_won"]
    assert total(family, found[family.name], {"window": "trailing_90d"}) == won.value
    for stem in ("referrals", "ramping_reps", "recurring_change_amount", "cohort_opportunities"):
        name = f"dealpulse_{stem}"
        windows = {named(KPI_FAMILIES[name], labels)["window"] for labels in found[name]}
        assert "trailing_90d" in windows, name


def test_one_kpi_that_fails_leaves_out_its_own_families_and_one_line(
    stand: Stand, found: dict[str, Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, figures = Evaluator.answer, Evaluator.figures

    def failing(self: Evaluator, question: Question) -> list[Row]:
        if question.kpi == "referrals":
            raise ZeroDivisionError("a plug-in's mistake")
        return answer(self, question)

    def failing_too(self: Evaluator, question: Question, reading: str) -> Any:
        if question.kpi == "won":
            raise ZeroDivisionError("another one")
        return figures(self, question, reading)

    monkeypatch.setattr(Evaluator, "answer", failing)
    monkeypatch.setattr(Evaluator, "figures", failing_too)
    metrics = KpiMetrics(stand.meaning, ALL, stand.snapshot)
    families, failed = metrics.slow_families(metrics.slow_due(NOW_MS), NOW_MS)
    metrics.keep(families, failed)
    with captured() as lines:
        metrics.evaluate(NOW_MS)
        left = metrics.evaluate(NOW_MS)
    assert list(failed) == ["referrals"]
    assert [line["kpi"] for line in lines if line["event"] == "figures.failed"] == ["won"]
    gone = {name for name in found if name not in left}
    assert gone == {
        "dealpulse_opportunities_won",
        "dealpulse_rep_opportunities_won",
        "dealpulse_won_amount",
        "dealpulse_rep_won_amount",
        *(
            f"dealpulse_{tier}referrals{what}"
            for tier in ("", "rep_")
            for what in ("", "_won", "_unqualified")
        ),
    }


def test_a_deal_that_stalls_at_three_counts_from_three_with_no_event(stand: Stand) -> None:
    days = next(
        stage.stalled_after_days for _, stage in stand.meaning.stages.values() if stage.stalled_after_days
    )
    moved = instant("2026-05-20T15:00:00+08:00")
    one = Stand(stand.meaning)
    at = "2026-05-20T15:00:00+08:00"
    stage = next(stage.name for _, stage in stand.meaning.stages.values() if stage.stalled_after_days)
    one.take([record("opportunity", "o", at, stage=stage, created_at=at)], at_ms=moved)
    stalls = moved + int(float(days or 0) * 86_400_000)
    metrics = KpiMetrics(stand.meaning, ALL, one.snapshot)

    def stalled(now_ms: int) -> tuple[float, float]:
        families = metrics.evaluate(now_ms)
        return (
            families["dealpulse_stalled_opportunities"].get(("unassigned", stage), 0.0),
            families["dealpulse_stagnation_opportunity_seconds"]["unassigned", stage],
        )

    idle = (stalls - moved) / 1000
    assert stalled(stalls - 1000) == (0.0, idle - 1)
    assert stalled(stalls + 1)[0] == 1.0
    assert stalled(stalls + 5000) == (1.0, idle + 5)


def test_several_pipelines_name_a_stage_with_its_pipeline() -> None:
    meaning = Meaning()
    (pipeline,) = meaning.pipelines.values()
    twice = meaning.model_copy(update={"pipelines": {"a": pipeline, "b": pipeline}})
    stand = Stand(twice)
    at = "2026-05-01T09:00:00+08:00"
    stand.take(
        [
            record("employee", "ann", at, name="Ann", role="sales", team="Nord", hired_on="2026-05-01"),
            record("opportunity", "o", at, owner_id="ann", pipeline="b", stage="Prospecting"),
        ],
        at_ms=NOW_MS,
    )
    found = evaluated(stand)["dealpulse_open_opportunities"]
    assert found["Nord", "b/Prospecting"] == 1
    assert found["Nord", "a/Prospecting"] == 0


def test_what_was_kept_of_earlier_refreshes_is_what_a_new_exporter_shows() -> None:
    now_ms = instant("2026-05-20T12:00:00+08:00")
    stand = dolls(Meaning(), now_ms, reps=6, quarters=4)
    metrics = KpiMetrics(stand.meaning, ALL, stand.snapshot)
    metrics.evaluate(now_ms)
    deals = [name for name in stand.snapshot.deals.ids if name.startswith("opp")]
    reps = sorted(Evaluator(stand.snapshot).people.employees)
    told: list[list[tuple[str, bytes, bytes]]] = [
        [record("opportunity", deals[0], "2026-05-20T12:00:01+08:00", stage="Closed Won", amount="77.70")],
        [record("opportunity", deals[1], "2026-05-20T12:00:02+08:00", owner_id=reps[0])],
        [
            record(
                "employee", reps[0], "2026-05-20T12:00:03+08:00", team="Elsewhere", effective_on="2026-01-01"
            )
        ],
        [record("target", f"rep:{reps[0]}/2026-Q2", "2026-05-20T12:00:04+08:00", amount="5", currency="USD")],
        [record("opportunity", deals[0], "2026-05-20T12:00:05+08:00", stage="Proposal")],
        [],
    ]
    for number, changes in enumerate(told):
        at_ms = now_ms + 1000 * (number + 2)
        stand.take(changes, at_ms=at_ms)
        kept, fresh = metrics.evaluate(at_ms), KpiMetrics(stand.meaning, ALL, stand.snapshot).evaluate(at_ms)
        assert kept == fresh, changes
    a_day_later = now_ms + 86_400_000
    fresh = KpiMetrics(stand.meaning, ALL, stand.snapshot).evaluate(a_day_later)
    assert metrics.evaluate(a_day_later) == fresh


def test_what_is_worked_out_aside_is_left_alone_until_something_it_depends_on_changes() -> None:
    stand = Stand(Meaning())
    at = "2026-05-01T09:00:00+08:00"
    fields = {"account_id": "a", "start_date": "2026-01-01", "recurring_amount": "10", "currency": "USD"}
    stand.take([record("contract", "c1", at, **fields)], at_ms=NOW_MS)
    metrics = KpiMetrics(stand.meaning, ALL, stand.snapshot)

    def due(seconds: int) -> set[str]:
        now_ms = NOW_MS + seconds * 1000
        found = metrics.slow_due(now_ms)
        families, failed = metrics.slow_families(found, now_ms)
        metrics.keep(families, failed, found)
        return set(found)

    assert {"acv", "waterfall", "rep_retention"} <= due(0)
    assert due(16) == set()
    stand.take([record("opportunity", "o", at, stage="Prospecting")], at_ms=NOW_MS)
    changed = due(18)
    assert "waterfall" in changed
    assert "acv" not in changed
    stand.take([record("contract", "c2", at, **fields)], at_ms=NOW_MS)
    assert due(20) == set(), "not before 15 s have passed"
    assert {"acv", "waterfall"} <= due(34)

"""Families that no single row of an answer holds: of configuration, of recent creations, of states."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

from aggregators.calendar import Calendar
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from exporters.evaluate import Evaluator
from exporters.figures import Series

RECENT_DAYS = 28
BASELINE_DAYS = 84


class Extras:
    """Works those families out, for one configuration."""

    def __init__(self, meaning: Meaning) -> None:
        self._meaning, self._calendar = meaning, Calendar(meaning.company)

    def configuration(self) -> dict[str, Series]:
        """What is configured: stages and their thresholds, KPIs, the company."""
        company = self._meaning.company
        several = len(self._meaning.pipelines) > 1
        threshold: Series = {}
        order: Series = {}
        for (pipeline, name), (place, stage) in self._meaning.stages.items():
            label = f"{pipeline}/{name}" if several else name
            if stage.kind != "open":
                continue
            order[label,] = float(place)
            if stage.stalled_after_days is not None:
                threshold[label,] = stage.stalled_after_days * 86_400.0
        return {
            "dealpulse_stage_threshold_seconds": threshold,
            "dealpulse_stage_order": order,
            "dealpulse_kpi_info": {(kpi.name, str(kpi.version)): 1.0 for kpi in registry().values()},
            "dealpulse_config_info": {
                (company.currency, company.timezone, str(company.fiscal_year_start_month)): 1.0
            },
        }

    def recent(self, evaluator: Evaluator, now_ms: int, *, teams: list[str], reps: bool) -> dict[str, Series]:
        """Is the pipeline drying up? Creations of the last 28 days against those of the 84 before."""
        today = self._calendar.day(now_ms)
        start = today - timedelta(days=RECENT_DAYS - 1)
        windows = {
            "recent": f"{start}..{today}",
            "baseline": f"{start - timedelta(days=BASELINE_DAYS)}..{start - timedelta(days=1)}",
        }
        found: dict[str, Series] = {}
        for prefix, by in (("", ("team",)), *((("rep_", ("rep", "team")),) if reps else ())):
            counts = {
                name: _counts(evaluator, Question("new_opportunities", now_ms, window, by, now_ms=now_ms))
                for name, window in windows.items()
            }
            groups = {*counts["recent"], *counts["baseline"], *((team,) for team in teams if not prefix)}
            stem = f"dealpulse_{prefix}opportunities_created"
            found[f"{stem}_recent"] = {group: counts["recent"].get(group, 0.0) for group in groups}
            baseline = {group: counts["baseline"].get(group, 0.0) for group in groups}
            found[f"{stem}_baseline_samples"] = baseline
            found[f"{stem}_baseline"] = {
                group: count * RECENT_DAYS / BASELINE_DAYS for group, count in baseline.items()
            }
        return found

    def cohorts(self, evaluator: Evaluator, now_ms: int) -> dict[str, Series]:
        """Deals created in a window by their state now, and those omitted by their close."""
        found: Series = {}
        for label, window, start in self._windows(now_ms):
            created = _rows(evaluator, "created", "count", window, now_ms, start)
            ratios = {
                outcome: _rows(evaluator, "win_rate", reading, window, now_ms, start)
                for outcome, reading in (("won", "cohort"), ("open", "cohort_open"))
            }
            for team, row in created.items():
                won, still = (ratios[name].get(team) for name in ("won", "open"))
                counted = int(won.denominator or 0) if won else 0
                wins = int(won.numerator or 0) if won else 0
                open_ = int(still.numerator or 0) if still else 0
                states = {
                    "won": wins,
                    "lost": counted - wins - open_,
                    "open": open_,
                    "omitted": int(row.value or 0) - counted,
                }
                for outcome, count in states.items():
                    found[team, outcome, label] = float(count)
        return {"dealpulse_cohort_opportunities": found}

    def _windows(self, now_ms: int, *, twin: bool = True) -> list[tuple[str, str, object]]:
        today = self._calendar.day(now_ms)
        before, running = self._calendar.windows("fiscal_quarter", today, 2)
        found: list[tuple[str, str, object]] = [
            ("quarter_to_date", "fiscal_quarter", running[0].start),
            ("previous_quarter", "fiscal_quarter", before[0].start),
            ("trailing_12m", "trailing_12m", None),
        ]
        if twin:
            month = self._calendar.windows("month", today, 2)[0]
            found.append(("previous_month", "month", month[0].start))
        return found


def _rows(
    evaluator: Evaluator, kpi: str, reading: str, window: str, now_ms: int, start: object
) -> dict[str, Row]:
    periods = 1 if start is None else 2
    question = Question(kpi, now_ms, window, ("team",), periods, now_ms=now_ms)
    return {
        row.by[0][1]: row
        for row in evaluator.answer(question)
        if row.reading == reading and (start is None or row.window.start == start)
    }


def _counts(evaluator: Evaluator, question: Question) -> dict[tuple[str, ...], float]:
    counts: dict[tuple[str, ...], float] = defaultdict(float)
    for row in evaluator.answer(question):
        if row.reading == "count":
            counts[tuple(label for _, label in row.by)] += float(row.value or 0)
    return counts


Build = Callable[[Evaluator, int], dict[str, Series]]

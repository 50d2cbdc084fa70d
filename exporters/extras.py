"""Families that no single row of an answer holds: of configuration, of names, of recent creations."""

from collections.abc import Iterable
from datetime import timedelta

from aggregators.calendar import Calendar
from aggregators.kpi import UNASSIGNED
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question
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

    def rep_names(self, evaluator: Evaluator, now_ms: int) -> dict[str, Series]:
        """What everyone is called who is or was in a sales role."""
        people, today = evaluator.people, self._calendar.day(now_ms)
        return {
            "dealpulse_rep_info": {
                (rep, people.team(rep, today) or UNASSIGNED, employee.name): 1.0
                for rep, employee in people.employees.items()
                if employee.name and people.sales_spells(employee)
            }
        }

    def recent(
        self,
        evaluator: Evaluator,
        now_ms: int,
        teams: Iterable[str],
        reps: Iterable[tuple[str, ...]] | None,
    ) -> dict[str, Series]:
        """Is the pipeline drying up? Creations of the last 28 days against those of the 84 before."""
        today = self._calendar.day(now_ms)
        start = today - timedelta(days=RECENT_DAYS - 1)
        windows = {
            "recent": f"{start}..{today}",
            "baseline": f"{start - timedelta(days=BASELINE_DAYS)}..{start - timedelta(days=1)}",
        }
        found: dict[str, Series] = {}
        tiers: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
            ("", ("team",), [(team,) for team in teams])
        ]
        if reps is not None:
            tiers.append(("rep_", ("rep", "team"), list(reps)))
        for prefix, by, holders in tiers:
            counts = {
                name: _counts(evaluator, Question("new_opportunities", now_ms, window, by, now_ms=now_ms))
                for name, window in windows.items()
            }
            groups = {*counts["recent"], *counts["baseline"], *holders}
            stem = f"dealpulse_{prefix}opportunities_created"
            found[f"{stem}_recent"] = {group: counts["recent"].get(group, 0.0) for group in groups}
            baseline = {group: counts["baseline"].get(group, 0.0) for group in groups}
            found[f"{stem}_baseline_samples"] = baseline
            found[f"{stem}_baseline"] = {
                group: count * RECENT_DAYS / BASELINE_DAYS for group, count in baseline.items()
            }
        return found


def _counts(evaluator: Evaluator, question: Question) -> dict[tuple[str, ...], float]:
    answered = evaluator.figures(question, "count").values()
    return {labels: float(figure.value or 0) for groups in answered for labels, figure in groups.items()}

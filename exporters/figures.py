"""The KPI families of `/metrics`: every cell of the registry, filled from answers.

Each family of `exporters.names` says which row of which answer holds its figure. What no row holds is
worked out in `exporters.extras`. Families are built fresh each time: a series that is not built ends.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from typing import Final

from aggregators.answer import LEVEL
from aggregators.calendar import Calendar
from aggregators.kpi import UNASSIGNED
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Question, Row
from events.currencies import EXPONENTS
from exporters.evaluate import Evaluator
from exporters.family import Answer, Family
from exporters.labels import ASKED_AS, NOW
from exporters.names import KPI_FAMILIES
from exporters.settings import ExporterSettings

Series = dict[tuple[str, ...], float]
"""Label values, in the family's order, -> the sample."""

SPLIT_LABELS: Final = {"stage_name": "stage", "contract_type": "kind"}
"""Labels that are dimensions of an answer, under another name."""
PARTITION_LABELS: Final = ("change", "band")
"""Labels that a KPI is always split by."""
BAND_NAMES: Final = {"0_30d": "0-30", "31_60d": "31-60", "61_90d": "61-90"}


@dataclass(slots=True)
class Evaluation:
    """All KPI families at one instant."""

    as_of_ms: int
    families: dict[str, Series] = field(default_factory=dict)


class Figures:
    """Fills the KPI families from an evaluator, for one configuration."""

    def __init__(self, meaning: Meaning, settings: ExporterSettings) -> None:
        self._meaning, self._settings = meaning, settings
        self._calendar = Calendar(meaning.company)
        self._minor = 10 ** EXPONENTS[meaning.company.currency]
        known = registry()
        self._families = [
            family
            for family in KPI_FAMILIES.values()
            if family.answers
            and not family.name.startswith("dealpulse_reported_")
            and not family.opt_in
            and family.kpi in known
            and (settings.rep_series or family.tier != "rep")
        ]

    def evaluate(self, evaluator: Evaluator, now_ms: int, *, wanted: Callable[[str], bool]) -> Evaluation:
        """The families of the KPIs that are `wanted`, by KPI name, as of now."""
        asked = Asked(evaluator, now_ms)
        found = Evaluation(now_ms)
        teams = self.teams(evaluator, now_ms)
        holders: dict[str, list[tuple[str, ...]]] = {
            "team": [(team,) for team in teams],
            "rep": self.reps(evaluator, now_ms),
        }
        for family in self._families:
            if any(wanted(answer.kpi) for answer in family.answers.values()):
                found.families[family.name] = dict(self._series(family, asked, holders[family.tier]))
        return found

    def teams(self, evaluator: Evaluator, now_ms: int) -> list[str]:
        """The teams people work in today: they have their zeros, so that nothing new is seen as nothing."""
        people = evaluator.people
        today = self._calendar.day(now_ms)
        teams = {people.team(employee, today) for employee in people.employees}
        return sorted(team for team in teams if team)

    def reps(self, evaluator: Evaluator, now_ms: int) -> list[tuple[str, ...]]:
        """The reps in a sales role today, with their teams: one without a deal has 0, not nothing."""
        people = evaluator.people
        today = self._calendar.day(now_ms)
        return sorted(
            (rep, people.team(rep, today) or UNASSIGNED)
            for rep, employee in people.employees.items()
            if any(today in spell for spell in people.sales_spells(employee))
        )

    def _series(
        self, family: Family, asked: "Asked", holders: Sequence[tuple[str, ...]]
    ) -> Iterator[tuple[tuple[str, ...], float]]:
        currency = self._meaning.company.currency
        scope = ("rep", "team") if family.tier == "rep" else ("team",)
        for cell in family.cells:
            answer = family.answer(cell)
            if answer is None or answer.kpi not in registry():
                continue
            kpi = find_kpi(answer.kpi)
            if not set(scope) <= set(kpi.dimensions):
                continue
            free = [label for label in family.labels if label in SPLIT_LABELS and label not in cell]
            narrowed = {label: cell[label] for label in ("contract_type",) if label in cell}
            by = (*scope, *(SPLIT_LABELS[label] for label in (*free, *narrowed)))
            if not set(by) <= set(kpi.dimensions):
                continue
            partition = {label: cell[label] for label in PARTITION_LABELS if label in cell}
            rows = asked.rows(answer, by, cell.get("window", NOW), self._calendar)
            seen = set()
            for row in rows:
                labels = dict(row.by)
                if any(labels.get(SPLIT_LABELS[label]) != value for label, value in narrowed.items()):
                    continue
                if any(
                    labels.get(label) not in (value, BAND_NAMES.get(value))
                    for label, value in partition.items()
                ):
                    continue
                value = self._value(row, answer)
                values = {
                    **{label: labels[SPLIT_LABELS[label]] for label in free},
                    **cell,
                    **{name: labels[name] for name in scope},
                    "currency": currency,
                }
                seen.add(tuple(values[name] for name in scope))
                if value is not None:
                    yield tuple(values[label] for label in family.labels), value
            if not free and _has_zero(answer):
                for holder in holders:
                    if holder not in seen:
                        values = {**cell, **dict(zip(scope, holder, strict=True)), "currency": currency}
                        yield tuple(values[label] for label in family.labels), 0.0

    def _value(self, row: Row, answer: Answer) -> float | None:
        number: Number | None
        reading = find_kpi(row.kpi).reading(row.reading)
        over, under = reading.parts or (reading.unit, reading.unit)
        match answer.part:
            case "samples":
                return float(row.samples)
            case "numerator":
                number, unit = row.numerator, over
            case "denominator":
                number, unit = row.denominator, under
            case _:
                number, unit = row.value, reading.unit
        return None if number is None else self.sample(number, unit)

    def sample(self, number: Number, unit: str) -> float:
        """A figure in base units: major units of money, seconds, a ratio."""
        match unit:
            case "money":
                return float(Fraction(round(number), self._minor))
            case "money_per_second":
                return float(Fraction(number) * 1000 / self._minor)
            case "seconds":
                return float(Fraction(number) / 1000)
            case _:
                return float(number)


def _has_zero(answer: Answer) -> bool:
    """Whether nothing is 0 (a count, an amount, samples), not absent (a ratio, a mean) (G9)."""
    reading = find_kpi(answer.kpi).reading(answer.reading)
    return answer.part != "value" or not (reading.parts or reading.compose)


class Asked:
    """The answers at one instant, each asked once."""

    def __init__(self, evaluator: Evaluator, now_ms: int) -> None:
        self.evaluator, self.now_ms = evaluator, now_ms
        self._rows: dict[tuple[str, tuple[str, ...], str, int], list[Row]] = {}
        self._windows: dict[tuple[int, str], Mapping[str, list[Row]]] = {}

    def rows(self, answer: Answer, by: tuple[str, ...], window: str, calendar: Calendar) -> Iterable[Row]:
        """The rows of one reading in the window that the label `window` names."""
        return (row for row in self.every(answer.kpi, by, window, calendar) if row.reading == answer.reading)

    def every(self, kpi: str, by: tuple[str, ...], window: str, calendar: Calendar) -> Iterable[Row]:
        """The rows of all readings of a KPI in the window that the label `window` names."""
        today = calendar.day(self.now_ms)
        if window == NOW:
            return self._of(kpi, by, "day", 1, None)
        name, back = ASKED_AS.get(window, (window, 0))
        if back < 0:
            last = calendar.windows(name, today)[0][1].end
            ahead = calendar.windows(name, last + timedelta(days=1))[0][1]
            return self._of(kpi, by, f"{ahead.start}..{ahead.end}", 1, None)
        spans = calendar.windows(name, today, back + 1)
        # The fiscal quarter before comes with the running one, in one question.
        periods = 2 if name == "fiscal_quarter" else back + 1
        return self._of(kpi, by, name, periods, spans[0][0].start)

    def _of(self, kpi: str, by: tuple[str, ...], window: str, periods: int, start: object) -> Iterable[Row]:
        key = kpi, by, window, periods
        if key not in self._rows:
            question = Question(kpi, self.now_ms, window, by, periods, now_ms=self.now_ms)
            self._rows[key] = self.evaluator.answer(question)
        for row in self._rows[key]:
            if start is None or row.window.start == start or row.window == LEVEL:
                yield row


def merged(parts: Iterable[Mapping[str, Series]]) -> dict[str, Series]:
    """Families of several evaluations as one mapping; the later one of a family wins."""
    found: dict[str, Series] = defaultdict(dict)
    for part in parts:
        found.update(part)
    return dict(found)


def unassigned(labels: Iterable[str | None]) -> tuple[str, ...]:
    """Labels, with `unassigned` where there is none (F15)."""
    return tuple(label or UNASSIGNED for label in labels)

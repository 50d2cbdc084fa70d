"""The KPI families of `/metrics`: every cell of the registry, filled from answers.

Each family of `exporters.names` says which row of which answer holds its figure. What no row holds is
worked out in `exporters.extras`. Families are built fresh each time: a series that is not built ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Final, NamedTuple

from aggregators.answer import LEVEL
from aggregators.bars import shown
from aggregators.calendar import Calendar, Span
from aggregators.kpi import UNASSIGNED, Figure
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Question, Row
from aggregators.tables.answer import is_fast
from events.currencies import EXPONENTS
from exporters.evaluate import Evaluator
from exporters.family import Answer, Cells, Family, Tier
from exporters.labels import ASKED_AS, NOW
from exporters.plugged import shown_families
from exporters.settings import ExporterSettings

Series = dict[tuple[str, ...], float]
"""Label values, in the family's order, -> the sample."""

SPLIT_LABELS: Final = {"stage_name": "stage", "contract_type": "kind"}
"""Labels that are dimensions of an answer, under another name."""
_SCOPES: Final[Mapping[Tier, tuple[str, ...]]] = {
    "rep": ("rep", "team"),
    "team": ("team",),
    "company": (),
    "engine": (),
}
"""What the series of a tier are split by."""
_ONE_PART: Final = {
    "dealpulse_waterfall_start_amount": {"change": "start"},
    "dealpulse_waterfall_end_amount": {"change": "end"},
}
"""Families that hold one part of such a KPI, without a label for it."""
_OF_TARGETS: Final = ("dealpulse_target_pace_amount", "dealpulse_rep_target_pace_amount")
"""Sums of targets: where there is none, nothing is absent, not 0."""


_Shown = tuple[Row | Figure | None, tuple[str, ...], float | None]
"""What a group shows: the very figure it comes of (None: there is no record), labels, and the sample."""


class Figures:
    """Fills the KPI families from an evaluator, for one configuration."""

    def __init__(self, meaning: Meaning, settings: ExporterSettings) -> None:
        self._meaning = meaning
        self._calendar = Calendar(meaning.company)
        self._minor = 10 ** EXPONENTS[meaning.company.currency]
        self._stages = open_stages(meaning)
        known = registry()
        self._cells: dict[str, Cells] = {}
        self._shown: dict[tuple[str, int], _Cell] = {}
        self._families: dict[str, list[Family]] = defaultdict(list)
        self.shown_families = shown_families()
        for family in self.shown_families.values():
            if (
                family.answers
                and not family.name.startswith("dealpulse_reported_")
                and not family.opt_in
                and family.kpi in known
                and (settings.rep_series or family.tier != "rep")
            ):
                self._families[next(iter(family.answers.values())).kpi].append(family)
                extra = settings.extra_windows if family.tier == "team" else ()
                self._cells[family.name] = with_windows(family.cells, extra)

    @property
    def kpis(self) -> Sequence[str]:
        """The KPIs whose answers fill families."""
        return tuple(self._families)

    def families(
        self, kpi: str, asked: "Asked", teams: Sequence[str], reps: Sequence[tuple[str, ...]]
    ) -> dict[str, Series]:
        """The families that the answers of one KPI fill. Teams and reps without a record have their zeros."""
        holders = {"team": [(team,) for team in teams], "rep": reps, "company": [()]}
        return {
            family.name: self._series(family, asked, holders[family.tier])
            for family in self._families.get(kpi, ())
        }

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

    def _series(self, family: Family, asked: "Asked", holders: Sequence[tuple[str, ...]]) -> Series:
        scope = _SCOPES[family.tier]
        series: Series = {}
        for number, cell in enumerate(self._cells[family.name]):
            answer = family.answer(cell)
            if answer is None or not set(scope) <= set(find_kpi(answer.kpi).dimensions):
                continue
            free = tuple(label for label in family.labels if label in SPLIT_LABELS and label not in cell)
            narrowed = tuple(label for label in ("contract_type",) if label in cell)
            by = (*scope, *(SPLIT_LABELS[label] for label in (*free, *narrowed)))
            rows = asked.rows(answer, by, cell.get("window", NOW), self._calendar)
            held = self._shown.get((family.name, number))
            if held is None or held.rows is not rows or held.holders != holders:
                shown = self._show(family, cell, answer, free, narrowed, rows, holders, held)
                samples = [(key, value) for _, key, value in shown.values() if value is not None]
                held = self._shown[family.name, number] = _Cell(rows, holders, shown, samples)
            series.update(held.samples)
        return series

    def _show(
        self,
        family: Family,
        cell: Mapping[str, str],
        answer: Answer,
        free: tuple[str, ...],
        narrowed: tuple[str, ...],
        rows: "Labelled",
        holders: Sequence[tuple[str, ...]],
        before: "_Cell | None",
    ) -> dict[tuple[str, ...], _Shown]:
        """What every group of a cell shows; what it comes of as before keeps its labels and its sample."""
        scope = _SCOPES[family.tier]
        partition = find_kpi(answer.kpi).partition
        parts = {partition.name: cell[partition.name]} if partition and partition.name in cell else {}
        parts |= _ONE_PART.get(family.name, {})
        only = (*(cell[label] for label in narrowed), *parts.values())
        # A row's labels are those of `by`, then its part; a series' are in the family's order.
        width = len(scope) + len(free)
        place = [*scope, *free]
        fixed = {**cell, "currency": self._meaning.company.currency}
        order = [
            (place.index(label), "") if label in place else (-1, fixed[label]) for label in family.labels
        ]
        unit = _unit(answer)
        kept = {} if before is None else before.shown
        shown: dict[tuple[str, ...], _Shown] = {}
        for labels, row in _pairs(rows):
            if len(labels) != width:
                if labels[width:] != only:
                    continue
                labels = labels[:width]
            known = kept.get(labels)
            if known is None or known[0] is not row:
                figure = None if family.name in _OF_TARGETS and not row.samples else getattr(row, answer.part)
                key = tuple([text if at < 0 else labels[at] for at, text in order])
                known = row, key, None if figure is None else self.sample(figure, unit)
            shown[labels] = known
        if _has_zero(answer) and family.name not in _OF_TARGETS:
            for holder in holders:
                for stage in self._stages if free == ("stage_name",) else ("",):
                    labels = (*holder, stage) if free else holder
                    if labels not in shown:
                        known = kept.get(labels)
                        if known is None or known[0] is not None:
                            key = tuple([text if at < 0 else labels[at] for at, text in order])
                            known = None, key, 0.0
                        shown[labels] = known
        return shown

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


def _unit(answer: Answer) -> str:
    """The exact unit of a column of a row."""
    reading = find_kpi(answer.kpi).reading(answer.reading)
    over, under = reading.parts or (reading.unit, reading.unit)
    return {"value": reading.unit, "samples": "count", "numerator": over, "denominator": under}[answer.part]


def open_stages(meaning: Meaning) -> list[str]:
    """The labels of the stages in which deals are open, in the order of the pipelines."""
    several = len(meaning.pipelines) > 1
    return [
        f"{pipeline}/{name}" if several else name
        for (pipeline, name), (_, stage) in meaning.stages.items()
        if stage.kind == "open"
    ]


def with_windows(cells: Cells, extra: Sequence[str]) -> Cells:
    """The cells, and beside those of the trailing twelve months others of trailing days."""
    more = [
        {**cell, "window": window}
        for window in extra
        for cell in cells
        if cell.get("window") == "trailing_12m" and {**cell, "window": "previous_quarter"} in cells
    ]
    return (*cells, *more)


def spans(calendar: Calendar, today: date, windows: Iterable[str]) -> dict[str, Span]:
    """The spans of the windows of complete and running quarters, and of trailing ones, on a day."""
    before, running = (span for _, span in calendar.windows("fiscal_quarter", today, 2))
    quarters = {"previous_quarter": before, "quarter_to_date": running}
    return {name: quarters.get(name) or calendar.windows(name, today)[0][1] for name in windows}


class Asked:
    """The answers at one instant, each asked once."""

    def __init__(self, evaluator: Evaluator, now_ms: int) -> None:
        self.evaluator, self.now_ms = evaluator, now_ms
        self._rows: dict[_AskedKey, dict[tuple[str, object], Labelled]] = {}

    def rows(self, answer: Answer, by: tuple[str, ...], window: str, calendar: Calendar) -> "Labelled":
        """The rows of one reading in the window that the label `window` names, by their labels."""
        key, start = self._key(answer.kpi, by, window, calendar)
        fast = is_fast(find_kpi(answer.kpi))
        found = self._of((*key, answer.reading if fast else ""))
        level = found.get((answer.reading, LEVEL.start))
        return level if level is not None else found.get((answer.reading, start), ())

    def pairs(
        self, answer: Answer, by: tuple[str, ...], window: str, calendar: Calendar
    ) -> Iterable[tuple[tuple[str, ...], Row | Figure]]:
        """The same, pair by pair."""
        return _pairs(self.rows(answer, by, window, calendar))

    def _key(
        self, kpi: str, by: tuple[str, ...], window: str, calendar: Calendar
    ) -> tuple["_Key", date | None]:
        """What to ask, and the first day of the window among those answered."""
        today = calendar.day(self.now_ms)
        if window == NOW:
            return (kpi, by, "day", 1), today
        name, back = ASKED_AS.get(window, (window, 0))
        if back < 0:
            last = calendar.windows(name, today)[0][1].end
            ahead = calendar.windows(name, last + timedelta(days=1))[0][1]
            return (kpi, by, f"{ahead.start}..{ahead.end}", 1), ahead.start
        if is_fast(find_kpi(kpi)):
            span = calendar.windows(name, today, back + 1)[0][1]
            return (kpi, by, f"{span.start}..{span.end}", 1), span.start
        # The fiscal quarter before comes with the running one, in one question.
        periods = 2 if name == "fiscal_quarter" else back + 1
        return (kpi, by, name, periods), calendar.windows(name, today, back + 1)[0][0].start

    def _of(self, key: "_AskedKey") -> dict[tuple[str, object], "Labelled"]:
        found = self._rows.get(key)
        if found is None:
            kpi, by, window, periods, reading = key
            question = Question(kpi, self.now_ms, window, by, periods, now_ms=self.now_ms)
            if reading:
                answered = self.evaluator.figures(question, reading)
                found = {(reading, span.start): figures for span, figures in answered.items()}
            else:
                rows: dict[tuple[str, object], list[tuple[tuple[str, ...], Row | Figure]]] = defaultdict(list)
                for row in shown(self.evaluator.answer(question)):
                    labels = tuple([label for _, label in row.by])
                    rows[row.reading, row.window.start].append((labels, row))
                found = dict(rows)
            self._rows[key] = found
        return found


_Key = tuple[str, tuple[str, ...], str, int]
_AskedKey = tuple[str, tuple[str, ...], str, int, str]
Labelled = Mapping[tuple[str, ...], Figure] | Sequence[tuple[tuple[str, ...], Row | Figure]]
"""Rows by their labels: one mapping as long as nothing changes, or pairs, anew each time."""


def _pairs(rows: Labelled) -> Iterable[tuple[tuple[str, ...], Row | Figure]]:
    return rows.items() if isinstance(rows, Mapping) else rows


class _Cell(NamedTuple):
    """What a cell of a family showed last: of which rows and for whom."""

    rows: Labelled
    holders: Sequence[tuple[str, ...]]
    shown: Mapping[tuple[str, ...], _Shown]
    samples: Sequence[tuple[tuple[str, ...], float]]

"""The as-reported families of `/metrics`, from the rows that freezes have kept."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from aggregators.calendar import Calendar
from aggregators.kpi import Unit
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Row, Window
from aggregators.reported import CHANGES, Reported
from events.currencies import EXPONENTS
from exporters.evaluate import Evaluator
from exporters.family import Answer, Family
from exporters.figures import Series
from exporters.labels import ASKED_AS, OUTCOMES, REPORTED, REVENUE_CHANGES
from exporters.names import KPI_FAMILIES

PREFIX: Final = "dealpulse_reported_"


class ReportedFigures:
    """Fills those families, for one configuration. A period that is not frozen yet has no series."""

    def __init__(self, meaning: Meaning) -> None:
        self._calendar, self._held = Calendar(meaning.company), Reported()
        self._currency = meaning.company.currency
        self._minor = 10 ** EXPONENTS[self._currency]
        self._families = [
            family
            for family in KPI_FAMILIES.values()
            if family.name.startswith(PREFIX) and family.kpi in registry()
        ]
        self._kept: tuple[object, dict[str, Series]] = (None, {})

    def families(self, held: Reported, evaluator: Evaluator, now_ms: int) -> dict[str, Series]:
        """All of them as of now; a team without a record in a frozen period has its zeros."""
        today, people = self._calendar.day(now_ms), evaluator.people
        teams = {team for employee in people.employees if (team := people.team(employee, today))}
        key = id(held), held.size, today, frozenset(teams)
        if self._kept[0] != key:
            self._kept = key, self._filled(held, today, teams)
        return self._kept[1]

    def _filled(self, held: Reported, today: date, teams: Iterable[str]) -> dict[str, Series]:
        self._held = held
        frozen: dict[str, Window] = {}
        for label in REPORTED:
            name, back = ASKED_AS[label]
            span = self._calendar.windows(name, today, back + 1)[0][1]
            window = Window(name, span.start, span.end)
            if held.freeze(window) is not None:
                frozen[label] = window
        groups = sorted({*teams, *(team for window in frozen.values() for team in self._teams(window))})
        return {family.name: dict(self._series(family, frozen, groups)) for family in self._families}

    def _teams(self, window: Window) -> Iterator[str]:
        return (row.by[0][1] for kpi in ("created", "won", "customers") for row in self._by_team(kpi, window))

    def _by_team(self, kpi: str, window: Window, *more: str) -> Iterator[Row]:
        """The rows by team (and by more), of every reading."""
        names = ("team", *more)
        return (row for row in self._held.rows(kpi, window) if tuple(name for name, _ in row.by) == names)

    def _series(
        self, family: Family, frozen: Mapping[str, Window], teams: Iterable[str]
    ) -> Iterator[tuple[tuple[str, ...], float]]:
        for cell in family.cells:
            window = frozen.get(cell["window"])
            if window is None:
                continue
            found = self._samples(family, cell, window)
            for team in teams:
                values = {**cell, "team": team, "currency": self._currency}
                yield tuple(values[label] for label in family.labels), found.get(team, 0.0)

    def _samples(self, family: Family, cell: Mapping[str, str], window: Window) -> dict[str, float]:
        if cell.get("change") in REVENUE_CHANGES:
            return {
                row.by[0][1]: self._sample(row.value, "money")
                for row in self._by_team("customer_retention", window, "change")
                if row.reading == CHANGES and row.by[1][1] == cell["change"]
            }
        if cell.get("outcome") in OUTCOMES:
            return self._cohort(cell["outcome"], window)
        answer = family.answer(cell)
        if answer is None:
            return {}
        return {
            row.by[0][1]: self._part(row, answer)
            for row in self._by_team(answer.kpi, window)
            if row.reading == answer.reading
        }

    def _cohort(self, outcome: str, window: Window) -> dict[str, float]:
        """Deals created in the window by what had become of them, as the restated twin counts them."""
        rates: dict[str, dict[str, Row]] = {"cohort": {}, "cohort_open": {}}
        for row in self._by_team("win_rate", window):
            if row.reading in rates:
                rates[row.reading][row.by[0][1]] = row
        found = {}
        for row in self._by_team("created", window):
            if row.reading != "count":
                continue
            team = row.by[0][1]
            won, still = rates["cohort"].get(team), rates["cohort_open"].get(team)
            counted, wins = (won.denominator or 0, won.numerator or 0) if won else (0, 0)
            open_ = still.numerator or 0 if still else 0
            states = {
                "won": wins,
                "lost": counted - wins - open_,
                "open": open_,
                "omitted": (row.value or 0) - counted,
            }
            found[team] = float(states[outcome])
        return found

    def _part(self, row: Row, answer: Answer) -> float:
        reading = find_kpi(row.kpi).reading(row.reading)
        over, under = reading.parts or (reading.unit, reading.unit)
        match answer.part:
            case "samples":
                return float(row.samples)
            case "numerator":
                return self._sample(row.numerator, over)
            case "denominator":
                return self._sample(row.denominator, under)
            case _:
                return self._sample(row.value, reading.unit)

    def _sample(self, number: Number | None, unit: Unit) -> float:
        if number is None:
            return 0.0
        return float(number) / self._minor if unit == "money" else float(number)

"""Families counted from the fact tables: deals omitted, cohorts by their state, money as it was stated.

No row of an answer holds these figures, and the tables give them in a few array operations.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from aggregators.calendar import ALWAYS, Calendar, Span
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.tables.fast import Counted, FastAsk
from aggregators.tables.readings import open_amount, won_amount
from aggregators.tables.sums import exact_sums
from events.currencies import EXPONENTS
from exporters.evaluate import Evaluator
from exporters.figures import Series, spans
from exporters.labels import OUTCOMES, QUARTERS


class Tabled:
    """Works those families out, for one configuration."""

    def __init__(self, meaning: Meaning, extra_windows: Sequence[str] = ()) -> None:
        self._calendar = Calendar(meaning.company)
        self._windows = (*QUARTERS, *extra_windows)

    def omitted(self, evaluator: Evaluator, now_ms: int, teams: Iterable[str]) -> dict[str, Series]:
        """Deals closed in a stage that is in no ratio, for the owner at the close."""
        fast = _ask(evaluator, "won", now_ms)
        found: Series = {(team, window): 0.0 for team in teams for window in self._windows}
        for window, span in self._spans(fast).items():
            rows = np.flatnonzero(fast.cut.omitted & fast.inside("closed_day", span))
            for team, count in _counts(fast, Counted(fast.cut, rows, "closer", "closed_day", None)).items():
                found[team, window] = float(count)
        return {"dealpulse_opportunities_omitted": found}

    def cohorts(self, evaluator: Evaluator, now_ms: int, teams: Iterable[str]) -> dict[str, Series]:
        """Deals created in a window by their state now, for the owner at creation."""
        fast = _ask(evaluator, "created", now_ms)
        today = fast.ask.as_of_on
        windows = {**self._spans(fast), "previous_month": self._calendar.windows("month", today, 2)[0][1]}
        found: Series = {
            (team, outcome, window): 0.0 for team in teams for outcome in OUTCOMES for window in windows
        }
        for window, span in windows.items():
            created = fast.cut.exists & fast.inside("created_day", span)
            for outcome in OUTCOMES:
                rows = np.flatnonzero(created & getattr(fast.cut, outcome))
                for team, count in _counts(
                    fast, Counted(fast.cut, rows, "creator", "created_day", None)
                ).items():
                    found[team, outcome, window] = float(count)
        return {"dealpulse_cohort_opportunities": found}

    def native(self, evaluator: Evaluator, now_ms: int) -> dict[str, Series]:
        """Amounts in the currency they were stated in."""
        fast = _ask(evaluator, "open", now_ms)
        open_now = _native(fast, open_amount(fast, ALWAYS))
        won: Series = {}
        for window, span in self._spans(fast).items():
            for (team, currency), amount in _native(fast, won_amount(fast, span)).items():
                won[team, window, currency] = amount
        return {"dealpulse_native_open_amount": open_now, "dealpulse_native_won_amount": won}

    def _spans(self, fast: FastAsk) -> dict[str, Span]:
        return spans(self._calendar, fast.ask.as_of_on, self._windows)


def _ask(evaluator: Evaluator, kpi: str, now_ms: int) -> FastAsk:
    question = Question(kpi, now_ms, None, ("team",), now_ms=now_ms)
    return FastAsk(evaluator.snapshot.deals, evaluator.company, question)


def _counts(fast: FastAsk, counted: Counted) -> dict[str, int]:
    group, labels = fast.groups(counted)
    numbers = np.bincount(group, minlength=len(labels)).tolist()
    return {team: number for (team,), number in zip(labels, numbers, strict=True) if number}


def _native(fast: FastAsk, counted: Counted) -> Series:
    """(team, currency) -> the amount stated, in major units."""
    stated = counted.stated
    group, teams = fast.groups(counted)
    group = group[stated]
    currencies = fast.cut["currency"][counted.rows[stated]].astype(np.int64)
    amounts = (counted.numerator if counted.numerator is not None else counted.rows)[stated]
    labels = fast.table.labels.texts
    cells, cell = np.unique(group * len(labels) + currencies, return_inverse=True)
    found: Series = {}
    for at, minor in zip(cells.tolist(), exact_sums(amounts, cell, len(cells)), strict=True):
        team, currency = divmod(at, len(labels))
        code = labels[currency]
        found[*teams[team], code] = minor / 10 ** EXPONENTS[code]
    return found

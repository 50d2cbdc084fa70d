"""Families counted from the fact tables: deals omitted, cohorts by their state, money as it was stated.

No row of an answer holds these figures, and the tables give them in a few array operations.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from aggregators.calendar import ALWAYS, Calendar, Span
from aggregators.deal_facts import NO_DATE
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.tables.answer import FAST, Counted, FastAsk, exact_sums
from aggregators.zones import Int64
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
            day = fast.cut["closed_day"][rows].astype(np.int64)
            for team, count in _counts(fast, Counted(rows, "closer", day, None)).items():
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
                day = fast.cut["created_day"][rows].astype(np.int64)
                for team, count in _counts(fast, Counted(rows, "creator", day, None)).items():
                    found[team, outcome, window] = float(count)
        return {"dealpulse_cohort_opportunities": found}

    def native(self, evaluator: Evaluator, now_ms: int) -> dict[str, Series]:
        """Amounts in the currency they were stated in."""
        fast = _ask(evaluator, "open", now_ms)
        open_now = _native(fast, FAST["open", "amount"](fast, ALWAYS))
        won: Series = {}
        for window, span in self._spans(fast).items():
            for (team, currency), amount in _native(fast, FAST["won", "amount"](fast, span)).items():
                won[team, window, currency] = amount
        return {"dealpulse_native_open_amount": open_now, "dealpulse_native_won_amount": won}

    def _spans(self, fast: FastAsk) -> dict[str, Span]:
        return spans(self._calendar, fast.ask.as_of_on, self._windows)


def _ask(evaluator: Evaluator, kpi: str, now_ms: int) -> FastAsk:
    question = Question(kpi, now_ms, None, ("team",), now_ms=now_ms)
    return FastAsk(evaluator.snapshot.deals, evaluator.company, question)


def _teams(fast: FastAsk, counted: Counted) -> Int64:
    owners = fast.cut[counted.owner][counted.rows]
    day = counted.day
    if fast.ask.attribution == "current":
        day = np.full(len(owners), fast.as_of_day, dtype=np.int64)
    day = np.where(day == NO_DATE, fast.as_of_day, day)
    return fast.split.on_day("team", fast.split.reps(owners, fast.table.names), day)


def _counts(fast: FastAsk, counted: Counted) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    groups, numbers = np.unique(_teams(fast, counted), return_counts=True)
    for group, number in zip(groups.tolist(), numbers.tolist(), strict=True):
        counts[fast.split.groups.texts[group]] += number
    return counts


def _native(fast: FastAsk, counted: Counted) -> Series:
    """(team, currency) -> the amount stated, in major units."""
    stated = counted.samples
    teams = _teams(fast, counted)[stated]
    currencies = fast.cut["currency"][counted.rows[stated]].astype(np.int64)
    amounts = (counted.numerator if counted.numerator is not None else counted.rows)[stated]
    labels, texts = fast.table.labels.texts, fast.split.groups.texts
    cells, cell = np.unique(teams * len(labels) + currencies, return_inverse=True)
    found: Series = {}
    for at, minor in zip(cells.tolist(), exact_sums(amounts, cell, len(cells)), strict=True):
        team, currency = divmod(at, len(labels))
        code = labels[currency]
        found[texts[team], code] = minor / 10 ** EXPONENTS[code]
    return found

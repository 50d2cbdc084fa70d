"""Targets: which statement holds for a window, and for how many of its days.

A window takes the target of exactly its period, else the finer ones if they cover it, else the
coarser one pro rata by days (kpi-definitions.md, "Targets"). Everything here is about one holder (a
rep, a team or the company) at a time; `aggregators.kpis.target` says who holds what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from itertools import groupby
from typing import Literal

from aggregators.calendar import Span

Scope = Literal["rep", "team", "company"]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Target:
    """One target as stated. `name` is the employee's id or the team's name, empty for the company.

    `amount_minor` is in minor units of `currency`. A goal (of a KPI's reading) has `goal` instead.
    """

    id: str
    scope: Scope
    name: str
    span: Span
    amount_minor: int | None = None
    currency: str = ""
    wins: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """The days of a target that fall to a window."""

    target: Target
    span: Span

    @property
    def part(self) -> Fraction:
        """These days over all days of the target's period; 1 where the whole period falls to the window."""
        return Fraction(self.span.days, self.target.span.days)


def shares(targets: Iterable[Target], window: Span) -> list[Share]:
    """What the window takes of the targets of one holder, oldest first; none if a day has no target.

    Where a window is neither a period, nor covered by finer ones, nor inside a coarser one (90 days
    across two quarters), each day takes the longest period inside the window, else the shortest
    around it. A window of which some days have no target has none at all: a part would mislead.
    """
    known = sorted(targets, key=lambda target: (target.span.start, target.span.end, target.id))
    if not known:
        return []
    for target in known:
        if target.span == window:
            return [Share(target, window)]
    if tiled := _finer(known, window):
        return tiled
    around = [
        target for target in known if target.span.start <= window.start and window.end <= target.span.end
    ]
    if around:
        return [Share(min(around, key=lambda target: target.span.days), window)]
    return _day_by_day(known, window)


def _finer(known: Sequence[Target], window: Span) -> list[Share]:
    """Whole periods that cover the window without a gap, the longest ones; none if they do not."""
    found, day = [], window.start
    while day <= window.end:
        begin_here = [t for t in known if t.span.start == day and t.span.end <= window.end]
        if not begin_here:
            return []
        longest = max(begin_here, key=lambda target: target.span.days)
        found.append(Share(longest, longest.span))
        day = longest.span.end + DAY
    return found


def _day_by_day(known: Sequence[Target], window: Span) -> list[Share]:
    first, last = min(t.span.start for t in known), max(t.span.end for t in known)
    if window.start < first or last < window.end:
        return []
    chosen = []
    for number in range(window.days):
        day = window.start + number * DAY
        holding = [target for target in known if day in target.span]
        if not holding:
            return []
        inside = [t for t in holding if window.start <= t.span.start and t.span.end <= window.end]
        pick = max(inside, key=_days) if inside else min(holding, key=_days)
        chosen.append((pick, day))
    runs = (list(run) for _, run in groupby(chosen, key=lambda pair: pair[0].id))
    return [Share(run[0][0], Span(run[0][1], run[-1][1])) for run in runs]


def _days(target: Target) -> int:
    return target.span.days

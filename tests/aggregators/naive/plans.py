"""Targets and goals: which statement holds for which days of a window."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tests.aggregators.naive.records import Record
from tests.aggregators.naive.world import DAY, World

PeriodOf = Callable[[str], tuple[date, date]]
"""The days of a fiscal period by its name."""


@dataclass(frozen=True)
class Stated:
    """One target or goal as stated for a period, exact in its own unit."""

    id: str
    scope: str
    name: str
    goal: str
    """`kpi/reading` of a goal, else empty."""
    start: date
    end: date
    record: Record

    @property
    def length(self) -> int:
        return (self.end - self.start).days + 1


def stated(world: World, period_of: PeriodOf) -> list[Stated]:
    """Everything that is stated, targets and goals, by id."""
    found = []
    for record in world.records.living("target"):
        whose, period, *goal = record.id.split("/", 2)
        scope, _, name = whose.partition(":")
        if scope == "rep":
            name = world.resolve(name, record.statements[-1]) or name
        start, end = period_of(period)
        assert re.fullmatch(r"\d{4}(-(Q\d|\d\d))?", period)
        found.append(Stated(record.id, scope, name, goal[0] if goal else "", start, end, record))
    return found


def days_of(
    known: list[Stated], start: date, end: date, needed: Callable[[date], bool] = lambda _: True
) -> dict[date, Stated]:
    """Which statement each day of a window takes: of exactly its period, else the finer ones if they
    cover it, else the coarser one; where it is none of these, each day the longest one inside the window,
    else the shortest around it. Empty where a day that is needed has none."""
    if not known:
        return {}
    days = [start + number * DAY for number in range((end - start).days + 1)]
    exact = [one for one in known if (one.start, one.end) == (start, end)]
    if exact:
        return dict.fromkeys(days, exact[0])
    inside = [one for one in known if start <= one.start and one.end <= end]
    tiled: dict[date, Stated] = {}
    day = start
    while day <= end:
        here = [one for one in inside if one.start == day]
        if here:
            longest = max(here, key=lambda one: one.length)
            while day <= longest.end:
                tiled[day] = longest
                day += DAY
            continue
        if needed(day):
            tiled = {}
            break
        day += DAY
    if tiled:
        return tiled
    around = [one for one in known if one.start <= start and end <= one.end]
    if around:
        return dict.fromkeys(days, min(around, key=lambda one: one.length))
    chosen: dict[date, Stated] = {}
    for day in days:
        within = [one for one in inside if one.start <= day <= one.end]
        holding = [one for one in known if one.start <= day <= one.end]
        if holding:
            chosen[day] = (
                max(within, key=lambda one: one.length)
                if within
                else min(holding, key=lambda one: one.length)
            )
        elif needed(day):
            return {}
    return chosen


def share(days: int, of: Stated) -> Fraction:
    """So many days of its period."""
    return Fraction(days, of.length)

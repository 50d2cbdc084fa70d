"""Ramping reps: those hired in a window who have not yet had their first contact with a prospect. KPI 7."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import DAY_MS, Span
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis.ramp_up import Clock, clocks, contacts


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """One for each rep hired in the window, still in role, who has not reached the first contact."""
    for clock in _running(ask, window):
        by = ask.by(clock.employee.id, clock.spell.start)
        yield Contribution(f"employee/{clock.employee.id}", by, 1, on=clock.spell.start)


def age(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Their running age, whole days from the first day to the as-of day / their number."""
    for clock in _running(ask, window):
        by = ask.by(clock.employee.id, clock.spell.start)
        elapsed_ms = (ask.as_of_on - clock.spell.start).days * DAY_MS
        yield Contribution(f"employee/{clock.employee.id}", by, elapsed_ms, 1, on=clock.spell.start)


def _running(ask: Ask, window: Span) -> Iterator[Clock]:
    for clock in clocks(ask, window, contacts):
        if clock.reached_on is None and ask.as_of_on in clock.spell:
            yield clock


RAMPING_REPS = Kpi(
    name="ramping_reps",
    number=7,
    version=1,
    title=Text("Ramping reps", "上手中的業務人員"),
    definition=Text(
        "Reps hired in the window and still in role at the instant who have not yet completed a contact with "
        "a prospect: their number, and their average time since the first day.",
        "期間內到職、該時點仍在職,且尚未完成與潛在客戶接觸的業務人員:人數,以及自到職首日起的平均時間。",
    ),
    dimensions=("rep", "team"),
    readings=(
        Reading("count", Text("count", "人數"), "count", count),
        Reading("age", Text("average age", "平均時間"), "seconds", age, ("seconds", "count")),
    ),
)

"""Rep retention: of the reps in a sales role at a window's start, the share still in one. KPI 6."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from aggregators.ask import Ask
from aggregators.calendar import Span, add_months
from aggregators.contracts import DAY
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.people import Employee, Spell

STAYED = "stayed"


def trailing(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Reps in role at the start and still at the end / reps in role at the start.

    Still: without leaving in between; who was hired again after the grace left, and is a new hire.
    """
    for one in at_the_start(ask, window):
        yield one.contribution(ask)


def tenured(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The same, of those in role for at least the tenure T at the start."""
    months = ask.meaning.kpis.tenure_months
    for one in at_the_start(ask, window):
        if add_months(one.spell.start, months) <= one.start_on:
            yield one.contribution(ask)


def tenure(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Reps that reached the tenure T / all reps ever hired at least T ago (F14).

    Reached when the last day in role is on or after hire + T months (F30). Each hire counts for the
    team of its first day.
    """
    del window  # a level
    months = ask.meaning.kpis.tenure_months
    for employee, spell in hires(ask):
        reached_on = add_months(spell.start, months)
        if reached_on <= ask.as_of_on:
            reached = spell.end is None or spell.end >= reached_on
            by = labels(ask, employee.id, spell.start, departure(spell, ask.as_of_on))
            yield Contribution(f"employee/{employee.id}", by, int(reached), 1, on=spell.start)


@dataclass(frozen=True, slots=True)
class Started:
    """A rep who was in role at a window's start, and whether he still is at its end."""

    employee: Employee
    spell: Spell
    start_on: date
    end_on: date

    @property
    def stayed(self) -> bool:
        """Whether the spell that held at the start still holds at the end."""
        return self.end_on in self.spell

    def contribution(self, ask: Ask) -> Contribution:
        """The rep, in the team that he was in at the start."""
        by = labels(ask, self.employee.id, self.start_on, departure(self.spell, self.end_on))
        return Contribution(f"employee/{self.employee.id}", by, int(self.stayed), 1, on=self.start_on)


def at_the_start(ask: Ask, window: Span) -> Iterator[Started]:
    """Every rep in role at the end of the day before the window (F1); it ends as F31 says."""
    if window.start > ask.as_of_on:
        return
    start_on, end_on = window.start - DAY, min(window.end, ask.as_of_on)
    for employee, spell in hires(ask):
        if start_on in spell:
            yield Started(employee, spell, start_on, end_on)


def hires(ask: Ask) -> Iterator[tuple[Employee, Spell]]:
    """Every spell in a sales role that has begun by the as-of day; a rehire within the grace continues one."""
    for employee in ask.people.employees.values():
        for spell in ask.people.sales_spells(employee):
            if spell.start <= ask.as_of_on:
                yield employee, spell


def departure(spell: Spell, end_on: date) -> str | None:
    """How the spell had ended by a day: the kind of leaving, `left_role`, or `stayed`; None: not said."""
    return STAYED if end_on in spell else spell.kind


def labels(ask: Ask, rep: str, on: date, leave_kind: str | None) -> tuple[str, ...]:
    """The rep's labels: his team on a day, and how he left."""
    return ask.by(rep, on, leave_kind=leave_kind)


REP_RETENTION = Kpi(
    name="rep_retention",
    number=6,
    version=1,
    title=Text("Rep retention", "業務人員留任率"),
    definition=Text(
        "Reps in a sales role at the window's start that are still in one at its end / those at its start; "
        "hires in between are in neither number. Tenured: of those with the tenure T at the start. Tenure: "
        "of the reps hired at least T ago, the share that reached T. A rehire within the grace is continuous, "
        "leave of absence is present, moving to another role is leaving. By leave_kind the rows take the "
        "reps apart by how they left (stayed, voluntary, involuntary, other, left_role): see the denominators.",
        "期初擔任業務職且期末仍在職者 / 期初擔任業務職者;期間新進者一律不計。資深:期初年資已達 T 者的留任率。"
        "年資:到職已滿 T 的業務人員中達到 T 者的比例。寬限期內回任視為連續,留職停薪視為在職,"
        "轉任其他職務視為離開。按 leave_kind 分列時,各列為不同離開方式(留任、自願、非自願、其他、轉職)的人數,見分母。",
    ),
    dimensions=("team", "leave_kind"),
    window="trailing_12m",
    readings=(
        Reading("trailing", Text("in the window", "期間"), "ratio", trailing, ("count", "count")),
        Reading("tenured", Text("of the tenured", "資深"), "ratio", tenured, ("count", "count")),
        Reading(
            "tenure", Text("tenure reached", "達到年資"), "ratio", tenure, ("count", "count"), level=True
        ),
    ),
)

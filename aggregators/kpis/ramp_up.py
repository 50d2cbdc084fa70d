"""Average ramp-up time: from a rep's first day at work to the first contact with a prospect. KPI 7."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, DAY_MS, Span
from aggregators.company import Company, Entity
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis.rep_retention import hires
from aggregators.people import Employee, Spell

BEFORE_THE_FIRST_DAY = "before the first day: counted as 0"
Milestone = Callable[[Ask], Mapping[str, list[date]]]
"""The days on which each rep, by id, passed it; in any order."""


def first_contact(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Time to the first completed contact with a prospect / reps hired in the window that reached it."""
    return _reached(ask, window, contacts)


def first_opportunity(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The same clock to the first opportunity owned at its creation (F13)."""
    return _reached(ask, window, creations)


def first_win(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The same clock to the first win, on its close date, of the owner at the close."""
    return _reached(ask, window, wins)


def contacts(ask: Ask) -> Mapping[str, list[date]]:
    """The local days of each rep's completed contacts with prospects, by the as-of instant."""
    found: dict[str, list[date]] = defaultdict(list)
    for contact in prospect_contacts(ask.company).values():
        rep = ask.people.resolve(contact.rep_id, contact.source)
        if rep is not None and contact.at_ms <= ask.as_of_ms:
            found[rep].append(contact.day)
    return found


class Contact(NamedTuple):
    """A completed contact with a prospect: whose, by the id that a source gave, and when."""

    rep_id: str | None
    source: str
    at_ms: int
    day: date


def prospect_contacts(company: Company) -> Mapping[str, Contact]:
    """Every completed contact with a prospect, by the id of its activity, in no order."""

    def contact(activity: Entity) -> Contact | None:
        reps = activity.history("rep_id") if activity.alive else ()
        if not reps or (activity.newest("with") or "prospect") != "prospect":
            return None
        completed = activity.newest("completed_at")
        at_ms = activity.statements[0].time_ms if completed is None else completed
        return Contact(reps[-1].value, reps[-1].event.source, at_ms, company.calendar.day(at_ms))

    return company.each("contact", contact, "activity")


def creations(ask: Ask) -> Mapping[str, list[date]]:
    """The days on which opportunities were created that each rep then owned."""
    if ask.company.tabled is not None:
        return ask.company.tabled.days_of(ask, "created")
    found: dict[str, list[date]] = defaultdict(list)
    for deal in ask.deals:
        if deal.created_on is not None and deal.created_in(ALWAYS) and deal.creator is not None:
            found[deal.creator].append(deal.created_on)
    return found


def wins(ask: Ask) -> Mapping[str, list[date]]:
    """The close dates of the deals that each rep has won."""
    if ask.company.tabled is not None:
        return ask.company.tabled.days_of(ask, "won")
    found: dict[str, list[date]] = defaultdict(list)
    for deal in ask.deals:
        if deal.outcome == "won" and deal.closed_on is not None and deal.closer is not None:
            found[deal.closer].append(deal.closed_on)
    return found


@dataclass(frozen=True, slots=True)
class Clock:
    """One spell of a rep in a sales role, and the day on which it reached the milestone, if it did."""

    employee: Employee
    spell: Spell
    reached_on: date | None

    @property
    def elapsed_ms(self) -> int | None:
        """From the first day to the milestone, in whole days (F9); 0 where it lies before that day."""
        if self.reached_on is None:
            return None
        return max(0, (self.reached_on - self.spell.start).days) * DAY_MS


def clocks(ask: Ask, window: Span, milestone: Milestone) -> Iterator[Clock]:
    """One clock for every spell that begins in the window (F13).

    What a rep did after an earlier spell had ended and before this one begins counts as before its
    first day; what he did after this one ended does not count.
    """
    # Every window and split of a refresh asks for the same days.
    tabled = ask.company.tabled
    key = milestone, ask.as_of_ms, tabled and tabled.version
    passed = ask.company.derived(key, lambda: milestone(ask))
    ended: dict[str, date] = {}
    for employee, spell in hires(ask):
        after = ended.get(employee.id, date.min)
        if spell.end is not None:
            ended[employee.id] = spell.end
        if spell.start in window:
            days = [
                day
                for day in passed.get(employee.id, [])
                if after < day and (spell.end is None or day <= spell.end)
            ]
            yield Clock(employee, spell, min(days, default=None))


def _reached(ask: Ask, window: Span, milestone: Milestone) -> Iterator[Contribution]:
    for clock in clocks(ask, window, milestone):
        if clock.elapsed_ms is not None and clock.reached_on is not None:
            note = BEFORE_THE_FIRST_DAY if clock.reached_on < clock.spell.start else ""
            yield Contribution(
                f"employee/{clock.employee.id}",
                ask.by(clock.employee.id, clock.spell.start),
                clock.elapsed_ms,
                1,
                on=clock.spell.start,
                note=note,
            )


RAMP_UP = Kpi(
    name="ramp_up",
    number=7,
    version=1,
    title=Text("Average ramp-up time", "業務人員的平均上手時間"),
    definition=Text(
        "First completed contact with a prospect - first day at work, in whole days, averaged over the reps "
        "hired in the window that reached it; further milestones: the first opportunity owned at its creation, "
        "the first win. A contact before the first day counts as 0 and is flagged. One clock per spell in a "
        "sales role; a rehire within the grace continues it. Each counts for the team of the first day.",
        "首次完成與潛在客戶的接觸 − 到職首日,以整日計,對期間內到職且已達成者取平均;"
        "另列首筆商機(建立時的負責人)與首次贏單。早於到職首日的接觸計為 0 並標示。"
        "每段業務任職一個計時,寬限期內回任者延續;歸屬到職首日的團隊。",
    ),
    dimensions=("rep", "team"),
    readings=(
        Reading(
            "first_contact",
            Text("to the first contact", "至首次接觸"),
            "seconds",
            first_contact,
            ("seconds", "count"),
        ),
        Reading(
            "first_opportunity",
            Text("to the first opportunity", "至首筆商機"),
            "seconds",
            first_opportunity,
            ("seconds", "count"),
        ),
        Reading(
            "first_win", Text("to the first win", "至首次贏單"), "seconds", first_win, ("seconds", "count")
        ),
    ),
)

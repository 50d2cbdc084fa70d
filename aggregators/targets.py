"""Targets: which statement holds for a window, and for how many of its days.

A window takes the target of exactly its period, else the finer ones if they cover it, else the
coarser one pro rata by days; a group takes its own statement, else the sum of its members'
(kpi-definitions.md, "Targets").
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Final, Literal

from aggregators.ask import Ask
from aggregators.calendar import FIRST_DAY, LAST_DAY, Span
from aggregators.company import Company, Entity
from aggregators.money import minor_units
from aggregators.people import People
from aggregators.question import Number
from events.subjects import TargetSubject, target_subject

Scope = Literal["rep", "team", "company"]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Target:
    """One target as stated. `name` is the employee's id or the team's name, empty for the company.

    `amount_minor` is in minor units of `currency`. Goals of a KPI's reading are no targets.
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


def shares(
    targets: Iterable[Target], window: Span, *, needs: Callable[[date], bool] = lambda _: True
) -> list[Share]:
    """What the window takes of the targets of one holder, oldest first; none if a day has no target.

    Where a window is neither a period, nor covered by finer ones, nor inside a coarser one (90 days
    across two quarters), each day takes the longest period inside the window, else the shortest
    around it. A window of which some days have no target has none at all: a part would mislead. Days
    that the holder does not need (before a rep was hired, after he left) may be without.
    """
    known = sorted(targets, key=lambda target: (target.span.start, target.span.end, target.id))
    if not known:
        return []
    for target in known:
        if target.span == window:
            return [Share(target, window)]
    if tiled := _finer(known, window, needs):
        return tiled
    around = [
        target for target in known if target.span.start <= window.start and window.end <= target.span.end
    ]
    if around:
        return [Share(min(around, key=lambda target: target.span.days), window)]
    return _day_by_day(known, window, needs)


def _finer(known: Sequence[Target], window: Span, needs: Callable[[date], bool]) -> list[Share]:
    """Whole periods that cover the window without a gap, the longest ones; none if they do not."""
    found, day = [], window.start
    while day <= window.end:
        begin_here = [t for t in known if t.span.start == day and t.span.end <= window.end]
        if begin_here:
            longest = max(begin_here, key=_days)
            found.append(Share(longest, longest.span))
            day = longest.span.end
        elif needs(day):
            return []
        day += DAY
    return found


def _day_by_day(known: Sequence[Target], window: Span, needs: Callable[[date], bool]) -> list[Share]:
    first, last = min(t.span.start for t in known), max(t.span.end for t in known)
    if any(needs(day) and not first <= day <= last for day in (window.start, window.end)):
        return []
    chosen = []
    for number in range(window.days):
        day = window.start + number * DAY
        holding = [target for target in known if day in target.span]
        if holding:
            inside = [t for t in holding if window.start <= t.span.start and t.span.end <= window.end]
            chosen.append((max(inside, key=_days) if inside else min(holding, key=_days), day))
        elif needs(day):
            return []
    runs = (list(run) for _, run in groupby(chosen, key=lambda pair: pair[0].id))
    return [Share(run[0][0], Span(run[0][1], run[-1][1])) for run in runs]


def _days(target: Target) -> int:
    return target.span.days


AMOUNT: Final = "amount"
WINS: Final = "wins"
Measure = Literal["amount", "wins"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some days of a target, in the group that they count for.

    `worth` is the whole target in minor units of the reporting currency, or in wins; None where the
    amount has no rate. `measure` tells which: wins may be stated only as an amount.
    """

    share: Share
    by: tuple[str, ...]
    measure: Measure
    worth: Number | None

    @property
    def value(self) -> Number | None:
        """What these days are worth."""
        if self.worth is None or self.share.span.days == self.share.target.span.days:
            return self.worth  # the whole of it: an integer stays one
        return self.worth * self.share.part

    @property
    def record(self) -> str:
        """What `explain` lists."""
        return f"target/{self.share.target.id}"


class Targets:
    """Every target of a company, and whose it is.

    A group's target is its own statement, else the sum of its members': of the company its teams, of a
    team its reps, each for the days he is in it. A rep on a day without a team is a member of the
    company alone. A manager's target is the sum of his direct reports', each for the days he is one:
    what is stated for a team or the company is for nobody's reports.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._held: Mapping[tuple[Scope, str], Sequence[Target]] = ask.company.derived(
            Targets, lambda: _by_holder(ask), "target", "employee"
        )

    def in_window(self, window: Span, *measures: Measure) -> Sequence[Piece]:
        """The targets of a window in the groups asked for; of the measures the first that a holder states."""
        ask = self._ask
        known: dict[Hashable, Sequence[Piece]] = ask.company.derived(
            (Piece, ask.as_of_on, ask.now_on), dict, "target", "employee", "fx_rate"
        )
        asked = window, measures, ask.question.by, ask.attribution
        if asked not in known:
            known[asked] = tuple(self._pieces_of(window, measures))
        return known[asked]

    def _pieces_of(self, window: Span, measures: Sequence[Measure]) -> Iterator[Piece]:
        if {"rep", "manager"} & set(self._ask.question.by):
            for rep in self._names("rep"):
                yield from self._of_rep(rep, window, measures)
            return
        if "team" not in self._ask.question.by and (own := self._own("company", "", window, measures)):
            yield from self._pieces(own, ())
            return
        teams = {team: self._own("team", team, window, measures) for team in self._names("team")}
        for team in sorted(teams):
            yield from self._pieces(teams[team], (team,) if self._ask.question.by else ())
        for rep in self._names("rep"):
            for piece in self._of_rep(rep, window, measures):
                if not teams.get(self._team(rep, piece.share.span.start) or ""):
                    yield piece

    def _names(self, scope: Scope) -> list[str]:
        return sorted(name for of, name in self._held if of == scope)

    def _own(
        self, scope: Scope, name: str, window: Span, measures: Sequence[Measure]
    ) -> list[tuple[Measure, Share]]:
        """What a holder itself states for the window, in the first measure in which it does."""
        for measure in measures:
            stating = [
                t
                for t in self._held.get((scope, name), ())
                if (t.wins if measure == WINS else t.amount_minor) is not None
            ]
            needs = self._employed(name) if scope == "rep" else lambda _: True
            if found := shares(stating, window, needs=needs):
                return [(measure, share) for share in found]
        return []

    def _employed(self, rep: str) -> Callable[[date], bool]:
        """Whether a rep is with the company on a day; who has no employee record always is."""
        employee = self._ask.people.employees.get(rep)
        spells = employee.spells if employee else []
        return lambda day: not spells or any(day in spell for spell in spells)

    def _of_rep(self, rep: str, window: Span, measures: Sequence[Measure]) -> Iterator[Piece]:
        """A rep's target, apart for the days in each team, and under each manager where that is asked for."""
        for measure, share in self._own("rep", rep, window, measures):
            days = [share.span.start + number * DAY for number in range(share.span.days)]
            for _, run in groupby(days, key=lambda day: (self._team(rep, day), self._ask.by(rep, day))):
                first, *others = run
                span = Span(first, others[-1] if others else first)
                yield from self._pieces([(measure, Share(share.target, span))], self._ask.by(rep, first))

    def _team(self, rep: str, day: date) -> str | None:
        on = self._ask.as_of_on if self._ask.attribution == "current" else day
        return self._ask.people.team(rep, on)

    def _pieces(self, own: Iterable[tuple[Measure, Share]], by: tuple[str, ...]) -> Iterator[Piece]:
        for measure, share in own:
            target = share.target
            worth: Number | None = target.wins
            if measure == AMOUNT and target.amount_minor is not None:
                # A target has one price: that of its last day, or of the as-of day until then.
                rate_on = min(target.span.end, self._ask.as_of_on)
                worth = self._ask.rates.convert(target.amount_minor, target.currency, rate_on)
            yield Piece(share, by, measure, worth)


def _by_holder(ask: Ask) -> dict[tuple[Scope, str], list[Target]]:
    held: dict[tuple[Scope, str], list[Target]] = defaultdict(list)
    for target in read_targets(ask.company, ask.people):
        held[target.scope, target.name].append(target)
    return dict(held)


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal for a reading of a KPI. `value` is in the KPI's unit, as stated; of money in `currency`.

    It is a Target, too, so that a window takes it by the same rule.
    """

    target: Target
    kpi: str
    reading: str
    value: Decimal


def read_goals(company: Company, people: People) -> Iterator[Goal]:
    """Every living goal, by id."""
    for entity in company.living("target"):
        subject, value = target_subject(entity.id), entity.newest("value")
        if subject.kpi and value is not None and _in_reach(subject.period):
            currency = entity.newest("currency") or company.meaning.company.currency
            target = _target(company, people, entity, subject, currency)
            yield Goal(target, subject.kpi, subject.reading, value)


def read_targets(company: Company, people: People) -> Iterator[Target]:
    """Every living target, goals left out, by id."""
    for entity in company.living("target"):
        subject = target_subject(entity.id)
        if subject.kpi or not _in_reach(subject.period):
            continue
        currency = entity.newest("currency") or company.meaning.company.currency
        amount, wins = entity.newest("amount"), entity.newest("wins")
        yield replace(
            _target(company, people, entity, subject, currency),
            amount_minor=None if amount is None else minor_units(amount, currency),
            wins=None if wins is None else Fraction(wins),
        )


def _target(
    company: Company, people: People, entity: Entity, subject: TargetSubject, currency: str
) -> Target:
    """Whose it is and for which days."""
    name = subject.name
    if subject.scope == "rep":
        name = people.resolve(name, entity.statements[-1].source) or name
    return Target(
        entity.id,
        subject.scope,
        name,
        company.calendar.named_period(subject.period)[1],
        currency=currency,
    )


def _in_reach(period: str) -> bool:
    return FIRST_DAY.year < int(period[:4]) < LAST_DAY.year

"""Goal: what a reading of any KPI should come to, beside what it comes to."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from aggregators.answer import groups, unit_name, windows
from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Figure, Kpi, Reading, Taken, Text
from aggregators.kpis import registry
from aggregators.money import exact_decimal, minor_units
from aggregators.opportunity import NO_RATE
from aggregators.question import Number, Row, Window
from aggregators.targets import Goal, Share, read_goals, shares

GOAL_PART, FIGURE_PART, DIFFERENCE_PART = "goal", "figure", "difference"
Labels = tuple[tuple[str, str], ...]
Holder = tuple[str, ...]
"""Whose a goal is: a rep's, a manager's or a team's name alone, or nothing for the company."""


def rows(ask: Ask) -> Iterator[Row]:
    """Three rows for each goal of a window: the goal, the figure, and the figure less the goal.

    Company-wide the company's goals, by team the teams', by rep the reps', by manager those stated for
    people who manage somebody, against the figure of their direct reports; goals are never added up. A
    goal for a KPI or reading that there is not, or for bars that are no figure (waterfall), has no rows.
    """
    for window, span in windows(ask, GOAL, GOAL.readings[0]):
        figures: dict[tuple[str, str], Mapping[Holder, Figure]] = {}
        for one in wanted_in(ask, span):
            if one.value is None:
                continue
            about = one.kpi, one.reading.name
            if about not in figures:
                figures[about] = _figures(ask, registry()[one.kpi], one.reading, span)
            figure = figures[about].get(one.holder) or _of_no_record(ask, one)
            difference = None if figure.value is None else figure.value - one.value
            yield _row(ask, window, one, GOAL_PART, Figure(one.value, 1))
            yield _row(ask, window, one, FIGURE_PART, figure)
            yield _row(ask, window, one, DIFFERENCE_PART, Figure(difference, figure.samples))


def apart(ask: Ask) -> Iterator[Taken]:
    """The goals of the window, each with the target events whose values it is made of."""
    (window, span) = windows(ask, GOAL, GOAL.readings[0])[-1]
    for one in wanted_in(ask, span):
        row = _row(ask, window, one, GOAL_PART, Figure(one.value, 1))
        reading = replace(one.reading, contributions=_meaning(one.reading), parts=None, compose=None)
        yield Taken(row, reading, one.stated)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reading should come to in a window, for one holder, as the target events state it.

    The numerators of `stated` are exact in the reading's unit; one without a rate has no sample.
    """

    kpi: str
    reading: Reading
    holder: Holder
    labels: Labels
    stated: tuple[Contribution, ...]

    @property
    def value(self) -> Number | None:
        """The goal; None where a part of it has no rate."""
        if not all(each.samples for each in self.stated):
            return None
        return sum((Fraction(each.numerator) for each in self.stated), Fraction())


def wanted_in(ask: Ask, span: Span) -> Iterator[Wanted]:
    """The goals of a window without the figures beside them, by KPI, reading and holder."""
    by = ask.question.by
    scope = "rep" if {"rep", "manager"} & set(by) else "team" if by else "company"
    holds = _holders(ask, span)
    stated: dict[tuple[str, str, str], list[Goal]] = defaultdict(list)
    for goal in read_goals(ask.company, ask.people):
        if goal.target.scope == scope and _is_known(goal) and holds(goal.target.name):
            stated[goal.kpi, goal.reading, goal.target.name].append(goal)
    for (kpi, name, holder), goals in sorted(stated.items()):
        reading, labels = registry()[kpi].reading(name), _labels(ask, holder, span)
        pieces = tuple(_pieces(ask, reading, goals, span, tuple(label for _, label in labels)))
        if pieces:
            yield Wanted(kpi, reading, (holder,) if by else (), labels, pieces)


def _holders(ask: Ask, span: Span) -> Callable[[str], bool]:
    """Whose goals are asked for: by manager only those of people who manage somebody at the window's end."""
    by = ask.question.by
    if "rep" in by or "manager" not in by:
        return lambda _: True
    on = min(span.end, ask.as_of_on)
    managers = {ask.people.manager(employee, on) for employee in ask.people.employees}
    return lambda holder: by == ("manager",) and holder in managers


def _row(ask: Ask, window: Window, wanted: Wanted, part: str, figure: Figure) -> Row:
    return Row(
        kpi="goal",
        reading=wanted.reading.name,
        definition_version=GOAL.version,
        by=(*wanted.labels, ("kpi", wanted.kpi), ("part", part)),
        window=window,
        as_of_ms=ask.as_of_ms,
        value=figure.value,
        unit=unit_name(ask, wanted.reading),
        numerator=None,
        denominator=None,
        samples=0 if figure.value is None else figure.samples,
        additive=False,
    )


def _of_no_record(ask: Ask, wanted: Wanted) -> Figure:
    """What a group without records comes to: 0 of a sum; of a ratio, or where there is no such split, nothing."""
    can_split = set(_split(ask)) <= set(registry()[wanted.kpi].dimensions)
    is_sum = not (wanted.reading.parts or wanted.reading.compose)
    return Figure(0 if can_split and is_sum else None, 0)


def _is_known(goal: Goal) -> bool:
    kpi = registry().get(goal.kpi)
    if kpi is None or kpi.rows or (kpi.partition and not kpi.partition.adds_up):
        return False
    return goal.reading in {reading.name for reading in kpi.readings}


def _labels(ask: Ask, holder: str, span: Span) -> Labels:
    """The holder under the dimensions asked for; a rep's team and manager are those at the window's end."""
    by = ask.question.by
    if "rep" not in by:
        return tuple((dimension, holder) for dimension in by)
    return tuple(zip(by, ask.by(holder, min(span.end, ask.as_of_on)), strict=True))


def _split(ask: Ask) -> tuple[str, ...]:
    """What figures are split by: a rep's is the whole of it, whichever teams and managers he had in the window."""
    return ("rep",) if "rep" in ask.question.by else ask.question.by


def _figures(ask: Ask, kpi: Kpi, reading: Reading, span: Span) -> Mapping[Holder, Figure]:
    """What a reading comes to in the window, by holder; nothing where the KPI cannot be split so.

    The values of a KPI that is always split (contracts by the band they expire in) are taken together.
    """
    by = _split(ask)
    if not set(by) <= set(kpi.dimensions):
        return {}
    question = replace(ask.question, kpi=kpi.name, window=f"{span.start}..{span.end}", by=by, periods=1)
    asked = Ask(ask.company, question)
    found: Iterable[Contribution] = reading.contributions(asked, windows(asked, kpi, reading)[-1][1])
    if kpi.partition:
        found = (replace(each, by=each.by[: len(by)]) for each in found)
    sums = groups(replace(kpi, partition=None), question, found)
    return {holder: reading.figure(asked, parts) for holder, parts in sums.items()}


def _pieces(
    ask: Ask, reading: Reading, goals: Sequence[Goal], span: Span, by: tuple[str, ...]
) -> Iterator[Contribution]:
    """What the goal of a window is made of; nothing where none is stated for it.

    What grows with the window takes the goal by the rule of targets, pro rata by days. A ratio, a mean, a
    level or a state at the window's end is not for sharing out: the goal of exactly its period, else of
    the shortest one around it, as it stands.
    """
    by_id = {goal.target.id: goal for goal in goals}
    targets = [goal.target for goal in goals]
    if reading.grows_with_window:
        found = shares(targets, span)
    else:
        around = [
            target for target in targets if target.span.start <= span.start and span.end <= target.span.end
        ]
        nearest = min(around, key=lambda target: (target.span.days, target.id), default=None)
        found = [Share(nearest, nearest.span)] if nearest else []
    for share in found:
        goal = by_id[share.target.id]
        value = _in_unit(ask, reading, goal)
        yield Contribution(
            f"target/{goal.target.id}",
            by,
            0 if value is None else Fraction(value) * share.part,
            samples=int(value is not None),
            on=share.span.start,
            note=NO_RATE if value is None else _note(reading, goal, share),
        )


def _note(reading: Reading, goal: Goal, share: Share) -> str:
    """What the event states, and how many of its days count here."""
    stated = exact_decimal(Fraction(goal.value))
    if reading.unit in ("money", "money_per_second"):
        stated += f" {goal.target.currency}"
    if share.part == 1:
        return f"stated: {stated}"
    return f"{share.span.days} of {goal.target.span.days} days of {stated}"


def _in_unit(ask: Ask, reading: Reading, goal: Goal) -> Number | None:
    """The stated value in the reading's exact unit; money at the rate of the goal's last day, if it has one."""
    stated, currency = Fraction(goal.value), goal.target.currency
    if reading.unit in ("money", "money_per_second"):
        rate_on = min(goal.target.span.end, ask.as_of_on)
        one = ask.rates.convert(minor_units(Decimal(1), currency), currency, rate_on)
        per = 1 if reading.unit == "money" else 1000
        return None if one is None else stated * one / per
    return stated * 1000 if reading.unit == "seconds" else stated


def _meaning(reading: Reading) -> Callable[[Ask, Span], Iterator[Contribution]]:
    return _shared_out if reading.grows_with_window else _as_it_stands


def _shared_out(_: Ask, __: Span) -> Iterator[Contribution]:
    """The goal as target events state it with `value`, each for its days in the window."""
    return iter(())


def _as_it_stands(_: Ask, __: Span) -> Iterator[Contribution]:
    """The goal as the target event of the shortest period around the window states it with `value`."""
    return iter(())


def _no_records(_: Ask, __: Span) -> Iterator[Contribution]:
    """What target events with a `value` state; the records are those of the KPI itself."""
    return iter(())


GOAL = Kpi(
    name="goal",
    version=2,
    title=Text("Goal", "目標值"),
    definition=Text(
        "For each goal that was set for a reading of a KPI: the goal, the figure, and the figure less the goal "
        "(by.part). What grows with its window, a count or an amount, takes the goal of exactly its window, "
        "else finer ones that cover it, else the coarser one pro rata by days; a ratio, a mean, a level or a "
        "state at the window's end (customers active, in grace) the goal of the shortest period around it. "
        "Goals are never added up: company, teams and people have their own. A person's goal stands "
        "beside his whole figure, under his team and manager at the window's end; by manager, beside the "
        "figure of his direct reports. Contracts expiring are those of all bands together; the bars of a "
        "waterfall are no figure, and have no goal.",
        "針對某 KPI 讀法所訂的每個目標值:目標值、實際值,以及實際值 − 目標值(by.part)。"
        "隨期間累計的筆數與金額取恰為該期間者,無則以涵蓋該期間的較短期合計,再無則以較長期按日數比例計;"
        "比率、平均、時點值與期末狀態(有效客戶、寬限期客戶)取包含該期間的最短期間者。"
        "目標值不相加:公司、團隊與人員各有其目標值。個人目標值對照其全部實際值,列於期末所屬團隊與主管之下;"
        "按主管分列時,對照其直屬成員的實際值。即將到期合約為各區間合計;瀑布圖各項並非單一數字,不設目標值。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=(Reading("any", Text("any reading", "任一讀法"), "count", _no_records),),
    rows=rows,
    apart=apart,
)

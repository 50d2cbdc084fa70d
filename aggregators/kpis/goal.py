"""Goal: what a reading of any KPI should come to, beside what it comes to."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from aggregators.answer import answer, unit_name, windows
from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Kpi, Reading, Text
from aggregators.kpis import registry
from aggregators.money import minor_units
from aggregators.question import Number, Row, Window
from aggregators.targets import Goal, Share, read_goals, shares

PARTS = ("goal", "figure", "difference")
Labels = tuple[tuple[str, str], ...]


def rows(ask: Ask) -> Iterator[Row]:
    """Three rows for each goal of a window: the goal, the figure, and the figure less the goal.

    Company-wide the company's goals, by team the teams', by rep the reps', by manager those stated for
    people who manage somebody, against the figure of their direct reports; goals are never added up. A
    goal for a KPI or reading that there is not has no rows.
    """
    for window, span in windows(ask, GOAL, GOAL.readings[0]):
        wanted = list(wanted_in(ask, span))
        figures = {kpi: _figures(ask, registry()[kpi], span) for kpi in {one.kpi for one in wanted}}
        for one in wanted:
            yield from _rows(ask, window, one, figures[one.kpi].get((one.reading.name, one.labels)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reading should come to in a window, exact in its unit, for one holder."""

    kpi: str
    reading: Reading
    labels: Labels
    value: Number


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
        reading = registry()[kpi].reading(name)
        wanted = _wanted(ask, reading, goals, span)
        if wanted is not None:
            yield Wanted(kpi, reading, _labels(ask, holder, span), wanted)


def _holders(ask: Ask, span: Span) -> Callable[[str], bool]:
    """Whose goals are asked for: by manager only those of people who manage somebody at the window's end."""
    by = ask.question.by
    if "rep" in by or "manager" not in by:
        return lambda _: True
    on = min(span.end, ask.as_of_on)
    managers = {ask.people.manager(employee, on) for employee in ask.people.employees}
    return lambda holder: by == ("manager",) and holder in managers


def _rows(ask: Ask, window: Window, wanted: Wanted, found: Row | None) -> Iterator[Row]:
    figure = found.value if found else _of_no_record(ask, wanted)
    values = (wanted.value, figure, None if figure is None else figure - wanted.value)
    for part, value in zip(PARTS, values, strict=True):
        samples = 1 if part == "goal" else found.samples if found else 0
        yield Row(
            kpi="goal",
            reading=wanted.reading.name,
            definition_version=GOAL.version,
            by=(*wanted.labels, ("kpi", wanted.kpi), ("part", part)),
            window=window,
            as_of_ms=ask.as_of_ms,
            value=value,
            unit=unit_name(ask, wanted.reading),
            numerator=None,
            denominator=None,
            samples=0 if value is None else samples,
            additive=False,
        )


def _of_no_record(ask: Ask, wanted: Wanted) -> Number | None:
    """What a group without a row comes to: 0 of a sum; of a ratio, or where there is no such split, nothing."""
    can_split = set(ask.question.by) <= set(registry()[wanted.kpi].dimensions)
    return 0 if can_split and not (wanted.reading.parts or wanted.reading.compose) else None


def _is_known(goal: Goal) -> bool:
    kpi = registry().get(goal.kpi)
    return kpi is not None and not kpi.rows and goal.reading in {reading.name for reading in kpi.readings}


def _labels(ask: Ask, holder: str, span: Span) -> Labels:
    """The holder under the dimensions asked for; a rep's team is the one at the window's end."""
    by = ask.question.by
    if "rep" not in by:
        return tuple((dimension, holder) for dimension in by)
    return tuple(zip(by, ask.by(holder, min(span.end, ask.as_of_on)), strict=True))


def _figures(ask: Ask, kpi: Kpi, span: Span) -> dict[tuple[str, Labels], Row]:
    """The KPI's figures of the window, by reading and group; none where it cannot be split so."""
    if not set(ask.question.by) <= set(kpi.dimensions):
        return {}
    question = replace(ask.question, kpi=kpi.name, window=f"{span.start}..{span.end}", periods=1)
    return {(row.reading, row.by): row for row in answer(ask.company, question)}


def _wanted(ask: Ask, reading: Reading, goals: Sequence[Goal], span: Span) -> Number | None:
    """The goal of a window, exact in the reading's unit.

    A sum (count or amount of what happened) takes the goal by the rule of targets, pro rata by days. A
    ratio, a mean or a level is not for sharing out: the goal of exactly its period, else of the
    shortest one around it, as it stands.
    """
    by_id = {goal.target.id: goal for goal in goals}
    targets = [goal.target for goal in goals]
    adds_up = reading.unit in ("count", "money") and not (reading.parts or reading.compose or reading.level)
    if adds_up:
        found = shares(targets, span)
    else:
        around = [
            target for target in targets if target.span.start <= span.start and span.end <= target.span.end
        ]
        nearest = min(around, key=lambda target: (target.span.days, target.id), default=None)
        found = [Share(nearest, nearest.span)] if nearest else []
    values = [(share, _in_unit(ask, reading, by_id[share.target.id])) for share in found]
    priced = [Fraction(value) * share.part for share, value in values if value is not None]
    return sum(priced, Fraction()) if priced and len(priced) == len(values) else None


def _in_unit(ask: Ask, reading: Reading, goal: Goal) -> Number | None:
    """The stated value in the reading's exact unit; money at the rate of the goal's last day, if it has one."""
    stated, currency = Fraction(goal.value), goal.target.currency
    if reading.unit in ("money", "money_per_second"):
        rate_on = min(goal.target.span.end, ask.as_of_on)
        one = ask.rates.convert(minor_units(Decimal(1), currency), currency, rate_on)
        per = 1 if reading.unit == "money" else 1000
        return None if one is None else stated * one / per
    return stated * 1000 if reading.unit == "seconds" else stated


def _no_records(_: Ask, __: Span) -> Iterator[Contribution]:
    """What target events with a `value` state; the records are those of the KPI itself."""
    return iter(())


GOAL = Kpi(
    name="goal",
    version=1,
    title=Text("Goal", "目標值"),
    definition=Text(
        "For each goal that was set for a reading of a KPI: the goal, the figure, and the figure less the goal "
        "(by.part). A count or an amount takes the goal of exactly its window, else finer ones that cover it, "
        "else the coarser one pro rata by days; a ratio, a mean or a level the goal of the shortest period "
        "around it. Goals are never added up: company, teams and people have their own. By manager, a person's "
        "goal stands beside the figure of his direct reports.",
        "針對某 KPI 讀法所訂的每個目標值:目標值、實際值,以及實際值 − 目標值(by.part)。"
        "筆數與金額取恰為該期間者,無則以涵蓋該期間的較短期合計,再無則以較長期按日數比例計;"
        "比率、平均與時點值取包含該期間的最短期間者。目標值不相加:公司、團隊與人員各有其目標值。按主管分列時,個人目標值對照其直屬成員的實際值。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=(Reading("any", Text("any reading", "任一讀法"), "count", _no_records),),
    rows=rows,
)

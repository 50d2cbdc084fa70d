"""One record's story: its history as folded, and where it counts at an instant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from typing import Any, Final

from aggregators.alone import ask_about
from aggregators.answer import windows
from aggregators.ask import Ask
from aggregators.calendar import FIRST_ASKED, LAST_DAY, Calendar, Span
from aggregators.company import Company, Entity
from aggregators.customers import Customers
from aggregators.kpi import Contribution, Kpi, Reading, Taken
from aggregators.kpis import registry
from aggregators.money import exact_decimal
from aggregators.question import Question, Window
from aggregators.render import Renderer
from aggregators.targets import read_goals, read_targets
from events.canonical import INSTANT_FIELDS
from events.errors import UsageError

_LESS_THAN_A_QUARTER: Final = 80
"""Days."""


def story(company: Company, record: str, question: Question, render: Renderer) -> dict[str, Any]:
    """One record's story: its history as folded, and where it counts at the instant, as JSON.

    It counts in a window: the one that the question names, else, KPI by KPI, the current one and those in
    which the days of its own history lie.

    `record` is `<entity>/<id>`, or an opportunity's id. Raises UsageError for one that nobody told of.
    """
    entity = _entity(company, record)
    name = f"{entity.kind}/{entity.id}"
    return {
        "record": name,
        "name": entity.newest("name") if entity.statements else None,
        "alive": entity.alive,
        "merged_into": entity.merged_into,
        "as_of": render.instant(question.as_of_ms),
        "history": [
            {
                "time": render.instant(event.time_ms),
                "verb": event.verb,
                "complete": event.complete,
                "source": event.source,
                "id": event.id,
                "states": {field: _plain(value, render, field) for field, value in event.data.items()},
            }
            for event in entity.events
        ],
        "counts": list(_counts(company, entity, question, render)),
    }


def _counts(
    company: Company, entity: Entity, question: Question, render: Renderer
) -> Iterator[dict[str, Any]]:
    """Every figure it is part of: in the windows that were asked for, else in those of its own days."""
    record, ask = f"{entity.kind}/{entity.id}", Ask(company, question)
    days = () if question.window else sorted(_days(ask, entity))
    for kpi in registry().values():
        asked = Question(
            kpi.name, question.as_of_ms, question.window, (), 1, question.attribution, question.now_ms
        )
        if kpi.apart:
            found = _with_those_of(days, windows(Ask(company, asked), kpi, kpi.readings[0]), ask.calendar)
            for window, _ in found:
                yield from _counts_apart(company, record, kpi, kpi.apart, asked, window, render)
            continue
        ask = ask_about(entity, company, asked, kpi)
        for reading in kpi.readings:
            found = windows(ask, kpi, reading)
            if not reading.level:
                found = _with_those_of(days, found, ask.calendar)
            for window, span in found:
                for each in reading.contributions(ask, span):
                    if each.record == record:
                        yield _counted(kpi, reading, window, each, render)


def _counted(
    kpi: Kpi, reading: Reading, window: Window, counts: Contribution, render: Renderer
) -> dict[str, Any]:
    over, under = reading.units_of(counts.part)
    divided = reading.parts or counts.part
    found = {
        "kpi": kpi.name,
        "reading": reading.name,
        "by": dict(zip([kpi.partition.name], counts.by, strict=True)) if kpi.partition else {},
        "window": window.name,
        "start": window.start and window.start.isoformat(),
        "end": window.end and window.end.isoformat(),
        "on": counts.on and counts.on.isoformat(),
        "numerator": render.unrounded(counts.numerator, over),
        "denominator": render.unrounded(counts.denominator, under) if divided else None,
        "note": counts.note,
    }
    return {**found, "part": counts.part} if counts.part else found


def _with_those_of(
    days: Iterable[date], asked: Sequence[tuple[Window, Span]], calendar: Calendar
) -> list[tuple[Window, Span]]:
    """The windows of a KPI's own kind in which one of these days lies, oldest first, and the one asked for.

    A trailing window has no days of its own: of it those that end with a fiscal quarter of these days.
    """
    name, now = asked[-1][0].name or "all", asked[-1][1]
    is_trailing = name.startswith("trailing_")
    found = {span: window for window, span in asked}
    for day in days if name != "all" else ():
        last = calendar.period("fiscal_quarter", day).end if is_trailing else day
        if last <= LAST_DAY and not (is_trailing and last >= now.end):
            window, span = calendar.windows(name, last)[-1]
            found.setdefault(span, window)
    return sorted(((window, span) for span, window in found.items()), key=lambda each: each[1].end)


def _days(ask: Ask, entity: Entity) -> set[date]:
    """The local days of its history on which it may begin or cease to count somewhere.

    Those of its events and of the dates that they state; of an account also those of its contracts.
    """
    found: set[date] = set()
    for event in entity.events:
        found.add(ask.calendar.day(event.time_ms))
        for field, value in event.data.items():
            if field in INSTANT_FIELDS and value is not None:
                found.add(ask.calendar.day(value))
            elif isinstance(value, date):
                found |= _ends_and_after(value)
    if entity.kind == "account" and (customer := Customers(ask).of(entity.id)):
        for contract in customer.contracts:
            found |= {contract.signed_on, contract.start_on}
            for last in (contract.end_on, contract.cancelled_on, contract.replaced_on):
                found |= _ends_and_after(last) if last else set()
    if entity.kind == "target":
        goals = (goal.target for goal in read_goals(ask.company, ask.people))
        for target in chain(read_targets(ask.company, ask.people), goals):
            if target.id == entity.id:
                every = range(0, target.span.days, _LESS_THAN_A_QUARTER)
                found |= {target.span.start + timedelta(days=number) for number in every} | {target.span.end}
    return {day for day in found if FIRST_ASKED <= day <= LAST_DAY}


def _ends_and_after(day: date) -> set[date]:
    """A day, and the next one: what is in force until a day is missing from the next one on."""
    return {day, min(day, LAST_DAY) + timedelta(days=1)}


def _counts_apart(
    company: Company,
    record: str,
    kpi: Kpi,
    apart: Callable[[Ask], Iterable[Taken]],
    asked: Question,
    window: Window,
    render: Renderer,
) -> Iterator[dict[str, Any]]:
    """Where a record counts that is in figures of some holders alone: the goal of a rep is not the company's."""
    days = asked.window if window.start is None else f"{window.start}..{window.end}"
    for by in ((), *((dimension,) for dimension in kpi.dimensions)):
        for taken in apart(Ask(company, replace(asked, by=by, window=days))):
            for each in taken.contributions:
                if each.record == record:
                    labels = dict(taken.row.by)
                    yield _counted(kpi, taken.reading, window, each, render) | {"by": labels}


def _entity(company: Company, record: str) -> Entity:
    kind, _, entity_id = record.partition("/")
    found = company.find(kind, entity_id) if entity_id else None
    found = found or company.find("opportunity", record)
    if found is None:
        raise UsageError(
            f"nothing was ever told of {record!r}: name an opportunity's id, or <entity>/<id> such as "
            "account/acme, contract/c-1, employee/e-7"
        )
    return found


def _plain(value: Any, render: Renderer, field: str) -> Any:
    if field in INSTANT_FIELDS and value is not None:
        return render.instant(value)
    if isinstance(value, Decimal):  # as short as it may be told, whichever state it was read from
        return exact_decimal(Fraction(value))
    return (
        [str(each) for each in value] if isinstance(value, tuple) else None if value is None else str(value)
    )

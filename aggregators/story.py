"""One record's story: its history as folded, and where it counts at an instant."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from aggregators.answer import windows
from aggregators.ask import Ask
from aggregators.company import Company, Entity
from aggregators.kpi import Kpi, Taken
from aggregators.kpis import registry
from aggregators.money import exact_decimal
from aggregators.question import Question
from aggregators.render import Renderer
from events.canonical import INSTANT_FIELDS
from events.errors import UsageError


def story(company: Company, record: str, question: Question, render: Renderer) -> dict[str, Any]:
    """One record's story: its history as folded, and where it counts at the instant, as JSON.

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
        "counts": list(_counts(company, name, question, render)),
    }


def _counts(company: Company, record: str, question: Question, render: Renderer) -> Iterable[dict[str, Any]]:
    for kpi in registry().values():
        asked = Question(
            kpi.name, question.as_of_ms, question.window, (), 1, question.attribution, question.now_ms
        )
        if kpi.apart:
            yield from _counts_apart(company, record, kpi, kpi.apart, asked, render)
            continue
        ask = Ask(company, asked)
        for reading in kpi.readings:
            (window, span) = windows(ask, kpi, reading)[-1]
            units = reading.parts or (reading.unit, reading.unit)
            for each in reading.contributions(ask, span):
                if each.record == record:
                    yield {
                        "kpi": kpi.name,
                        "reading": reading.name,
                        "by": dict(zip([kpi.partition.name], each.by, strict=True)) if kpi.partition else {},
                        "window": window.name,
                        "on": each.on and each.on.isoformat(),
                        "numerator": render.unrounded(each.numerator, units[0]),
                        "denominator": render.unrounded(each.denominator, units[1])
                        if reading.parts
                        else None,
                        "note": each.note,
                    }


def _counts_apart(
    company: Company,
    record: str,
    kpi: Kpi,
    apart: Callable[[Ask], Iterable[Taken]],
    asked: Question,
    render: Renderer,
) -> Iterable[dict[str, Any]]:
    """Where a record counts that is in figures of some holders alone: the goal of a rep is not the company's."""
    for by in ((), *((dimension,) for dimension in kpi.dimensions)):
        for taken in apart(Ask(company, replace(asked, by=by))):
            for each in taken.contributions:
                if each.record == record:
                    yield {
                        "kpi": kpi.name,
                        "reading": taken.row.reading,
                        "by": dict(taken.row.by),
                        "window": taken.row.window.name,
                        "on": each.on and each.on.isoformat(),
                        "numerator": render.unrounded(each.numerator, taken.reading.unit),
                        "denominator": None,
                        "note": each.note,
                    }


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

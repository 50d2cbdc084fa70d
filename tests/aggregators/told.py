"""Events in few words, for tests: who was told what, and when."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from aggregators.answer import answer
from aggregators.calendar import Calendar, instant_ms
from aggregators.company import Company
from aggregators.kpis import find_kpi
from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import KpiSettings, Meaning, Pipeline, Stage
from aggregators.question import Question, Row
from aggregators.state import partition_state
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.answer import is_fast
from aggregators.tables.deals import DealTable
from events.canonical import encode
from events.event import Event

_numbers = count(1)
_MONEY = {"amount", "probability", "rate", "value", "recurring_amount", "one_time_amount"}
_DATES = {
    "close_date",
    "date",
    "hired_on",
    "left_on",
    "effective_on",
    "signed_on",
    "start_date",
    "end_date",
    "cancelled_on",
}


def ms(moment: str) -> int:
    """`2026-01-05` (noon UTC) or an RFC 3339 instant, in ms since 2000."""
    if len(moment) == 10:
        moment += "T12:00:00Z"
    return instant_ms(datetime.fromisoformat(moment))


def told(
    entity: str,
    subject: str,
    time: str,
    verb: str = "changed",
    *,
    source: str = "/crm",
    event_id: str | None = None,
    sequence: str = "",
    complete: bool = False,
    **fields: Any,
) -> Event:
    """One event; texts of dates, instants and money become what the reader makes of them."""
    data = {name.rstrip("_"): _value(name.rstrip("_"), value) for name, value in fields.items()}
    event_id = event_id or f"e{next(_numbers):09d}"
    return Event(entity, verb, subject, source, event_id, ms(time) * 10**6, sequence, complete, None, data)


def opp(subject: str, time: str, verb: str = "changed", **fields: Any) -> Event:
    """One event about an opportunity."""
    return told("opportunity", subject, time, verb, **fields)


def rate(pair: str, day: str, value: str | None) -> Event:
    """`EUR/USD` cost that much on a day."""
    base, quote = pair.split("/")
    return told("fx_rate", f"{pair}/{day}", day, base=base, quote=quote, date=day, rate=value)


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _DATES:
        return date.fromisoformat(value)
    if name in _MONEY:
        return Decimal(value)
    return ms(value) if name in ("created_at", "completed_at") else value


STAGES = (
    Stage(name="Prospecting", probability=0.1, stalled_after_days=21),
    Stage(name="Proposal", probability=0.5, forecast_category="best_case", stalled_after_days=14),
    Stage(name="Negotiation", probability=0.8, forecast_category="commit"),
    Stage(name="Won", kind="won", probability=1),
    Stage(name="Won Paid", kind="won", probability=1),
    Stage(name="Lost", kind="lost"),
    Stage(name="Duplicate", kind="omitted"),
)


def meaning(
    *,
    kpis: Mapping[str, Any] | None = None,
    pipelines: Mapping[str, tuple[Stage, ...]] | None = None,
    **company: Any,
) -> Meaning:
    """A configuration: the stages above, the company in UTC and USD unless told otherwise."""
    return Meaning(
        company=CompanySettings(**company),
        pipelines={
            name: Pipeline(stages=stages) for name, stages in (pipelines or {"default": STAGES}).items()
        },
        kpis=KpiSettings(**(kpis or {})),
    )


PLAIN = meaning()


def company_of(*events: Event, meaning: Meaning = PLAIN) -> Company:
    """The company that these events tell of."""
    return Company.from_events(meaning, events)


def end_of(day: str, meaning: Meaning = PLAIN) -> int:
    """The last instant of a local day."""
    return Calendar(meaning.company).end_ms(date.fromisoformat(day))


def rows(
    company: Company, kpi: str, as_of: str, by: str = "", window: str | None = None, **others: Any
) -> list[Row]:
    """The answer to a question; `as_of` is a day (its end) or an instant.

    Where there is a fast road it must answer alike, so that every figure worked out by hand holds both.
    """
    instant = end_of(as_of, company.meaning) if len(as_of) == 10 else ms(as_of)
    dimensions = tuple(by.split(",")) if by else ()
    question = Question(kpi, instant, window, dimensions, **others)
    found = answer(company, question)
    if is_fast(find_kpi(kpi)):
        table, rest = company.derived("both roads", lambda: _tabled(company))
        assert fast_answer(table, rest, question) == found, "the two roads differ"
    return found


def _tabled(company: Company) -> tuple[DealTable, Company]:
    """What a worker makes of the opportunities and an exporter of its changes, and the company without them."""
    around = (event for event in company.events() if event.entity != "opportunity")
    events = [event for event in company.events() if event.entity == "opportunity"]
    state = partition_state("crm.opportunity", 0, 1, "murmur2", company.meaning)
    state.fold([event.subject.encode() for event in events], [encode(event) for event in events])
    table = DealTable()
    if (change := state.take_change()) is not None:
        table.apply("crm.opportunity/0", [change.facts])
    return table, Company.from_events(company.meaning, around)


def row(company: Company, kpi: str, reading: str, as_of: str, **others: Any) -> Row:
    """The one row of a reading, company-wide unless `group` says a label of the split `by`."""
    group = others.pop("group", None)
    found = [
        each
        for each in rows(company, kpi, as_of, **others)
        if each.reading == reading and (group is None or each.by[0][1] == group)
    ]
    assert len(found) == 1, found
    return found[0]


def value(company: Company, kpi: str, reading: str, as_of: str, **others: Any) -> Any:
    """The value of that row."""
    return row(company, kpi, reading, as_of, **others).value


def day_after(day: str, days: int = 1) -> str:
    """The ISO date so many days later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]

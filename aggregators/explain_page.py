"""An explanation as JSON, and the options of `dealpulse explain`, which `/api/explain` shares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aggregators.as_reported import AsReported, Reckoned, as_reported, notes
from aggregators.calendar import Calendar
from aggregators.company import Company
from aggregators.explain import Explanation, Move, explain, moves, ordered, reading_of
from aggregators.kpi import Contribution, Reading, Sums
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.render import Renderer
from aggregators.reported import Freeze, Period, Reported, Schedule, frozen_window
from aggregators.request import as_of_ms
from aggregators.story import story
from events.errors import UsageError

PER_PAGE = 50


def explained(
    company: Company,
    *,
    now_ms: int,
    kpi: str | None = None,
    entity: str | None = None,
    reading: str | None = None,
    where: Sequence[str] = (),
    window: str | None = None,
    as_of: str | None = None,
    against: str | None = None,
    attribution: str | None = None,
    sort: str = "-numerator",
    page: int = 1,
    per_page: int = PER_PAGE,
    reported: AsReported | None = None,
) -> dict[str, Any]:
    """The answer to `dealpulse explain`: a figure taken apart, what moved it, or one record's story.

    `where` holds `dimension=label`. `reported` is the figure as it was kept, where the caller knows the log
    and what is kept; without it the events here tell what was known. Raises UsageError for what there is not.
    """
    render = Renderer(company.meaning)
    instant = now_ms if as_of is None else as_of_ms(as_of, company.calendar)
    if entity is not None:
        return story(company, entity, Question("", instant, window, (), 1, attribution, now_ms), render)
    if kpi is None:
        raise UsageError("name a KPI, or a record with entity")
    question, labels = explained_question(
        company.calendar,
        now_ms=now_ms,
        kpi=kpi,
        where=where,
        window=window,
        as_of=as_of,
        against=against,
        attribution=attribution,
    )
    if against == "reported":
        reported = reported or _from_these_events(company, question, reading, labels)
        question = _restated(question, reported.period, reading, company.calendar)
    found = explain(company, question, reading, labels)
    shown = document(found, company, render, sort=sort, page=page, per_page=per_page)
    if against is None:
        return shown
    if reported is not None:
        moved = moves_document(reported.before, found, company, render)
        return {**shown, "against": {**moved, "reported": _reported_document(reported, company, render)}}
    before = explain(company, _at(question, company, as_of_ms(against, company.calendar)), reading, labels)
    return {**shown, "against": moves_document(before, found, company, render)}


def explained_question(
    calendar: Calendar,
    *,
    now_ms: int,
    kpi: str,
    where: Sequence[str] = (),
    window: str | None = None,
    as_of: str | None = None,
    against: str | None = None,
    attribution: str | None = None,
    **_: object,
) -> tuple[Question, dict[str, str]]:
    """The question that the options of `explained` put, and the labels of its group.

    Against reported figures its window is the last complete fiscal quarter unless one is named.
    """
    instant = now_ms if as_of is None else as_of_ms(as_of, calendar)
    if against == "reported" and window is None:
        window = last_quarter(calendar, instant)
    return Question(kpi, instant, window, (), 1, attribution, now_ms), dict(_pair(each) for each in where)


def last_quarter(calendar: Calendar, instant_ms: int) -> str:
    """The days of the last complete fiscal quarter, as a window."""
    (window, _), _ = calendar.windows("fiscal_quarter", calendar.day(instant_ms), 2)
    return f"{window.start}..{window.end}"


def reported_figure(
    known: Company, question: Question, period: Period, reading: str | None, where: Mapping[str, str]
) -> Explanation:
    """The figure of a period from a company as it was known at the freeze, taken apart (G8)."""
    as_of = known.calendar.end_ms(period.end)
    same = replace(question, as_of_ms=as_of, window=f"{period.start}..{period.end}", now_ms=None)
    # Later exchange rates were no part of it either: its future begins on its own last day.
    return explain(known, same, reading, where)


def reported_period(
    meaning: Meaning, question: Question, held: Reported | None = None
) -> tuple[Period, Freeze | None]:
    """The period that a question's window is, and its freeze among those `held`.

    Of a frozen period the instant is the one at which it froze, else the one at which it is due by today's
    configuration. Raises UsageError where the window is no month, fiscal quarter or fiscal year, or was
    not due by the question's instant.
    """
    schedule, kpi = Schedule(meaning), find_kpi(question.kpi)
    if kpi.rows:
        raise UsageError(f"{kpi.name} is never frozen: explain the KPI it is about against what was reported")
    calendar = schedule.calendar
    (window, _) = calendar.windows(question.window or kpi.window, calendar.day(question.as_of_ms))[-1]
    freeze = None if held is None else held.frozen(window)
    period = frozen_window(schedule, window) if freeze is None else freeze.period
    if period.frozen_ms > question.as_of_ms:
        due = calendar.day(period.frozen_ms)
        raise UsageError(
            f"the figures of {period.start}..{period.end} are not frozen before the end of {due}"
        )
    return period, freeze


def _from_these_events(
    company: Company, question: Question, reading: str | None, where: Mapping[str, str]
) -> AsReported:
    """What would have been reported, as far as the events themselves tell when they were known."""
    period, _ = reported_period(company.meaning, question)
    known = reported_figure(company.known_by(period.frozen_ms), question, period, reading, where)
    return as_reported(period, Reckoned(known, known, {}), question, Reported(), None, company.meaning.digest)


def _restated(question: Question, period: Period, reading: str | None, calendar: Calendar) -> Question:
    """The question of the restated figure: a level's is as of the period's end, as it was when it was frozen."""
    if not reading_of(find_kpi(question.kpi), reading).level:
        return question
    return replace(question, as_of_ms=min(question.as_of_ms, calendar.end_ms(period.end)))


def _at(question: Question, company: Company, instant_ms: int) -> Question:
    """The question about the same days, as of another instant."""
    kpi = find_kpi(question.kpi)
    asked = question.window or kpi.window
    (window, _) = company.calendar.windows(asked, company.calendar.day(question.as_of_ms))[-1]
    same = asked if window.start is None else f"{window.start}..{window.end}"
    return replace(question, as_of_ms=instant_ms, window=same)


def pairs(where: Sequence[str]) -> tuple[str, ...]:
    """The `dimension=label` of a request, in which each is a parameter of its own.

    One parameter alone may hold several by commas. A comma ends a pair only where another dimension follows
    it: `region=Korea, Republic of` is one pair, `region=Korea,team=North` are two.
    """
    found = [text for text in where if text.strip()]
    if len(found) != 1:
        return tuple(found)
    known = {name for kpi in registry().values() for name in kpi.dimensions}
    known |= {kpi.partition.name for kpi in registry().values() if kpi.partition}
    split: list[str] = []
    for part in found[0].split(","):
        name, equals, _ = part.partition("=")
        if not split or (equals and name.strip() in known):
            split.append(part)
        else:
            split[-1] += f",{part}"
    return tuple(split)


def _pair(text: str) -> tuple[str, str]:
    name, equals, label = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} names no group: write it as in rep=ann")
    return name.strip(), label


def document(
    explanation: Explanation,
    company: Company,
    render: Renderer,
    *,
    sort: str = "-numerator",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> dict[str, Any]:
    """The explanation as JSON: the row, the words, the arithmetic, and one page of records.

    Records are unrounded decimals in the units of the figure. Raises UsageError for a page that is none.
    """
    if page < 1 or per_page < 1:
        raise UsageError(f"page {page} of {per_page} records: both begin at 1")
    kpi, reading = explanation.kpi, explanation.reading
    records = ordered(explanation.contributions, sort)
    shown = records[(page - 1) * per_page : page * per_page]
    return {
        **render.record(explanation.shown),
        "title": {"en": kpi.title.en, "zh-TW": kpi.title.zh},
        "definition": {"en": kpi.definition.en, "zh-TW": kpi.definition.zh},
        "reading_definition": " ".join((reading.contributions.__doc__ or reading.title.en).split()),
        "arithmetic": arithmetic(explanation, render),
        "exact": _exact(explanation, render),
        "records": {
            "total": len(records),
            "page": page,
            "per_page": per_page,
            "sort": sort,
            "list": [_record(each, explanation, company, render) for each in shown],
        },
    }


def moves_document(
    before: Explanation, after: Explanation, company: Company, render: Renderer
) -> dict[str, Any]:
    """What moved a figure between two instants, as JSON."""
    return {
        "before": render.record(before.shown),
        "after": render.record(after.shown),
        "moved": [_move(move, after, company, render) for move in moves(before, after)],
    }


def _reported_document(reported: AsReported, company: Company, render: Renderer) -> dict[str, Any]:
    """What is to be said about the figure that was reported, as JSON.

    `kept` is false where the figure before is what the log says, for want of a kept one; `log` is what the log
    says of the freeze today; `late` are the records that make the difference between the two.
    """
    late = []
    for move in reported.late_moves if reported.is_comparable else ():
        known = reported.late.get(move.record)
        late.append(
            {
                **_move(move, reported.known, company, render),
                "known_at": known and render.instant(known.known_ms),
                "appended_at": known and render.instant(known.appended_ms),
            }
        )
    kept = reported.kept
    return {
        "kept": kept is not None,
        "frozen_at": render.instant(reported.period.frozen_ms),
        "definition_version": None if kept is None else kept.definition_version,
        "settings_changed": reported.settings_changed,
        "log": render.record(reported.known.row),
        "late": late,
        "notes": notes(reported, render),
    }


def _move(move: Move, of: Explanation, company: Company, render: Renderer) -> dict[str, Any]:
    def added(contribution: Contribution | None) -> dict[str, Any] | None:
        return _record(contribution, of, company, render) if contribution else None

    return {
        "record": move.record,
        "part": move.part,
        "name": company.name_of(move.record),
        "difference": render.unrounded(move.difference, of.reading.units_of(move.part)[0]),
        "before": added(move.before),
        "after": added(move.after),
    }


def arithmetic(explanation: Explanation, render: Renderer) -> str:
    """The arithmetic with the numbers put in: `96 / 156 = 0.615384615385`."""
    row = explanation.shown
    unit, over, under = render.units(row)
    value = "no sample" if row.value is None else f"{render.value(row.value, unit)} {row.unit}"
    if explanation.reading.compose:
        parts = [
            f"{part}: {top}" + (f" / {bottom}" if bottom not in ("0", None) else "")
            for part, sums in explanation.parts.items()
            for top, bottom in [_part_texts(explanation.reading, part, sums, render)]
        ]
        return f"{'; '.join(parts) or 'no records'} = {value}"
    if row.numerator is None or row.denominator is None:
        return f"sum of {len(explanation.contributions)} records = {value}"
    return f"{render.value(row.numerator, over)} / {render.value(row.denominator, under)} = {value}"


def _part_texts(reading: Reading, part: str, sums: Sums, render: Renderer) -> tuple[str | None, str | None]:
    over, under = reading.units_of(part)
    return render.unrounded(sums.numerator, over), render.unrounded(sums.denominator, under)


def _exact(explanation: Explanation, render: Renderer) -> dict[str, Any]:
    """Numerator and denominator, of a composed reading those of its parts: the unrounded sums of the records."""
    reading, row = explanation.reading, explanation.row
    over, under = reading.units_of("")
    top = row.numerator if row.numerator is not None else row.value
    found = {
        "numerator": render.unrounded(top, over),
        "denominator": render.unrounded(row.denominator, under),
    }
    if not reading.compose:
        return found
    return {
        **found,
        "parts": {
            part: {
                "numerator": _part_texts(reading, part, sums, render)[0],
                "denominator": _part_texts(reading, part, sums, render)[1],
                "samples": sums.samples,
            }
            for part, sums in explanation.parts.items()
        },
    }


def _record(
    contribution: Contribution, explanation: Explanation, company: Company, render: Renderer
) -> dict[str, Any]:
    reading = explanation.reading
    over, under = reading.units_of(contribution.part)
    divided = reading.parts or contribution.part
    found = {
        "record": contribution.record,
        "name": company.name_of(contribution.record),
        "on": contribution.on.isoformat() if contribution.on else None,
        "numerator": render.unrounded(contribution.numerator, over),
        "denominator": render.unrounded(contribution.denominator, under) if divided else None,
        "note": contribution.note,
    }
    return {**found, "part": contribution.part} if contribution.part else found

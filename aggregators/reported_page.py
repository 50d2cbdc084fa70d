"""Restated and as-reported figures side by side: `dealpulse kpi --reported` and `/api/reported`."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from aggregators.kpi import Kpi
from aggregators.kpis import find_kpi
from aggregators.question import Question, Row
from aggregators.render import Renderer, columns, value_text
from aggregators.reported import KPIS, SPLITS, Period, Reported, Schedule, empty, frozen_window
from events.errors import UsageError

Answers = Callable[[Question], list[Row]]


def frozen_kpis(by: str) -> str:
    """The frozen KPIs that can be split so (dimensions by commas), by commas: who names none means all."""
    dimensions = {name.strip() for name in by.split(",") if name.strip()}
    return ",".join(name for name in KPIS if dimensions <= set(find_kpi(name).dimensions))


def period_questions(schedule: Schedule, put: Iterable[Question]) -> list[tuple[Question, Period]]:
    """Each question of frozen figures, once per period that it asks for, the oldest first.

    Its window is the days of the period. Raises UsageError for a KPI that is never frozen, another split
    than company-wide, by team or by rep, and a window that is no month, fiscal quarter or fiscal year.
    """
    found, calendar = [], schedule.calendar
    for question in put:
        if question.kpi not in KPIS:
            raise UsageError(f"{question.kpi} is never frozen; as reported there are {', '.join(KPIS)}")
        if question.by not in SPLITS:
            raise UsageError("as-reported figures are kept company-wide, by team and by rep: split by one")
        if question.attribution is not None:
            raise UsageError("as-reported figures have the configured attribution: leave it out")
        asked = question.window or "fiscal_quarter"
        for window, _ in calendar.windows(asked, calendar.day(question.as_of_ms), question.periods):
            period = frozen_window(schedule, window)
            days = f"{period.start}..{period.end}"
            found.append((replace(question, window=days, periods=1), period))
    return found


def restated(schedule: Schedule, question: Question, period: Period, answers: Answers) -> list[Row]:
    """The figures as known now. A level is asked at the end of the period, as it was when it was frozen."""
    kpi = find_kpi(question.kpi)
    end_ms = min(question.as_of_ms, schedule.calendar.end_ms(period.end))
    levels = {reading.name for reading in kpi.readings if reading.level}
    flows = {reading.name for reading in kpi.readings} - levels
    rows = [row for row in answers(question) if row.reading in flows] if flows else []
    if levels:
        at_the_end = replace(question, as_of_ms=end_ms)
        rows += [row for row in answers(at_the_end) if row.reading in levels]
    return [replace(row, window=period.window) for row in rows]


def side_by_side(
    render: Renderer, period: Period, question: Question, now: Sequence[Row], held: Reported
) -> list[dict[str, Any]]:
    """One record per reading and group: restated, reported (null before the freeze), and the difference.

    The difference is restated - reported; it is null where either has no sample, and where the
    definitions are of different versions: then both are shown, and nothing is compared.
    """
    kpi, freeze = find_kpi(question.kpi), held.freeze(period.window)
    names = [reading.name for reading in kpi.readings]
    kept = {
        (row.reading, row.by): row
        for row in held.rows(kpi.name, period.window)
        if tuple(name for name, _ in row.by) == question.by and row.reading in names
    }
    current = {(row.reading, row.by): row for row in now}
    found = []
    for key in sorted(current.keys() | kept.keys(), key=lambda each: (names.index(each[0]), each[1])):
        one, other = current.get(key), kept.get(key)
        like = one or other
        assert like is not None
        if one is None:
            one = _empty(kpi, like, kpi.version)
        if other is None and freeze is not None and kpi.name in freeze.versions:
            other = _empty(kpi, like, freeze.versions[kpi.name])
        unit = render.units(like)[0]
        comparable = other is not None and other.definition_version == one.definition_version
        difference = None
        if comparable and other is not None and one.value is not None and other.value is not None:
            difference = Fraction(one.value) - Fraction(other.value)
        found.append(
            {
                "kpi": kpi.name,
                "reading": key[0],
                "by": dict(key[1]),
                "window": {
                    "name": period.kind,
                    "start": period.start.isoformat(),
                    "end": period.end.isoformat(),
                },
                "unit": like.unit,
                "frozen_at": render.instant(period.frozen_ms) if freeze is not None else None,
                "restated": _side(render, one),
                "reported": None if other is None else _side(render, other),
                "difference": render.value(difference, unit),
            }
        )
    return found


def _empty(kpi: Kpi, like: Row, version: int) -> Row:
    return empty(like, kpi.reading(like.reading), version)


def _side(render: Renderer, row: Row) -> dict[str, Any]:
    shown = render.record(row)
    return {
        name: shown[name] for name in ("definition_version", "value", "numerator", "denominator", "samples")
    }


def reported_text(records: Sequence[dict[str, Any]]) -> str:
    """The records as a table for people."""
    if not records:
        return "No group has a record.\n"
    dimensions = list(dict.fromkeys(name for record in records for name in record["by"]))
    lines = []
    for record in records:
        unit, reported, window = record["unit"], record["reported"], record["window"]
        versions = f"version {reported['definition_version']}" if reported else ""
        differs = reported and reported["definition_version"] != record["restated"]["definition_version"]
        lines.append(
            [
                record["kpi"],
                record["reading"],
                *(record["by"].get(dimension, "") for dimension in dimensions),
                f"{window['name']} {window['start']}..{window['end']}",
                value_text(record["restated"]["value"], unit),
                value_text(reported["value"], unit) if reported else "not frozen",
                versions if differs else value_text(record["difference"], unit) if reported else "",
            ]
        )
    heads = ["kpi", "reading", *dimensions, "window", "restated", "reported", "difference"]
    return columns(heads, lines, {"restated", "reported", "difference"})


def reported_csv(records: Sequence[dict[str, Any]]) -> str:
    """The records as CSV with a header."""
    dimensions = list(dict.fromkeys(name for record in records for name in record["by"]))
    sides = ("definition_version", "value", "numerator", "denominator", "samples")
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(
        [
            *("kpi", "reading", *(f"by.{dimension}" for dimension in dimensions)),
            *("window", "start", "end", "unit", "frozen_at"),
            *(f"{side}.{name}" for side in ("restated", "reported") for name in sides),
            "difference",
        ]
    )
    for record in records:
        reported = record["reported"] or {}
        writer.writerow(
            [
                *(record["kpi"], record["reading"]),
                *(record["by"].get(dimension) for dimension in dimensions),
                *record["window"].values(),
                *(record["unit"], record["frozen_at"]),
                *(record["restated"][name] for name in sides),
                *(reported.get(name) for name in sides),
                record["difference"],
            ]
        )
    return written.getvalue()

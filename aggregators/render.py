"""Figures as people and programs read them: JSON, table and CSV (kpi-definitions.md, "How an answer looks").

Here alone numbers are rounded: money half to even to the minor unit, as a decimal string; durations to
seconds; ratios to 12 digits behind the point. Bars of a waterfall are rounded together (`aggregators.bars`).
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from aggregators.bars import shown
from aggregators.calendar import Calendar
from aggregators.kpi import Unit
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.money import exact_decimal, fixed
from aggregators.question import Number, Row
from events.currencies import EXPONENTS

RATIO_DIGITS = 12
NO_SAMPLE = "—"
_RIGHT = {"value", "numerator", "denominator", "samples"}


class Renderer:
    """Writes rows in the zone and the currency of one company."""

    def __init__(self, meaning: Meaning) -> None:
        self._calendar = Calendar(meaning.company)
        self._currency = meaning.company.currency
        self._decimals = EXPONENTS[self._currency]

    # Values

    def value(self, number: Number | None, unit: Unit) -> int | float | str | None:
        """A number as JSON has it."""
        if number is None:
            return None
        read = Fraction(number) * self._scale(unit)
        match unit:
            case "money":
                return fixed(read, self._decimals)
            case "money_per_second":
                return fixed(read, RATIO_DIGITS)
            case _:
                return _number(read)

    def unrounded(self, number: Number | None, unit: Unit) -> str | None:
        """A number in the unit people read, without any rounding; a fraction where no decimal ends."""
        if number is None:
            return None
        return exact_decimal(Fraction(number) * self._scale(unit))

    def _scale(self, unit: Unit) -> Fraction:
        """What an exact number is multiplied with to be in the unit people read."""
        match unit:
            case "money":
                return Fraction(1, 10**self._decimals)
            case "money_per_second":
                return Fraction(1000, 10**self._decimals)
            case "seconds":
                return Fraction(1, 1000)
            case "count" | "ratio":
                return Fraction(1)

    def units(self, row: Row) -> tuple[Unit, Unit, Unit]:
        """The units of a row's value, numerator and denominator."""
        known = {self._currency: "money", f"{self._currency}/second": "money_per_second"}
        unit: Unit = known.get(row.unit, row.unit)  # type: ignore[assignment]
        try:
            parts = registry()[row.kpi].reading(row.reading).parts
        except KeyError:  # a goal of another KPI's reading, or a KPI that this installation lacks
            parts = None
        return (unit, *(parts or (unit, unit)))

    def instant(self, instant_ms: int) -> str:
        """An instant on the company's clock, RFC 3339, to the millisecond."""
        return self._calendar.local(instant_ms).isoformat(timespec="milliseconds")

    # Rows

    def record(self, row: Row) -> dict[str, Any]:
        """One row as JSON; `additive` stands there only where rows do not add up."""
        unit, over, under = self.units(row)
        start, end = row.window.start, row.window.end
        found = {
            "kpi": row.kpi,
            "reading": row.reading,
            "definition_version": row.definition_version,
            "by": dict(row.by),
            "window": {
                "name": row.window.name,
                "start": start.isoformat() if start else None,
                "end": end.isoformat() if end else None,
            },
            "as_of": self.instant(row.as_of_ms),
            "value": self.value(row.value, unit),
            "unit": row.unit,
            "numerator": self.value(row.numerator, over),
            "denominator": self.value(row.denominator, under),
            "samples": row.samples,
        }
        return found if row.additive else {**found, "additive": False}

    def records(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """The rows as a JSON list; bars that must add up do so."""
        return [self.record(row) for row in shown(rows)]


def csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Records as CSV with a header; each dimension and each part of the window is a column."""
    dimensions = _dimensions(records)
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(
        [
            "kpi",
            "reading",
            "definition_version",
            *(f"by.{dimension}" for dimension in dimensions),
            "window",
            "start",
            "end",
            "as_of",
            "value",
            "unit",
            "numerator",
            "denominator",
            "samples",
            "additive",
        ]
    )
    for record in records:
        window = record["window"]
        writer.writerow(
            [
                record["kpi"],
                record["reading"],
                record["definition_version"],
                *(record["by"].get(dimension) for dimension in dimensions),
                window["name"],
                window["start"],
                window["end"],
                record["as_of"],
                record["value"],
                record["unit"],
                record["numerator"],
                record["denominator"],
                record["samples"],
                str(record.get("additive", True)).lower(),
            ]
        )
    return written.getvalue()


def table_text(records: Sequence[dict[str, Any]]) -> str:
    """Records as a table for people, one line per row; the instant they are true for stands above."""
    if not records:
        return "No group has a record.\n"
    heads, lines = _cells(records)
    return f"as of {records[0]['as_of']}\n" + columns(heads, lines, _RIGHT)


def markdown_text(records: Sequence[dict[str, Any]]) -> str:
    """The same table in Markdown."""
    if not records:
        return "No group has a record.\n"
    heads, lines = _cells(records)
    rule = ["---:" if head in _RIGHT else "---" for head in heads]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rule, *escaped))


def _cells(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    dimensions = _dimensions(records)
    heads = ["kpi", "reading", *dimensions, "window", "value", "numerator", "denominator", "samples"]
    lines = [
        [
            record["kpi"],
            record["reading"],
            *(record["by"].get(dimension, "") for dimension in dimensions),
            window_text(record["window"]),
            value_text(record["value"], record["unit"]),
            _plain(record["numerator"]),
            _plain(record["denominator"]),
            str(record["samples"]),
        ]
        for record in records
    ]
    return heads, lines


def value_text(value: Any, unit: str) -> str:
    """A JSON value for people: ratios as percent, durations in days, money with its currency, speed per day."""
    if value is None:
        return NO_SAMPLE
    match unit:
        case "ratio":
            return f"{value:.2%}"
        case "seconds":
            return f"{value / 86_400:,.2f} d"
        case "count":
            return _plain(value)
        case _ if unit.endswith("/second"):
            return f"{float(value) * 86_400:,.2f} {unit.removesuffix('/second')}/day"
        case _:
            return f"{_plain(value)} {unit}"


def columns(heads: Sequence[str], lines: Sequence[Sequence[str]], right: set[str]) -> str:
    """Aligned columns under their heads; wide characters count twice."""
    widths = [max(_width(line[i]) for line in (heads, *lines)) for i in range(len(heads))]
    written = ""
    for line in (heads, ["-" * width for width in widths], *lines):
        cells = []
        for head, width, text in zip(heads, widths, line, strict=True):
            space = " " * (width - _width(text))
            cells.append(space + text if head in right else text + space)
        written += "  ".join(cells).rstrip() + "\n"
    return written


def _dimensions(records: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(dimension for record in records for dimension in record["by"]))


def window_text(window: Mapping[str, Any]) -> str:
    """A window for people: its name and its days; `now` without a name."""
    if window["start"] is None:
        return window["name"] or "now"
    days = f"{window['start']}..{window['end']}"
    return days if window["name"] == days else f"{window['name']} {days}"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):  # a decimal: group its digits, keep every one
        whole, point, decimals = value.partition(".")
        sign = "-" if whole.startswith("-") else ""
        return f"{sign}{int(whole.lstrip('-')):,}{point}{decimals}"
    if isinstance(value, float):  # shares and means: what JSON and CSV have in full
        return f"{value:,.{4 if abs(value) >= 1 else 6}f}".rstrip("0").rstrip(".")
    return f"{value:,}"


def _number(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(round(number, RATIO_DIGITS))


def _width(text: str) -> int:
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)

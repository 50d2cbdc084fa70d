"""As-reported figures: which periods freeze when, their rows, and how rows are kept (G8).

A period's figures are frozen some business days after its end, from what was known by then, as of the end
of its last day. A kept row is one JSON record under the key (KPI, reading, window, group, definition
version); the first record of a key in the order of the log stands. A period is frozen once its own record,
written after all of its rows, is there.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final

from aggregators.answer import answer
from aggregators.ask import Ask
from aggregators.calendar import FIRST_DAY, Calendar, PeriodKind, Span
from aggregators.company import Company
from aggregators.kpi import Reading
from aggregators.kpis import customer_retention, registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Question, Row, Window
from events.errors import UsageError

KINDS: Final[tuple[PeriodKind, ...]] = ("month", "fiscal_quarter", "fiscal_year")
"""The periods that are frozen."""
KPIS: Final = (
    "won",
    "lost",
    "created",
    "win_rate",
    "customer_retention",
    "churn",
    "rep_retention",
    "acv",
    "sales_cycle",
    "attainment",
    "customers",
)
"""What is frozen: the list of G8, and `customers`, whose new ones are among the as-reported metrics."""
SPLITS: Final[tuple[tuple[str, ...], ...]] = ((), ("team",), ("rep",))
"""Company-wide, and by team and by rep where a KPI has that dimension."""
CHANGES: Final = "recurring_change"
"""A reading that is only kept: revenue retention's signed changes, in the currency (`by.change`)."""


@dataclass(frozen=True, slots=True)
class Period:
    """A month, fiscal quarter or fiscal year, and the instant its figures freeze at (ms since 2000)."""

    kind: PeriodKind
    start: date
    end: date
    frozen_ms: int

    @property
    def window(self) -> Window:
        """The window that a kept row names, also of a level."""
        return Window(self.kind, self.start, self.end)

    def __str__(self) -> str:
        """How people read it: `fiscal_quarter 2026-07-01..2026-09-30`."""
        return f"{self.kind} {self.start}..{self.end}"


class Schedule:
    """When the periods of one company freeze."""

    def __init__(self, meaning: Meaning) -> None:
        self.calendar = Calendar(meaning.company)
        self._days = meaning.kpis.freeze_after_business_days

    def period(self, kind: PeriodKind, span: Span) -> Period:
        """The period of these days, frozen at the end of the local day so many business days after it."""
        due = self.calendar.add_business_days(span.end, self._days)
        return Period(kind, span.start, span.end, self.calendar.end_ms(due))

    def named(self, name: str) -> Period:
        """The period called `2026`, `2026-Q3` or `2026-10`. Raises UsageError."""
        return self.period(*self.calendar.named_period(name))

    def of_days(self, start: date, end: date) -> list[Period]:
        """The periods that these days are, both inside; more than one where a quarter is the year's all."""
        return [
            self.period(kind, span)
            for kind in KINDS
            if (span := Span(start, end)) == self._whole(kind, start)
        ]

    def due(self, now_ms: int, since_ms: int) -> list[Period]:
        """Every period whose freeze lies from `since_ms` to `now_ms`, both inside; the earliest first.

        `since_ms` is the log's first known instant: of a freeze before it nothing is known.
        """
        found = []
        for kind in KINDS:
            span = self._whole(kind, self.calendar.day(now_ms))
            while span.start > FIRST_DAY and (period := self.period(kind, span)).frozen_ms >= since_ms:
                if period.frozen_ms <= now_ms:
                    found.append(period)
                span = self._whole(kind, span.start - timedelta(days=1))
        return sorted(found, key=lambda each: (each.frozen_ms, KINDS.index(each.kind), each.start))

    def _whole(self, kind: PeriodKind, day: date) -> Span:
        return self.calendar.period(kind, day)


def figures(company: Company, period: Period) -> Iterator[Row]:
    """The rows to keep of a period, from the company as it was known at its freeze.

    They are as of the end of its last day; a level names the period as its window too.
    """
    as_of_ms = company.calendar.end_ms(period.end)
    known = registry()
    for name in KPIS:
        for by in SPLITS:
            if set(by) <= set(known[name].dimensions):
                for row in answer(company, Question(name, as_of_ms, period.kind, by)):
                    yield replace(row, window=period.window)
    yield from _changes(company, period, as_of_ms)


def _changes(company: Company, period: Period, as_of_ms: int) -> Iterator[Row]:
    """What became of the revenue at the period's start, as the metrics split it: by sign, and by churn."""
    kpi = registry()["customer_retention"]
    for by in ((), ("team",)):
        ask = Ask(company, Question(kpi.name, as_of_ms, period.kind, by))
        sums: dict[tuple[str, ...], Fraction] = {}
        for one in customer_retention.at_the_start(ask, Span(period.start, period.end)):
            start, end, _ = customer_retention.revenue(ask, one)
            name = "churn" if not one.stayed else "expansion" if end > start else "contraction"
            sums[*one.by, name] = sums.get((*one.by, name), Fraction(0)) + end - start
        for labels, moved in sorted(sums.items()):
            yield Row(
                kpi=kpi.name,
                reading=CHANGES,
                definition_version=kpi.version,
                by=tuple(zip((*by, "change"), labels, strict=True)),
                window=period.window,
                as_of_ms=as_of_ms,
                value=moved,
                unit=company.meaning.company.currency,
                numerator=None,
                denominator=None,
                samples=1,
            )


# Records


def key_of(row: Row) -> str:
    """What a row is kept under: KPI, reading, window, group and definition version."""
    start, end = _days(row.window)
    labels = [list(pair) for pair in row.by]
    return _compact([row.kpi, row.reading, row.window.name, start, end, labels, row.definition_version])


def record_of(row: Row, period: Period) -> dict[str, Any]:
    """A row as JSON, every number exact (an integer, or `"numerator/denominator"`)."""
    start, end = _days(row.window)
    return {
        "kpi": row.kpi,
        "reading": row.reading,
        "definition_version": row.definition_version,
        "by": [list(pair) for pair in row.by],
        "window": {"name": row.window.name, "start": start, "end": end},
        "as_of_ms": row.as_of_ms,
        "frozen_ms": period.frozen_ms,
        "value": _exact(row.value),
        "unit": row.unit,
        "numerator": _exact(row.numerator),
        "denominator": _exact(row.denominator),
        "samples": row.samples,
        "additive": row.additive,
    }


def row_of(record: Mapping[str, Any]) -> Row:
    """The row that a record holds. Raises KeyError, TypeError or ValueError for one that is none."""
    window = record["window"]
    return Row(
        kpi=str(record["kpi"]),
        reading=str(record["reading"]),
        definition_version=int(record["definition_version"]),
        by=tuple((str(name), str(label)) for name, label in record["by"]),
        window=Window(
            str(window["name"]), date.fromisoformat(window["start"]), date.fromisoformat(window["end"])
        ),
        as_of_ms=int(record["as_of_ms"]),
        value=_number(record["value"]),
        unit=str(record["unit"]),
        numerator=_number(record["numerator"]),
        denominator=_number(record["denominator"]),
        samples=int(record["samples"]),
        additive=bool(record["additive"]),
    )


def period_key(period: Period) -> str:
    """What a period's own record is kept under."""
    return _compact(["period", period.kind, period.start.isoformat(), period.end.isoformat()])


def period_record(period: Period, rows: int, meaning: Meaning, read_ms: int | None = None) -> dict[str, Any]:
    """The record that says a period is frozen: how many rows, by which definitions and settings.

    `read_ms` is when the log was read: of what was appended later the rows know nothing.
    """
    return {
        "period": period.kind,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "frozen_ms": period.frozen_ms,
        "rows": rows,
        "versions": {name: registry()[name].version for name in KPIS},
        "settings": meaning.digest,
        "read_ms": read_ms,
    }


@dataclass(frozen=True, slots=True)
class Freeze:
    """A period that is frozen: when, by which versions of the definitions, under which settings."""

    period: Period
    versions: Mapping[str, int]
    settings: str
    read_ms: int | None = None
    """When the log was read for it (ms since 2000); None: not told."""


class Reported:
    """Every row that was ever kept."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._rows: dict[tuple[str, Window], dict[tuple[str, tuple[tuple[str, str], ...]], Row]] = {}
        self._freezes: dict[Window, Freeze] = {}
        self.unreadable = 0
        """Records that are neither a row nor a period."""

    def take(self, value: bytes | None) -> None:
        """Take in one record of the log, in its order: the first of a key stands."""
        try:
            record = json.loads(value or b"")
            if "period" in record:
                freeze = _freeze(record)
                self._freezes.setdefault(freeze.period.window, freeze)
                return
            row = row_of(record)
        except (ValueError, KeyError, TypeError, ArithmeticError):
            self.unreadable += 1
            return
        key = key_of(row)
        if key in self._seen:
            return
        self._seen.add(key)
        rows = self._rows.setdefault((row.kpi, row.window), {})
        held = rows.get((row.reading, row.by))
        # Two processes of different releases may freeze one period: then the older definition stands.
        if held is None or row.definition_version < held.definition_version:
            rows[row.reading, row.by] = row

    @property
    def size(self) -> int:
        """How many rows and periods were taken in."""
        return len(self._seen) + len(self._freezes)

    # One thread may take in while another reads: what is read is copied in one step first.

    @property
    def freezes(self) -> list[Freeze]:
        """The frozen periods, the earliest freeze first."""
        return sorted(
            self._freezes.values(),
            key=lambda each: (each.period.frozen_ms, KINDS.index(each.period.kind)),
        )

    def freeze(self, window: Window) -> Freeze | None:
        """The freeze of a window (its name: the kind of period); None if it is not frozen."""
        return self._freezes.get(window)

    def frozen(self, window: Window) -> Freeze | None:
        """The freeze of the period that has the days of a window, of its own kind if there is one."""
        for name in (window.name, *KINDS):
            if found := self._freezes.get(Window(name, window.start, window.end)):
                return found
        return None

    def rows(self, kpi: str, window: Window) -> list[Row]:
        """The kept rows of a KPI in a frozen period, by reading and group; none if it is not frozen."""
        if window not in self._freezes:
            return []
        found = self._rows.get((kpi, window), {}).copy()
        return [found[key] for key in sorted(found)]


def as_if_frozen(company: Company, periods: Iterable[Period], now_ms: int) -> Reported:
    """What would have been kept of the periods that are due: as much as the events themselves tell.

    An event without `recordedtime` counts as known at its own time. A period whose freeze lies before the
    first known instant has nothing.
    """
    found = Reported()
    known = [event.time_ms if event.recorded_ms is None else event.recorded_ms for event in company.events()]
    for period in periods:
        if known and min(known) <= period.frozen_ms <= now_ms:
            rows = list(figures(company.known_by(period.frozen_ms), period))
            records = [record_of(row, period) for row in rows]
            for record in (*records, period_record(period, len(rows), company.meaning)):
                found.take(_compact(record).encode())
    return found


def empty(like: Row, reading: Reading | None, version: int) -> Row:
    """The kept figure of a group that has no row in a frozen period: it had no records (F15).

    A sum is 0 then, a ratio or a mean has no sample.
    """
    divided = reading is not None and bool(reading.parts or reading.compose)
    none: Number | None = None if divided else 0
    parts = 0 if reading is not None and reading.parts else None
    return replace(
        like, definition_version=version, value=none, numerator=parts, denominator=parts, samples=0
    )


# Comparison


@dataclass(frozen=True, slots=True)
class Difference:
    """A kept figure and its recomputation that are not the same; None where one side has no row."""

    kept: Row | None
    again: Row | None

    @property
    def row(self) -> Row:
        """Either of them: what it is about."""
        row = self.kept or self.again
        assert row is not None
        return row

    @property
    def is_fault(self) -> bool:
        """Whether the definition is the same, so that the figures should be."""
        return not (self.kept and self.again) or self.kept.definition_version == self.again.definition_version


def differences(kept: Iterable[Row], again: Iterable[Row], versions: Mapping[str, int]) -> list[Difference]:
    """Where the kept rows of one period and a recomputation differ.

    Figures of different definition versions are both given and never compared. `versions` are those
    that the period was frozen by: of a KPI with another one today, a row on one side alone says nothing.
    """
    known = registry()
    same = {name for name, version in versions.items() if name in known and known[name].version == version}
    before, after = ({_group(row): row for row in rows} for rows in (kept, again))
    found = []
    for group in sorted(before.keys() | after.keys()):
        one, other = before.get(group), after.get(group)
        row = one or other
        assert row is not None
        if (one is None or other is None) and row.kpi not in same:
            continue
        if one != other:
            found.append(Difference(one, other))
    return found


def frozen_window(schedule: Schedule, window: Window) -> Period:
    """The period whose days a window has. Raises UsageError where there is none."""
    if window.start is not None and window.end is not None:
        found = schedule.of_days(window.start, window.end)
        if found:
            return next((each for each in found if each.kind == window.name), found[0])
    raise UsageError("only months, fiscal quarters and fiscal years are frozen: name one with --window")


def _group(row: Row) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return row.kpi, row.reading, row.by


def _freeze(record: Mapping[str, Any]) -> Freeze:
    kind = {each: each for each in KINDS}[record["period"]]
    start, end = date.fromisoformat(record["start"]), date.fromisoformat(record["end"])
    period = Period(kind, start, end, int(record["frozen_ms"]))
    return Freeze(
        period,
        {str(name): int(version) for name, version in record["versions"].items()},
        str(record["settings"]),
        None if record.get("read_ms") is None else int(record["read_ms"]),
    )


def _days(window: Window) -> tuple[str | None, str | None]:
    start, end = window.start, window.end
    return start.isoformat() if start else None, end.isoformat() if end else None


def _exact(number: Number | None) -> int | str | None:
    if number is None or isinstance(number, int):
        return number
    return number.numerator if number.denominator == 1 else str(number)


def _number(stated: Any) -> Number | None:
    if stated is None:
        return None
    found = Fraction(stated)
    return found.numerator if found.denominator == 1 else found


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

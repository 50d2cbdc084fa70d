"""Values: how the cells of a row become a field, an id or an instant.

A value names where it comes from (`column`, `template`, `constant`, `first_of`), what it is looked up
in (`lookup`, `values`) and how it is read (`date`, `instant`, `number`, `integer`, `boolean`, `list`,
`period`). An empty cell gives ABSENT: the field is not stated, unless `empty` says otherwise.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Cells = Mapping[str, str]


class RefusedValueError(Exception):
    """A cell that cannot be read as the mapping says; the message says why."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Not stated: the field is left out of the event."""

_PLACE = re.compile(r"\{([^{}]+)\}")
_READINGS = ("date", "instant", "number", "percent", "integer", "boolean", "list", "period")


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Truth(_Spec):
    """Which cells mean true and which false; letters' case does not matter."""

    true: tuple[str, ...] = ("true", "yes", "1", "y", "t")
    false: tuple[str, ...] = ("false", "no", "0", "n", "f")


class Period(_Spec):
    """The fiscal period that a date lies in, as targets name it."""

    of: Literal["month", "quarter", "year"] = "quarter"
    date: str | tuple[str, ...] = Field("%Y-%m-%d", description="How the cell writes the date.")
    start_month: int = Field(1, ge=1, le=12, description="First month of the fiscal year.")
    named_by: Literal["start", "end"] = "end"
    plus_days: int = Field(0, description="Days added first, where periods are dated by their eve.")


class Number(_Spec):
    """How numbers are written."""

    point: str = "."
    thousands: str = ","


class PlusMonths(_Spec):
    """Adds a column's number of months to the date; `less_days` 1 gives the last day of a term."""

    column: str
    less_days: int = 0


class Value(_Spec):
    """One value of an event. A plain string in the mapping is short for `{ column = "…" }`."""

    column: str | None = None
    template: str | None = Field(None, description="Text with {columns}; empty where one of them is.")
    constant: str | bool | int | float | None = None
    null: bool = Field(False, description="true: the field is stated as null, unknown.")
    first_of: tuple["Value", ...] = Field((), description="The first of these that is not empty.")
    parts: dict[str, "Value"] = Field(
        default_factory=dict, description="Places of the template that are values themselves."
    )

    after: str | None = Field(None, description="Only the text behind the last one of these.")
    starts_with: str | None = Field(None, description="Empty unless the text begins so.")

    lookup: str | None = Field(None, description="A [lookups.…] to find the cell in.")
    values: str | dict[str, str | bool | int] | None = Field(
        None, description="A [values.…], or a table here."
    )
    otherwise: Literal["keep", "reject", "absent", "null"] = Field(
        "keep", description="What becomes of a cell that is in neither the values nor the lookup."
    )

    date: str | tuple[str, ...] | None = Field(
        None, description="strptime format(s) of a date, 'iso', or a name in [formats]."
    )
    instant: str | tuple[str, ...] | None = Field(
        None,
        description="strptime format(s) of an instant, 'iso', 'epoch_ms', 'epoch_s', or a name in [formats].",
    )
    zone: str | None = Field(None, description="Zone of instants without offset; default: the mapping's.")
    at: str | None = Field(None, pattern=r"^\d\d:\d\d$", description="Time of day of an instant from a date.")
    plus_months: PlusMonths | None = None
    number: bool | Number = False
    percent: bool = Field(False, description="A number of percent, as a share: 75 is 0.75.")
    integer: bool = False
    boolean: bool | Truth = False
    list_: bool = Field(False, alias="list", description="A list with this one member.")
    period: Period | None = None
    empty: Literal["absent", "null", "reject"] = Field("absent", description="What an empty cell says.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            zone_of(name)
        return name

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [self.column, self.template, self.constant, self.null or None, self.first_of or None]
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError("give exactly one of column, template, constant, null, first_of")
        readings = [name for name in _READINGS if getattr(self, "list_" if name == "list" else name)]
        if len(readings) > 1:
            raise ValueError(f"give one of {', '.join(readings)}, not several")
        return self

    @cached_property
    def columns(self) -> frozenset[str]:
        """Every column that it reads."""
        found = {self.column} if self.column else set()
        found |= set(_PLACE.findall(self.template or "")) - self.parts.keys()
        found |= {self.plus_months.column} if self.plus_months else set()
        return frozenset(found).union(*(each.columns for each in self._inner))

    @cached_property
    def lookups(self) -> frozenset[str]:
        """Every lookup that it uses."""
        own = {self.lookup} if self.lookup else set()
        return frozenset(own).union(*(each.lookups for each in self._inner))

    @cached_property
    def value_maps(self) -> frozenset[str]:
        """Every named table of values that it uses."""
        own = {self.values} if isinstance(self.values, str) else set()
        return frozenset(own).union(*(each.value_maps for each in self._inner))

    @property
    def _inner(self) -> tuple["Value", ...]:
        return (*self.first_of, *self.parts.values())


class Evaluator:
    """Reads values from rows, with the lookups and tables of values of one mapping."""

    def __init__(
        self,
        *,
        lookups: Mapping[str, Mapping[str, str]],
        values: Mapping[str, Mapping[str, str | bool | int]],
        formats: Mapping[str, tuple[str, ...]],
        nulls: frozenset[str],
        zone: str,
    ) -> None:
        self._lookups, self._values, self._nulls = lookups, values, nulls
        self._named = formats
        self._zone = zone_of(zone)

    def is_empty(self, cell: str) -> bool:
        """Whether a cell says nothing."""
        return cell in self._nulls

    def evaluate(self, value: Value, cells: Cells) -> Any:
        """What a value is in a row: JSON-ready, None for null, ABSENT. Raises RefusedValueError."""
        if value.null:
            return None
        if value.constant is not None:
            return value.constant
        found = self._origin(value, cells)
        if found is ABSENT:
            if value.empty == "reject":
                raise RefusedValueError("is empty")
            return None if value.empty == "null" else ABSENT
        if not isinstance(found, str):
            return found
        mapped = self._mapped(value, found)
        if not isinstance(mapped, str):
            return mapped
        return self._read(value, mapped, cells)

    def _origin(self, value: Value, cells: Cells) -> Any:
        if value.column is not None:
            cell = cells.get(value.column, "")
            return ABSENT if cell in self._nulls else cell
        if value.template is not None:
            return self._filled(value, value.template, cells)
        for each in value.first_of:
            found = self.evaluate(each, cells)
            if found is not ABSENT:
                return found
        return ABSENT

    def _filled(self, value: Value, template: str, cells: Cells) -> Any:
        parts: dict[str, str] = {}
        for name in _PLACE.findall(template):
            part = self.evaluate(value.parts[name], cells) if name in value.parts else cells.get(name, "")
            if part is ABSENT or part is None or part in self._nulls:
                return ABSENT
            parts[name] = str(part)
        return _PLACE.sub(lambda place: parts[place[1]], template)

    def _mapped(self, value: Value, text: str) -> Any:
        known = True
        if value.after is not None:
            text = text.rpartition(value.after)[2]
        if value.starts_with is not None and not text.startswith(value.starts_with):
            return ABSENT
        if value.lookup is not None:
            table = self._lookups[value.lookup]
            known = text in table
            text = table.get(text, text)
        if value.values is not None:
            among = self._values[value.values] if isinstance(value.values, str) else value.values
            if text in among:
                return among[text]
            known = False
        if known or value.otherwise == "keep":
            return text
        if value.otherwise == "reject":
            raise RefusedValueError(f"{text!r} is not among the known values")
        return None if value.otherwise == "null" else ABSENT

    def _read(self, value: Value, text: str, cells: Cells) -> Any:
        if value.date is not None:
            return self._date(value, text, cells).isoformat()
        if value.instant is not None:
            return self._instant(value, text)
        if value.number:
            return number_text(text, value.number if isinstance(value.number, Number) else Number())
        if value.percent:
            return str(Decimal(number_text(text, Number())) / 100)
        if value.integer:
            try:
                return int(text)
            except ValueError:
                raise RefusedValueError(f"{text!r} is no whole number") from None
        if value.boolean:
            truth = value.boolean if isinstance(value.boolean, Truth) else Truth()
            low = text.lower()
            if low not in {each.lower() for each in (*truth.true, *truth.false)}:
                raise RefusedValueError(f"{text!r} is neither true nor false")
            return low in {each.lower() for each in truth.true}
        if value.list_:
            return [text]
        if value.period is not None:
            return period_name(_parsed(text, self._formats(value.period.date)).date(), value.period)
        return text

    def _formats(self, formats: str | tuple[str, ...]) -> tuple[str, ...]:
        return self._named.get(formats, (formats,)) if isinstance(formats, str) else formats

    def _date(self, value: Value, text: str, cells: Cells) -> date:
        assert value.date is not None
        found = _parsed(text, self._formats(value.date)).date()
        if value.plus_months is None:
            return found
        months = cells.get(value.plus_months.column, "")
        try:
            found = _plus_months(found, int(Decimal(months)))
        except (InvalidOperation, ValueError, OverflowError):
            raise RefusedValueError(f"{value.plus_months.column} {months!r} is no number of months") from None
        return found - timedelta(days=value.plus_months.less_days)

    def _instant(self, value: Value, text: str) -> str:
        assert value.instant is not None
        found = _parsed(text, self._formats(value.instant))
        if value.at is not None:
            found = datetime.combine(found.date(), time.fromisoformat(value.at))
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone_of(value.zone) if value.zone else self._zone)
        return found.isoformat(timespec="milliseconds")


def number_text(text: str, number: Number) -> str:
    """A number as decimal text. Raises RefusedValueError.

    >>> number_text("1,234.50", Number())
    '1234.50'
    """
    plain = text.replace(number.thousands, "") if number.thousands else text
    plain = plain.replace(number.point, ".") if number.point != "." else plain
    try:
        if not Decimal(plain).is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise RefusedValueError(f"{text!r} is no number") from None
    return plain


def period_name(day: date, period: Period) -> str:
    """The name of the fiscal period that a day lies in.

    >>> period_name(date(2011, 5, 31), Period(start_month=6, plus_days=1))
    '2012-Q1'
    """
    day += timedelta(days=period.plus_days)
    if period.of == "month":
        return f"{day.year}-{day.month:02}"
    first = day.year if day.month >= period.start_month else day.year - 1
    year = first + (period.named_by == "end" and period.start_month > 1)
    if period.of == "year":
        return str(year)
    return f"{year}-Q{(day.month - period.start_month) % 12 // 3 + 1}"


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone such as 'Asia/Taipei'") from None


def _parsed(text: str, formats: tuple[str, ...]) -> datetime:
    for form in formats:
        try:
            match form:
                case "iso":
                    return datetime.fromisoformat(text)
                case "epoch_ms" | "epoch_s":
                    seconds = Decimal(text) / (1000 if form == "epoch_ms" else 1)
                    whole = int(seconds)
                    micros = int((seconds - whole) * 1_000_000)
                    return _UNIX + timedelta(seconds=whole, microseconds=micros)
                case _:
                    return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the caller's
        except (ValueError, InvalidOperation, OverflowError):
            continue
    raise RefusedValueError(f"{text!r} is not written as {' or '.join(formats)}")


_UNIX = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _plus_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = date(year, month + 1, 1)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return first + timedelta(days=min(day.day, (following - first).days) - 1)

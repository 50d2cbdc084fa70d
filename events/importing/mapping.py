"""Mappings: the TOML files that say which columns of which files become which events.

docs/importing.md explains every key. A fault names the file, the key, what was found and what is allowed.
"""

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import ConfigurationError
from ..models import data_model
from ..topics import TYPES
from .tables import Layout
from .values import Value, zone_of


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Spec):
    """Holds for a row if its column is (not) empty, or (not) one of some values."""

    column: str
    present: bool | None = None
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.present is None and not self.one_of and not self.none_of:
            raise ValueError("give present, one_of or none_of")
        return self


class EventSpec(_Spec):
    """One event that a row gives, if its conditions hold."""

    type: str = Field(description="Such as opportunity.changed.")
    subject: Value
    time: Value = Field(description="When it became true.")
    when: tuple[Condition, ...] = Field((), description="All must hold.")
    recorded: Value | None = Field(None, description="When the source knew it; default: its time.")
    sequence: Value | None = Field(None, description="Orders events of one instant, compared as text.")
    complete: bool = Field(False, description="A full statement: it clears what it does not name.")
    distinct: bool = Field(False, description="Rows that say the same give one event.")
    data: dict[str, Value] = Field(default_factory=dict)

    @field_validator("type")
    @classmethod
    def _known_type(cls, name: str) -> str:
        full = name if name.startswith("dealpulse.") else f"dealpulse.{name}"
        entity = full.split(".")[1] if full.count(".") == 2 else ""
        if full not in TYPES or entity == "resync":
            known = [each.removeprefix("dealpulse.") for each in TYPES if ".resync." not in each]
            raise ValueError(f"{name!r} is no type of event{_nearest(name, known)}")
        return full

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        model = data_model(*TYPES[self.type])
        known = [] if model is None else [name for name in model.wire_names() if name != "complete"]
        for name in self.data:
            if name not in known:
                raise ValueError(f"{self.type} has no field {name!r}{_nearest(name, known)}")
        return self

    def values(self) -> Iterable[Value]:
        """All its values."""
        extra = [each for each in (self.recorded, self.sequence) if each is not None]
        return [self.subject, self.time, *extra, *self.data.values()]

    def columns(self) -> frozenset[str]:
        """Every column that it reads."""
        named = frozenset(condition.column for condition in self.when)
        return named.union(*(value.columns for value in self.values()))


class FileSpec(_Spec):
    """One file of the import: how it is written, and the events of each of its rows."""

    path: str = Field(description="Name inside the folder given, also with .gz behind it; may hold * and ?.")
    optional: bool = Field(False, description="true: the import goes on without it.")
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    columns: tuple[str, ...] = Field((), description="The columns' names, if no first line names them.")
    may_miss: tuple[str, ...] = Field((), description="Columns that some exports do not have.")
    clean: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Column -> cell as found -> cell as meant."
    )
    events: tuple[EventSpec, ...] = ()

    @property
    def layout(self) -> Layout:
        """How to read it."""
        return Layout(self.delimiter, self.encoding, self.columns)

    def read_columns(self) -> frozenset[str]:
        """Every column that is read."""
        return frozenset(self.clean).union(*(event.columns() for event in self.events))


class Lookup(_Spec):
    """From one column's cell to another's, in another file."""

    file: str = Field(description="The `path` of one of the files.")
    key: str
    value: str
    when: tuple[Condition, ...] = ()


class ImportMapping(_Spec):
    """A whole mapping."""

    source: str = Field(min_length=1, max_length=255, description="The CloudEvents source of all events.")
    zone: str = Field("UTC", description="IANA zone of instants that name none.")
    nulls: tuple[str, ...] = Field(("",), description="Cells that say nothing.")
    full: bool = Field(
        False, description="true: an export of everything, which settles an open resync of its source."
    )
    formats: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Name -> ways to write a date or an instant, tried in order."
    )
    values: dict[str, dict[str, str | bool | int]] = Field(default_factory=dict)
    lookups: dict[str, Lookup] = Field(default_factory=dict)
    files: tuple[FileSpec, ...] = Field(min_length=1)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        zone_of(name)
        return name

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        paths = [file.path for file in self.files]
        for name, lookup in self.lookups.items():
            if lookup.file not in paths:
                raise ValueError(
                    f"lookups.{name}.file: {lookup.file!r} is no path of [[files]]{_nearest(lookup.file, paths)}"
                )
        for at, file in enumerate(self.files):
            for event_at, event in enumerate(file.events):
                for value in event.values():
                    for kind, used, known in (
                        ("lookups", value.lookups, list(self.lookups)),
                        ("values", value.value_maps, list(self.values)),
                    ):
                        for name in sorted(used - set(known)):
                            where = f"files.{at}.events.{event_at}"
                            raise ValueError(f"{where}: there is no [{kind}.{name}]{_nearest(name, known)}")
        return self


def load_mapping(path: Path, *, source: str | None = None, zone: str | None = None) -> ImportMapping:
    """The mapping in a file; `source` and `zone` replace what it names. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"mapping {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    return parse_mapping(text, str(path), source=source, zone=zone)


def parse_mapping(
    text: str, name: str, *, source: str | None = None, zone: str | None = None
) -> ImportMapping:
    """The mapping that a TOML text is. Raises ConfigurationError, which calls the text `name`."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"mapping {name} is no TOML: {error}") from error
    document |= {key: given for key, given in (("source", source), ("zone", zone)) if given is not None}
    try:
        return ImportMapping.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("\n".join(f"mapping {name}: {line}" for line in _faults(error))) from None


def _faults(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False)[:5]:
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            *above, last = fault["loc"]
            known = _keys_at(above)
            lines.append(f"unknown key {key}{_nearest(str(last), known)}")
        elif fault["type"] == "missing":
            lines.append(f"key {key} is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            shown = fault["input"] if isinstance(fault["input"], str | int | float | bool) else None
            found = f" (found {shown!r})" if shown is not None and repr(shown) not in message else ""
            lines.append(f"{key or 'the file'}: {message}{found}")
    return lines


def _keys_at(path: list[Any]) -> list[str]:
    """The keys that are allowed at a place, to name the nearest one."""
    model: type[BaseModel] = ImportMapping
    for part in path:
        match part:
            case "files":
                model = FileSpec
            case "events":
                model = EventSpec
            case "lookups":
                model = Lookup
            case "when":
                model = Condition
            case "subject" | "time" | "recorded" | "sequence" | "data":
                model = Value
    return [field.alias or name for name, field in model.model_fields.items()]


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(known)}" if known else "; there are none"


def column_fault(column: str, columns: Iterable[str]) -> str:
    """What to say of a column that a file does not have."""
    return f"there is no column {column!r}{_nearest(column, columns)}"

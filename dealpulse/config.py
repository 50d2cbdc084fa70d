"""The one configuration: flags, then environment variables, then the file, then defaults.

Nothing else reads the environment or the file: the command line calls `load` once and passes the
sections down. `load` merges three plain layers itself rather than through pydantic-settings, because
each value must remember where it came from (`dealpulse config show`, and every error names it), and
an unknown `DEALPULSE_` variable must be an error, which that library passes over in silence.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from aggregators.meaning import Company, KpiSettings, Meaning, Pipeline
from dealpulse.keys import Key, Schema, keys_of, variable_of
from events.adapters.settings import Adapters
from events.errors import ConfigurationError
from events.gateway.settings import GatewaySettings
from events.settings import KafkaSettings
from exporters.settings import AlertSettings, ExporterSettings, WallboardSettings
from streams.settings import RedisSettings, WorkerSettings

PREFIX = "DEALPULSE_"
OTHER_VARIABLES = frozenset({"DEALPULSE_CONFIG", "DEALPULSE_CLOCK"})
"""Variables that are no settings: which file, and which clock."""
TEST_VARIABLES = frozenset({"DEALPULSE_REQUIRE_KAFKA", "DEALPULSE_FAULTS"})
"""Variables of this repository's own tests, which start commands with them in the environment."""
DEFAULT_FILE = "dealpulse.toml"

Path_ = tuple[str, ...]


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """What goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The lowest level shown.")
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, else JSON."
    )


class Settings(Adapters):
    """Every setting, by section. Built by `load`; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    company: Company = Company()
    pipelines: dict[str, Pipeline] = Field(
        default_factory=lambda: Meaning().pipelines, description="The ordered stages of each pipeline."
    )
    kpis: KpiSettings = KpiSettings()
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    worker: WorkerSettings = WorkerSettings()
    exporter: ExporterSettings = ExporterSettings()
    gateway: GatewaySettings = GatewaySettings()
    alerts: AlertSettings = AlertSettings()
    wallboard: WallboardSettings = WallboardSettings()
    log: LogSettings = LogSettings()

    @cached_property
    def meaning(self) -> Meaning:
        """What the figures depend on: company, pipelines, thresholds."""
        return Meaning(company=self.company, pipelines=self.pipelines, kpis=self.kpis)


@dataclass(frozen=True)
class Configuration:
    """The settings in force, and where each one comes from."""

    settings: Settings
    origins: Mapping[Path_, str]
    """Path of a key -> the file, the variable, or `command line`. A default has no entry."""
    file: Path | None

    def effective(self) -> Iterator[tuple[str, object, str]]:
        """`(key, value, where it comes from)` of every setting, secrets masked."""
        schema = _schema()
        yield from self._under(schema, self.settings.model_dump(mode="json", by_alias=True), ())

    def _under(self, schema: Schema, value: object, path: Path_) -> Iterator[tuple[str, object, str]]:
        if isinstance(value, dict) and schema.is_table and (value or not path):
            for name, child in value.items():
                below = schema.under(name)
                if below is not None:
                    yield from self._under(below, child, (*path, name))
            return
        origin = self.origins.get(path) or _origin_of(path, self.origins) or "default"
        yield ".".join(path), self._shown(schema, path, value), origin

    def _shown(self, schema: Schema, path: Path_, value: object) -> object:
        if schema.node.get("secret"):
            return mask_address(str(value))
        if schema.secret:
            found: Any = self.settings
            for part in path:
                found = found[part] if isinstance(found, dict) else getattr(found, part)
            return "****" if isinstance(found, SecretStr) and found.get_secret_value() else ""
        return value


def load(
    config: Path | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Configuration:
    """Read the configuration.

    `config` is the file of `--config`; else `DEALPULSE_CONFIG` names it, else it is `dealpulse.toml`
    in `folder` (default: the working folder), if there is one. `flags` are dotted keys given on the
    command line; None in them is not given. Raises ConfigurationError, one line per fault.
    """
    environ = os.environ if environ is None else environ
    file = _find(config, environ, folder or Path())
    schema = _schema()
    data: dict[str, Any] = {}
    origins: dict[Path_, str] = {}
    layers = [
        _from_file(schema, file) if file else (),
        lambda: _from_environment(schema, environ, data),
        _from_flags(flags or {}),
    ]
    for layer in layers:
        for path, value, origin in layer() if callable(layer) else layer:
            _put(data, path, value)
            origins[path] = origin
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        deepest = [
            fault for fault in faults if not any(_holds(fault["loc"], other["loc"]) for other in faults)
        ]
        lines = [_in_words(fault, data, origins) for fault in deepest]
        raise ConfigurationError("\n".join(dict.fromkeys(lines))) from None
    return Configuration(settings, origins, file)


def all_keys() -> list[Key]:
    """Every key of the file, for the documentation."""
    return sorted(keys_of(_schema()), key=lambda key: _section_order().index(key.path[0]))


def all_adapters() -> list[Schema]:
    """The form of each kind of adapter, for the documentation."""
    entry = _schema().fields["adapters"].entries
    return entry.variants if entry is not None else []


def mask_address(address: str) -> str:
    """An address without its password.

    >>> mask_address("rediss://user:secret@host:6379/0?password=x")
    'rediss://user:****@host:6379/0?password=****'
    """
    masked = re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1****@", address)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1****", masked)


@cache
def _schema() -> Schema:
    return Schema.of(Settings)


def _section_order() -> list[str]:
    names = [name for name in Settings.model_fields if name != "adapters"]
    return [*names[: names.index("alerts")], "adapters", *names[names.index("alerts") :]]


def _find(config: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    if config is not None:
        return _existing(config, "--config")
    if environ.get("DEALPULSE_CONFIG"):
        return _existing(Path(environ["DEALPULSE_CONFIG"]), "DEALPULSE_CONFIG")
    default = folder / DEFAULT_FILE
    return default if default.is_file() else None


def _existing(file: Path, named_by: str) -> Path:
    if not file.is_file():
        raise ConfigurationError(
            f"{named_by} names the file {file}, and there is none. Give the path of a TOML file, "
            "or leave it out to use the built-in defaults."
        )
    return file


_Entry = tuple[Path_, object, str]


def _from_file(schema: Schema, file: Path) -> Iterator[_Entry]:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read as UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is no TOML: {error}") from error
    return ((path, value, str(file)) for path, value in _leaves(schema, document, ()))


def _leaves(schema: Schema, value: object, path: Path_) -> Iterator[tuple[Path_, object]]:
    if not (isinstance(value, dict) and schema.is_table):
        yield path, value
        return
    if not value and path:
        yield path, value
    for name, child in value.items():
        below = schema.under(name)
        if below is not None:
            yield from _leaves(below, child, (*path, name))
        elif isinstance(child, dict) and any(f"{name}_{rest}" in schema.fields for rest in child):
            # Kafka's own spelling with dots, `security.protocol`, is TOML for a table `security`.
            yield from _leaves(schema, {f"{name}_{rest}": inner for rest, inner in child.items()}, path)
        else:
            yield (*path, name), child


def _from_environment(
    schema: Schema, environ: Mapping[str, str], data: Mapping[str, Any]
) -> Iterator[_Entry]:
    given: dict[Path_, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES | TEST_VARIABLES:
            continue
        path, found, by_file = _key_of(schema, variable, data)
        if path in given:
            raise ConfigurationError(
                f"{given[path]} and {variable} both give {'.'.join(path)}: unset one of them."
            )
        given[path] = variable
        text = _content(variable, environ[variable]) if by_file else environ[variable]
        yield path, _parsed(found, variable, text), variable


def _key_of(schema: Schema, variable: str, data: Mapping[str, Any]) -> tuple[Path_, Schema, bool]:
    """The path that a variable names, what stands there, and whether the variable names a file."""
    path: Path_ = ()
    found = schema
    here: Any = data
    parts = variable.removeprefix(PREFIX).lower().split("__")
    for index, part in enumerate(parts):
        names = {name.lower(): name for name in found.fields}
        if part not in names and found.entries is not None:
            known = here if isinstance(here, dict) else {}
            names[part] = {name.lower().replace("-", "_"): name for name in known}.get(part, part)
        by_file = index == len(parts) - 1 and part not in names and part.endswith("_file")
        name = names.get(part.removesuffix("_file") if by_file else part)
        below = found.under(name) if name is not None else None
        if name is None or below is None or (by_file and not below.secret):
            raise ConfigurationError(_unknown_variable(schema, variable))
        path, found = (*path, name), below
        here = here.get(name) if isinstance(here, dict) else None
        if by_file:
            return path, found, True
    if found.fields:
        example = variable_of((*path, next(iter(found.fields))))
        raise ConfigurationError(f"{variable} names a section; name a key in it, such as {example}.")
    return path, found, False


def _unknown_variable(schema: Schema, variable: str) -> str:
    known = [key.variable for key in keys_of(schema) if key.variable] + sorted(OTHER_VARIABLES)
    near = get_close_matches(variable, known, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}?" if near else "docs/configuration.md lists all variables."
    return f"{variable} is an unknown variable. {hint}"


def _content(variable: str, file: str) -> str:
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{variable} names the file {file}, which cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error


def _parsed(schema: Schema, variable: str, text: str) -> object:
    """The text of a variable as what the key takes: JSON for tables and lists, or commas for a list."""
    if schema.is_table or (schema.items is not None and text.lstrip().startswith("[")):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"{variable} holds no JSON: {error}. Allowed: {schema.allowed}."
            ) from error
    if schema.items is not None:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Entry]:
    for key, value in flags.items():
        if value is not None:
            yield tuple(key.split(".")), value, "command line"


def _put(data: dict[str, Any], path: Path_, value: object) -> None:
    for part in path[:-1]:
        inner = data.get(part)
        if not isinstance(inner, dict):
            inner = data[part] = {}
        data = inner
    data[path[-1]] = value


def _origin_of(path: Path_, origins: Mapping[Path_, str]) -> str | None:
    """Where a value comes from: of itself, of what it lies in, or of what lies in it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return None


def _holds(outer: tuple[int | str, ...], inner: tuple[int | str, ...]) -> bool:
    return len(outer) < len(inner) and inner[: len(outer)] == outer


def _in_words(fault: Any, data: Mapping[str, Any], origins: Mapping[Path_, str]) -> str:
    path, found = _place(fault["loc"], data)
    names = tuple(str(part) for part in path)
    inside = [origin for given, origin in origins.items() if given[: len(names)] == names]
    where = _origin_of(names, origins) or ", ".join(dict.fromkeys(inside)) or "configuration"
    key = _dotted(path)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key {key}. {_nearest(path)}"
    schema = _schema_at(path)
    allowed = f" Allowed: {schema.allowed}." if schema is not None and not schema.is_table else ""
    if fault["type"] == "missing":
        return f"{where}: {key} is missing.{allowed}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "value_error" and not allowed:
        return f"{where}: {key}: {message}."
    shown = "****" if schema is not None and schema.secret else repr(found)
    reason = f" ({message})" if fault["type"] == "value_error" else ""
    if reason and schema is not None and schema.allowed.startswith("text"):
        allowed = ""  # the reason says more
    elif not allowed:
        allowed = f" {message}."
    return f"{where}: {key} is {shown}{reason}.{allowed}"


def _place(loc: tuple[int | str, ...], data: Any) -> tuple[tuple[int | str, ...], Any]:
    """Where in the given data a fault lies; pydantic's names of alternatives are left out."""
    path: list[int | str] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(data, dict):
            if part in data:
                data = data[part]
            elif last:
                data = None
            else:
                continue
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not last:
            continue
        else:
            data = None
        path.append(part)
    return tuple(path), data


def _dotted(path: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _schema_at(path: tuple[int | str, ...]) -> Schema | None:
    schema: Schema | None = _schema()
    for part in path:
        if schema is None:
            return None
        schema = schema.items if isinstance(part, int) else schema.under(part)
    return schema


def _nearest(path: tuple[int | str, ...]) -> str:
    parent = _schema_at(path[:-1])
    siblings = list(parent.fields) if parent is not None else []
    elsewhere = [key.dotted for key in keys_of(_schema()) if key.path[-1] == path[-1]]
    if elsewhere and len(path) == 1:
        return f"Did you mean {elsewhere[0]}?"
    near = get_close_matches(str(path[-1]), siblings, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {_dotted((*path[:-1], near[0]))}?"
    if elsewhere:
        return f"Did you mean {elsewhere[0]}?"
    return f"Known here: {', '.join(siblings)}."

"""Read a record's value as an event, or say why it is none: the judge of good and bad (events.md, "Bad input").

Whether an event is good depends on its bytes and its topic alone. A name that stands twice in one JSON
object counts with its last value, as in most JSON readers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from .decimals import integer_from_json, number_from_json
from .errors import BadEventError
from .event import Event
from .models import MODELS, Data, Envelope, Stated, data_model
from .subjects import rate_subject
from .topics import MAX_VALUE_BYTES, TYPES, types_of

_NO_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type"})

MAX_DEPTH: Final = 64
"""Objects and lists may stand in each other this deep."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An event, and the names in its data that no field has: ignored, but worth a count."""

    event: Event
    unknown: tuple[str, ...]


def read(value: bytes | None, topic: str | None = None) -> Event:
    """The event that a record's value is. `topic` None: a file, where every type may stand.

    Raises BadEventError with reason `malformed`, `invalid_envelope`, `unknown_type` or `invalid_data`.
    Raises KeyError for a topic that carries no entity.
    """
    return inspect(value, topic).event


def inspect(value: bytes | None, topic: str | None = None) -> Reading:
    """As `read`, and with the unknown names."""
    return check(parse(value), topic)


def parse(value: bytes | None) -> dict[str, Any]:
    """The JSON object that a value holds, its numbers exact. Raises BadEventError, reason `malformed`."""
    if value is None:
        _malformed("the record has no value")
    if len(value) > MAX_VALUE_BYTES:
        _malformed(f"{len(value)} bytes; an event has at most {MAX_VALUE_BYTES}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        _malformed(f"not UTF-8: byte {error.start} is {value[error.start]:#04x}")
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        _malformed(f"objects and lists stand in each other more than {MAX_DEPTH} deep")
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except ValueError as error:
        _malformed(f"not JSON: {error}")
    if not isinstance(document, dict):
        _malformed("expected a JSON object")
    return document


def check(document: Mapping[str, Any], topic: str | None = None) -> Reading:
    """The event that a parsed JSON object is. Raises as `inspect` does."""
    allowed = TYPES if topic is None else _allowed(topic)
    type_ = document.get("type")
    model = MODELS.get(type_) if isinstance(type_, str) else None
    if model is None or type_ not in allowed:
        try:
            Envelope.model_validate(document)
        except ValidationError as error:
            _refuse(error)
        _unknown_type(str(type_), topic)
    try:
        read_ = model.model_validate(document)
    except ValidationError as error:
        _refuse(error)
    entity, verb = TYPES[read_.type]
    return Reading(_event(read_, entity, verb), _unknown(document.get("data"), entity, verb))


def _event(read_: Envelope, entity: str, verb: str) -> Event:
    said = read_.data
    data = said.stated() if isinstance(said, Stated) else {}
    if entity == "fx_rate":
        rate = rate_subject(read_.subject)
        data |= {"base": rate.base, "quote": rate.quote, "date": rate.day}
    return Event(
        entity=entity,
        verb=verb,
        subject=read_.subject,
        source=read_.source,
        id=read_.id,
        time_ns=read_.time,
        sequence=read_.sequence or "",
        complete=isinstance(said, Data) and said.complete is True,
        recorded_ms=None if read_.recordedtime is None else read_.recordedtime // 1_000_000,
        data=data,
    )


def _unknown(data: Any, entity: str, verb: str) -> tuple[str, ...]:
    model = data_model(entity, verb)
    if model is None or not isinstance(data, dict):
        return ()
    return tuple(sorted(unknown)) if (unknown := data.keys() - model.wire_names().keys()) else ()


def _refuse(error: ValidationError) -> NoReturn:
    """Raise the first fault, the envelope's before the data's."""
    faults = [_fault(each) for each in error.errors(include_url=False, include_input=False)]
    faults.sort(key=lambda fault: fault[0] != "invalid_envelope")
    reason, path, message = faults[0]
    if len(faults) > 1:
        message += f" (and {len(faults) - 1} more)"
    raise BadEventError(reason, message, path=path) from None


def _fault(error: Any) -> tuple[str, str, str]:
    told = error.get("ctx", {}) if error["type"] == "refused" else {}
    path = ".".join(str(part) for part in (*error["loc"], *filter(None, [told.get("path")])))
    reason = told.get("reason") or ("invalid_data" if path.split(".")[0] == "data" else "invalid_envelope")
    message = "expected a JSON object" if error["type"] in _NO_OBJECT else str(error["msg"])
    return reason, path, message


def _unknown_type(type_: str, topic: str | None) -> NoReturn:
    shown = type_[:80]
    if topic is None:
        raise BadEventError("unknown_type", f"{shown!r} is no type of events.md", path="type")
    also = " (it belongs on another topic)" if type_ in TYPES else ""
    raise BadEventError(
        "unknown_type",
        f"{shown!r} has no place on {topic}{also}: it carries {', '.join(types_of(topic))}",
        path="type",
    )


def _malformed(message: str) -> NoReturn:
    raise BadEventError("malformed", message)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_allowed = cache(types_of)

_DECODER = json.JSONDecoder(
    parse_float=number_from_json, parse_int=integer_from_json, parse_constant=_constant
)
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def _depth(text: str) -> int:
    """How deep objects and lists stand in each other, whatever else the text is."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        match token[0]:
            case "{" | "[":
                depth += 1
                deepest = max(deepest, depth)
            case "}" | "]":
                depth -= 1
    return deepest

"""Canonical events as they come over HTTP: structured, batch and binary mode of CloudEvents 1.0."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from ..errors import BadEventError
from ..topics import MAX_VALUE_BYTES, TYPES, topic_of
from .document import kind_of, read_document
from .judge import QUICK_TOPIC, good_subject, subject_if_quick
from .outgoing import Outgoing

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
LONGEST_BATCH = 10_000

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "sequence",
    "recordedtime",
    "dataschema",
)


class _Head(msgspec.Struct):
    type: Any = None
    subject: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_HEAD = msgspec.json.Decoder(_Head)


def structured(body: bytes, *, topic: str = "") -> list[Outgoing]:
    """The one event in `body`, byte for byte. Raises `BadEventError`.

    `topic` says where a resync belongs whose type does not: `resync.required` stands on every topic.
    """
    return [_outgoing(body, topic)]


def batch(body: bytes, *, topic: str = "") -> list[Outgoing]:
    """The events in the JSON array `body`, each byte for byte. Raises `BadEventError` at the first bad one.

    All or none: the error's path begins with the place of the bad event in the array.
    """
    try:
        items = _ITEMS.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadEventError("malformed", f"expected a JSON array of events ({error})") from error
    if len(items) > LONGEST_BATCH:
        raise BadEventError("malformed", f"{len(items)} events in one batch; send at most {LONGEST_BATCH}")
    events = []
    for place, item in enumerate(items):
        try:
            events.append(_outgoing(bytes(item), topic))
        except BadEventError as error:
            path = f"[{place}].{error.path}" if error.path else f"[{place}]"
            text = str(error).removeprefix(f"{error.path}: ") if error.path else str(error)
            raise BadEventError(error.reason, text, path=path) from error
    return events


def binary(body: bytes, headers: Mapping[str, str], *, topic: str = "") -> list[Outgoing]:
    """The event whose attributes are in `ce-` headers and whose data is `body`. Raises `BadEventError`.

    Header names in lower case. Values may be percent-encoded, as the HTTP binding of CloudEvents says.
    """
    event: dict[str, Any] = {}
    for name in _ATTRIBUTES:
        value = headers.get(f"ce-{name}")
        if value is not None:
            event[name] = _decoded(value, f"ce-{name}")
    event["datacontenttype"] = headers.get("content-type", JSON)
    if body:
        read_document(body)
        event["data"] = msgspec.Raw(body)
    return [_outgoing(msgspec.json.encode(event), topic)]


def _decoded(value: str, name: str) -> str:
    try:
        return unquote_to_bytes(value.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError as error:
        raise BadEventError("invalid_envelope", "not UTF-8 after percent-decoding", path=name) from error


def _outgoing(value: bytes, topic: str) -> Outgoing:
    quick = subject_if_quick(value)
    if quick is not None:
        return Outgoing(QUICK_TOPIC, quick, value)
    if len(value) > MAX_VALUE_BYTES:
        raise BadEventError("malformed", f"{len(value)} bytes; an event has at most {MAX_VALUE_BYTES}")
    try:
        head = _HEAD.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadEventError("malformed", f"expected an event as a JSON object in UTF-8 ({error})") from error
    if not isinstance(head.type, str) or head.type not in TYPES:
        raise BadEventError(
            "unknown_type" if isinstance(head.type, str) else "invalid_envelope",
            f"expected a type such as dealpulse.opportunity.changed, found {kind_of(head.type)}",
            path="type",
        )
    entity, _ = TYPES[head.type]
    if entity == "resync" and not topic:
        raise BadEventError(
            "unknown_type", "a resync says nothing of its topic: name it in ?topic=", path="type"
        )
    topic = topic if entity == "resync" else topic_of(entity)
    return Outgoing(topic, good_subject(value, topic), value, resync=head.type.endswith("required"))

"""Statements to publish: from Python's values to the record that Kafka gets, checked before it is sent.

One method per entity, with the fields of events.md as keyword arguments: a field that is not given is
unchanged, None clears it. What becomes of a record is for the two publishers to say (`events.publisher`
waits, `events.aio` awaits).
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from .canonical import canonical, document
from .errors import BadEventError, UsageError
from .event import Event
from .headers import CONTENT_TYPE
from .reader import read
from .subjects import ALL, RateSubject
from .topics import RESYNC, topic_of, type_of

Outcome = TypeVar("Outcome")
"""What a publisher gives for a record."""

Instant = datetime | str
"""A datetime that knows its zone, or RFC 3339 with an offset."""
Day = date | str
Number = Decimal | int | float | str
Entity = Literal["opportunity", "contract", "account", "activity", "employee", "target", "fx_rate"]
Kind = Literal["new", "expansion", "cross_sell", "renewal"]


class Attributes(TypedDict, total=False):
    """Attributes of an event that need not be given.

    `id`: by default a digest of what is said, so that saying the same again is the same event.
    """

    id: str
    source: str
    sequence: str
    recordedtime: Instant


class OpportunityFields(Attributes, total=False):
    """What may be said of an opportunity."""

    complete: bool
    name: str | None
    account_id: str | None
    owner_id: str | None
    stage: str | None
    pipeline: str | None
    amount: Number | None
    currency: str | None
    created_at: Instant | None
    close_date: Day | None
    type: Kind | None
    referred_by: str | None
    probability: Number | None
    forecast_category: Literal["omitted", "pipeline", "best_case", "commit", "closed"] | None
    lost_reason: str | None
    lead_source: str | None


class RampStep(TypedDict):
    """What a contract brings in a part of its term."""

    start_date: Day
    end_date: Day
    amount: Number


class ContractFields(Attributes, total=False):
    """What may be said of a contract."""

    complete: bool
    account_id: str | None
    owner_id: str | None
    signed_on: Day | None
    start_date: Day | None
    end_date: Day | None
    recurring_amount: Number | None
    recurring_per: Literal["term", "year", "month"] | None
    one_time_amount: Number | None
    currency: str | None
    kind: Kind | None
    supersedes: str | None
    cancelled_on: Day | None
    trial: bool | None
    ramp: Sequence[RampStep] | None


class AccountFields(Attributes, total=False):
    """What may be said of an account."""

    complete: bool
    name: str | None
    owner_id: str | None
    parent_id: str | None
    segment: str | None
    region: str | None


class ActivityFields(Attributes, total=False):
    """What may be said of an activity; `with_` is the field `with`."""

    complete: bool
    rep_id: str | None
    kind: Literal["call", "meeting", "email", "demo", "other"] | None
    completed_at: Instant | None
    with_: Literal["prospect", "customer", "other"] | None
    opportunity_id: str | None
    account_id: str | None


class EmployeeFields(Attributes, total=False):
    """What may be said of an employee."""

    complete: bool
    name: str | None
    aliases: Sequence[str] | None
    hired_on: Day | None
    left_on: Day | None
    leave_kind: Literal["voluntary", "involuntary", "other"] | None
    effective_on: Day | None
    role: str | None
    team: str | None
    manager_id: str | None
    on_leave: bool | None


class TargetFields(Attributes, total=False):
    """What may be said of a target."""

    complete: bool
    amount: Number | None
    currency: str | None
    wins: int | None
    value: Number | None


FIELDS: Mapping[str, type[Attributes]] = {
    "opportunity": OpportunityFields,
    "contract": ContractFields,
    "account": AccountFields,
    "activity": ActivityFields,
    "employee": EmployeeFields,
    "target": TargetFields,
}
"""entity -> what its method takes; a test holds them against the models."""


@dataclass(frozen=True, slots=True)
class Record:
    """A good event, as Kafka gets it. Its headers name the content type."""

    topic: str
    key: bytes
    value: bytes
    event: Event

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return type_of(self.event.entity, self.event.verb)

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The record's headers."""
        return [CONTENT_TYPE]


def record_of(said: Mapping[str, Any] | Event, topic: str | None = None) -> Record:
    """The record of a CloudEvents document (JSON values) or of an event. A resync needs its topic.

    Raises BadEventError, its message naming the event; UsageError where the topic is missing.
    """
    value = _dumps(document(said) if isinstance(said, Event) else said)
    try:
        event = read(value, topic)
    except BadEventError as error:
        named = json.loads(value)
        what = f"in {named.get('type', 'an event')} of {named.get('subject', 'no subject')!r}"
        what += f" (id {named.get('id', 'none')!r})"
        message = str(error).removeprefix(f"{error.path}: ") if error.path else str(error)
        raise BadEventError(error.reason, f"{message}, {what}", path=error.path) from None
    if topic is None:
        if event.entity == RESYNC:
            raise UsageError("a resync needs its topic: publish(event, topic=...)")
        topic = topic_of(event.entity)
    return Record(topic, event.subject.encode(), value, event)


class Statements(ABC, Generic[Outcome]):
    """What can be said, a method each. `source` names the system that says it, such as /crm/acme."""

    source: str

    @abstractmethod
    def publish(self, said: Mapping[str, Any] | Event, *, topic: str | None = None) -> Outcome:
        """Publish a CloudEvents document or an event as it stands. Raises BadEventError before it is sent."""

    def opportunity(self, subject: str, *, time: Instant, **fields: Unpack[OpportunityFields]) -> Outcome:
        """An opportunity changed."""
        return self._say("opportunity", "changed", subject, time, fields)

    def contract(self, subject: str, *, time: Instant, **fields: Unpack[ContractFields]) -> Outcome:
        """A contract changed."""
        return self._say("contract", "changed", subject, time, fields)

    def account(self, subject: str, *, time: Instant, **fields: Unpack[AccountFields]) -> Outcome:
        """An account changed."""
        return self._say("account", "changed", subject, time, fields)

    def activity(self, subject: str, *, time: Instant, **fields: Unpack[ActivityFields]) -> Outcome:
        """An activity was completed."""
        return self._say("activity", "completed", subject, time, fields)

    def employee(self, subject: str, *, time: Instant, **fields: Unpack[EmployeeFields]) -> Outcome:
        """An employee changed."""
        return self._say("employee", "changed", subject, time, fields)

    def target(self, subject: str, *, time: Instant, **fields: Unpack[TargetFields]) -> Outcome:
        """A target changed; its subject is such as `rep:emp-7/2026-Q4`, `team:North/2026`, `company/2026`."""
        return self._say("target", "changed", subject, time, fields)

    def fx_rate(
        self,
        base: str,
        quote: str,
        day: date,
        rate: Number | None,
        *,
        time: Instant,
        **attributes: Unpack[Attributes],
    ) -> Outcome:
        """One `base` cost `rate` `quote` on that day; None withdraws the rate."""
        subject = str(RateSubject(base, quote, day))
        return self._say("fx_rate", "changed", subject, time, {**attributes, "rate": rate})

    def deleted(
        self, entity: Entity, subject: str, *, time: Instant, **attributes: Unpack[Attributes]
    ) -> Outcome:
        """An entity was deleted: it is hidden, until it is restored or fully stated again."""
        return self._say(entity, "deleted", subject, time, attributes)

    def restored(
        self, entity: Entity, subject: str, *, time: Instant, **attributes: Unpack[Attributes]
    ) -> Outcome:
        """A deletion or merge was taken back."""
        return self._say(entity, "restored", subject, time, attributes)

    def merged(
        self,
        entity: Literal["opportunity", "account"],
        subject: str,
        *,
        into: str,
        time: Instant,
        **attributes: Unpack[Attributes],
    ) -> Outcome:
        """The subject lives on in another one."""
        return self._say(entity, "merged", subject, time, {**attributes, "into": into})

    def resync_required(
        self,
        entity: Entity,
        subject: str = ALL,
        *,
        reason: str,
        time: Instant,
        **attributes: Unpack[Attributes],
    ) -> Outcome:
        """The source missed something about an entity, or about all of that kind."""
        fields = {**attributes, "reason": reason}
        return self._say(RESYNC, "required", subject, time, fields, topic=topic_of(entity))

    def resync_completed(
        self, entity: Entity, subject: str = ALL, *, time: Instant, **attributes: Unpack[Attributes]
    ) -> Outcome:
        """All entities of that kind have been stated anew."""
        return self._say(RESYNC, "completed", subject, time, attributes, topic=topic_of(entity))

    def _say(
        self,
        entity: str,
        verb: str,
        subject: str,
        time: Instant,
        said: Mapping[str, Any],
        *,
        topic: str | None = None,
    ) -> Outcome:
        fields = dict(said)
        source, id_ = fields.pop("source", self.source), fields.pop("id", None)
        attributes = {name: fields.pop(name) for name in ("sequence", "recordedtime") if name in fields}
        data = {name.removesuffix("_"): _json_of(name, value) for name, value in fields.items()}
        stated: dict[str, Any] = {
            "specversion": "1.0",
            "source": source,
            "type": type_of(entity, verb),
            "subject": subject,
            "time": _json_of("time", time),
            **{name: _json_of(name, value) for name, value in attributes.items() if value is not None},
            "datacontenttype": "application/json",
        }
        if data:
            stated["data"] = data
        elif verb in ("changed", "completed") and entity != RESYNC:
            stated["data"] = {}
        return self.publish({**stated, "id": id_ or _digest(stated)}, topic=topic)


def _digest(stated: Mapping[str, Any]) -> str:
    """An id made of what is said: the same statement twice is one event."""
    try:
        event = read(_dumps({**stated, "id": "-"}))
    except BadEventError:
        said = _dumps(stated)  # publishing it will say what is wrong
    else:
        said = f"{event.entity}\0{event.subject}\0{event.time_ns}\0{event.sequence}\0".encode() + canonical(
            event
        )
    return hashlib.sha256(said).hexdigest()[:32]


def _dumps(said: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(said, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BadEventError(
            "malformed", f"cannot be written as JSON: {error}, in an event of {said.get('subject')!r}"
        ) from None


def _json_of(name: str, value: Any) -> Any:
    """A Python value as JSON has it; exact decimals and dates as text."""
    match value:
        case datetime():
            if value.tzinfo is None:
                raise BadEventError(
                    "invalid_envelope" if name in ("time", "recordedtime") else "invalid_data",
                    "this datetime has no zone: give it one, as in datetime(..., tzinfo=UTC)",
                    path=name,
                )
            return value.isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case Mapping():
            return {key: _json_of(str(key), each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_json_of(name, each) for each in value]
        case _:
            return value

"""The contract as models: one per type of event, to the letter of events.md. JSON Schemas come from them.

Reading goes through `events.reader`, which words refusals and makes an `events.event.Event`.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from .currencies import EXPONENTS
from .decimals import check_amount
from .fields import (
    Alias,
    Amount,
    AnyText,
    Attribute,
    Count,
    Currency,
    Day,
    Flag,
    Goal,
    Instant,
    InstantMs,
    Name,
    Rate,
    Share,
    Text,
    refusal,
)
from .subjects import rate_subject, target_subject
from .topics import TYPES, type_of

Kind = Literal["new", "expansion", "cross_sell", "renewal"]
Category = Literal["omitted", "pipeline", "best_case", "commit", "closed"]


class Stated(BaseModel):
    """Some fields of an entity. Absent: unchanged; null: cleared. Unknown ones are ignored and counted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    @cache
    def wire_names(cls) -> Mapping[str, str]:
        """The names of the fields as they stand in JSON -> as they stand here."""
        return MappingProxyType({field.alias or name: name for name, field in cls.model_fields.items()})

    def stated(self) -> dict[str, Any]:
        """What was stated, `complete` left out, with the values that `events.event.Event` promises."""
        values, said = self.__dict__, self.model_fields_set
        return {
            wire: _plain(values[name])
            for wire, name in self.wire_names().items()
            if name in said and name != "complete"
        }


class Data(Stated):
    """The fields of a statement about an entity, which may be a full one."""

    complete: Flag | None = Field(
        None, description="True: a full statement. It clears every field it does not name, and revives."
    )


class Priced(Data):
    """A mixed-in check: the amounts of an event are in the range of the currency beside them."""

    amounts: ClassVar[tuple[str, ...]] = ("amount",)

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for name in self.amounts:
            _check_range(getattr(self, name), getattr(self, "currency", None), name)
        return self


class OpportunityData(Priced):
    """One possible sale."""

    name: Name | None = Field(None, description="Shown in lists and in explain.")
    account_id: Name | None = Field(None, description="The customer or prospect.")
    owner_id: Name | None = Field(None, description="The rep: an employee id, or an alias of one.")
    stage: Name | None = Field(None, description="A stage of its pipeline.")
    pipeline: Name | None = Field(None, description="For companies with several; default: default.")
    amount: Amount | None = Field(None, description="At most 10^13 minor units; better as decimal text.")
    currency: Currency | None = Field(None, description="ISO 4217; default: the reporting currency.")
    created_at: InstantMs | None = Field(
        None, description="Creation in the CRM. Never stated: the earliest time seen; null: unknown."
    )
    close_date: Day | None = Field(None, description="Expected while open, actual when closed.")
    type: Kind | None = Field(None, description="Default: new.")
    referred_by: Name | None = Field(None, description="The account that referred it, or: unknown.")
    probability: Share | None = Field(None, description="Overrides the stage's.")
    forecast_category: Category | None = Field(None, description="Overrides the stage's.")
    lost_reason: Text | None = None
    lead_source: Text | None = None


class RampStep(BaseModel):
    """What a contract brings in a part of its term."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    start_date: Day
    end_date: Day
    amount: Amount

    @model_validator(mode="after")
    def _forward(self) -> Self:
        _check_forward(self.start_date, self.end_date)
        return self


class ContractData(Priced):
    """What a customer signed."""

    amounts: ClassVar[tuple[str, ...]] = ("recurring_amount", "one_time_amount")

    account_id: Name | None = None
    owner_id: Name | None = None
    signed_on: Day | None = Field(
        None, description="Default: start_date, else the day of its earliest event."
    )
    start_date: Day | None = None
    end_date: Day | None = Field(None, description="Last day; null: until cancelled.")
    recurring_amount: Amount | None = None
    recurring_per: Literal["term", "year", "month"] | None = Field(None, description="Default: term.")
    one_time_amount: Amount | None = None
    currency: Currency | None = None
    kind: Kind | None = Field(None, description="Default: new.")
    supersedes: Name | None = Field(None, description="The contract it replaces, from its own start on.")
    cancelled_on: Day | None = None
    trial: Flag | None = Field(None, description="True: in no KPI.")
    ramp: Annotated[list[RampStep], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Instead of recurring_amount: what each part of the term brings."
    )

    @model_validator(mode="after")
    def _forward(self) -> Self:
        _check_forward(self.start_date, self.end_date)
        for i, step in enumerate(self.ramp or ()):
            _check_range(step.amount, self.currency, f"ramp.{i}.amount")
        return self


class AccountData(Data):
    """A company: a customer or prospect."""

    name: Name | None = None
    owner_id: Name | None = None
    parent_id: Name | None = None
    segment: Name | None = None
    region: Name | None = None


class ActivityData(Data):
    """Something a rep did."""

    rep_id: Name | None = None
    kind: Literal["call", "meeting", "email", "demo", "other"] | None = None
    completed_at: InstantMs | None = Field(None, description="Default: the event's time.")
    with_: Literal["prospect", "customer", "other"] | None = Field(
        None, alias="with", description="Default: prospect."
    )
    opportunity_id: Name | None = None
    account_id: Name | None = None


class EmployeeData(Data):
    """A person who works, or worked, for the company."""

    name: Name | None = None
    aliases: Annotated[list[Alias], Field(max_length=1000)] | None = Field(
        None, description="<source>:<user id>, the ids under which CRMs know this person."
    )
    hired_on: Day | None = Field(None, description="First day at work.")
    left_on: Day | None = None
    leave_kind: Literal["voluntary", "involuntary", "other"] | None = None
    effective_on: Day | None = Field(
        None, description="From when role, team, manager_id and on_leave hold; default: the day of the event."
    )
    role: Name | None = Field(None, description="sales or any other text.")
    team: Name | None = None
    manager_id: Name | None = None
    on_leave: Flag | None = None


class TargetData(Priced):
    """What a rep, a team or the company should reach in a period."""

    amount: Amount | None = None
    currency: Currency | None = None
    wins: Count | None = None
    value: Goal | None = Field(None, description="A goal of the KPI that the subject names, in its unit.")


class RateData(Data):
    """What one unit of a currency costs in another, on a day."""

    base: Currency | None = None
    quote: Currency | None = None
    date: Day | None = None
    rate: Rate | None = Field(None, description="One base costs rate quote.")


class MergedData(Stated):
    """Who lives on in place of the subject."""

    into: Name = Field(description="The id of the survivor.")


class ResyncData(Stated):
    """Why the source says that it missed something."""

    reason: Text | None = None


def _json_type(value: str) -> str:
    kind = value.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise refusal("expected application/json: the data of an event is JSON")
    return value


def _target_form(subject: str) -> str:
    return _formed(subject, target_subject)


def _rate_form(subject: str) -> str:
    return _formed(subject, rate_subject)


def _formed(subject: str, parse: Callable[[str], object]) -> str:
    try:
        parse(subject)
    except ValueError as error:
        raise refusal(str(error)) from None
    return subject


class Envelope(BaseModel):
    """A CloudEvents 1.0 record in structured JSON. A null attribute is absent; other extensions are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: Literal["1.0"]
    id: Attribute = Field(
        description="With source it names the event; the same pair again is the same event."
    )
    source: Attribute = Field(description="The system that says it, such as /crm/acme.")
    type: Attribute
    subject: Attribute = Field(description="The entity's id, and the Kafka key.")
    time: Instant = Field(description="When it became true there; 1970 to 2099.")
    sequence: Attribute | None = Field(
        None, description="Orders events of one time, as text: pad numbers with zeros to 20 digits."
    )
    recordedtime: Instant | None = Field(
        None, description="When the source knew it. Default: when Kafka appended it."
    )
    datacontenttype: Annotated[AnyText, AfterValidator(_json_type)] | None = None
    dataschema: AnyText | None = None
    data: Any = None

    @model_validator(mode="before")
    @classmethod
    def _structured(cls, document: Any) -> Any:
        if isinstance(document, dict) and document.get("data_base64") is not None:
            raise refusal("expected the data as JSON, in `data`", path="data_base64")
        return document


class TargetEnvelope(Envelope):
    """The subject says whose target it is, and for which period."""

    subject: Annotated[Attribute, AfterValidator(_target_form)] = Field(
        description="rep:<id>/<period>, team:<name>/<period> or company/<period>, for a goal of a KPI with "
        "/<kpi>/<reading> behind it; a period is 2026, 2026-Q4 or 2026-11."
    )


class RateEnvelope(Envelope):
    """The subject says which rate of which day; the data may repeat it, and must then agree."""

    subject: Annotated[Attribute, AfterValidator(_rate_form)] = Field(
        description="<base>/<quote>/<date>, as in EUR/USD/2026-11-23."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        said = rate_subject(self.subject)
        for code in (said.base, said.quote):
            if code not in EXPONENTS:
                raise refusal(f"{code} is no currency of ISO 4217", path="subject", reason="invalid_data")
        if isinstance(self.data, RateData):
            for name, value in (("base", said.base), ("quote", said.quote), ("date", said.day)):
                if name in self.data.model_fields_set and getattr(self.data, name) != value:
                    raise refusal(f"expected {value}, as the subject says", path=f"data.{name}")
        return self


_DATA: Mapping[str, type[Stated]] = {
    "opportunity": OpportunityData,
    "contract": ContractData,
    "account": AccountData,
    "activity": ActivityData,
    "employee": EmployeeData,
    "target": TargetData,
    "fx_rate": RateData,
    "resync": ResyncData,
}
_ENVELOPES: Mapping[str, type[Envelope]] = {"target": TargetEnvelope, "fx_rate": RateEnvelope}


def data_model(entity: str, verb: str) -> type[Stated] | None:
    """What the data of a type holds; None where it needs none and none is read."""
    if verb in ("deleted", "restored") or (entity, verb) == ("resync", "completed"):
        return None
    return MergedData if verb == "merged" else _DATA[entity]


def _model(entity: str, verb: str) -> type[Envelope]:
    data = data_model(entity, verb)
    needs_data = data is not None and entity != "resync"
    held: Any = dict[str, Any] if data is None else data
    return create_model(
        "".join(part.title() for part in (*entity.split("_"), verb)),
        __base__=_ENVELOPES.get(entity, Envelope),
        __doc__=f"`{type_of(entity, verb)}`. {(data or _DATA[entity]).__doc__}",
        type=(cast("Any", Literal[type_of(entity, verb)]), ...),
        data=(held, ...) if needs_data else (held | None, None),
    )


MODELS: Final[Mapping[str, type[Envelope]]] = MappingProxyType(
    {type_: _model(entity, verb) for type_, (entity, verb) in TYPES.items()}
)
"""type -> its model."""


def _plain(value: Any) -> Any:
    """A field's value as `events.event.Event` promises it: lists as tuples."""
    if not isinstance(value, list):
        return value
    return tuple(
        (step.start_date, step.end_date, step.amount) if isinstance(step, RampStep) else step
        for step in value
    )


def _check_range(amount: Decimal | None, currency: str | None, path: str) -> None:
    try:
        check_amount(amount, currency)
    except ValueError as error:
        raise refusal(str(error), path=path) from None


def _check_forward(start: date | None, end: date | None) -> None:
    if start is not None and end is not None and end < start:
        raise refusal(f"expected {start} (start_date) or later, not {end}", path="end_date")

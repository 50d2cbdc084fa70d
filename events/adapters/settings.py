"""The sections `[adapters.<name>]`: one system that publishes, and how its words become ours."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from .fields import CHOICES, FIELDS, Entity

NAME_PATTERN = "^[a-z][a-z0-9_]{0,31}$"
"""Names of adapters: part of a URL, of a metric's label and of a `DEALPULSE_` variable."""
RESERVED = ("events", "unknown")
"""Labels of the gateway's own sources."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EntityMapping(_Section):
    """How one entity's fields and values are named in the other system."""

    fields: dict[str, str] = Field(
        {},
        description="Their field -> ours (events.md), beside the built-in ones; an empty text drops a field.",
    )
    values: dict[str, dict[str, str]] = Field(
        {}, description="Our field -> their value -> ours; '*' is for all values that are not listed."
    )


class AdapterSettings(_Section):
    """What every adapter has."""

    id_prefix: str = Field(
        "",
        max_length=64,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Goes before the ids of this system where two share ids; user ids stay as they are.",
    )
    currency: str = Field(
        "",
        pattern="^([A-Z]{3})?$",
        description="Stated beside an amount that comes without one; empty: none is.",
    )
    opportunity: EntityMapping = EntityMapping()
    contract: EntityMapping = EntityMapping()
    account: EntityMapping = EntityMapping()
    activity: EntityMapping = EntityMapping()
    employee: EntityMapping = EntityMapping()

    @model_validator(mode="after")
    def _fields_exist(self) -> Self:
        for entity in FIELDS:
            mapping: EntityMapping = getattr(self, entity)
            check_mapping(entity, mapping.fields, mapping.values)
        return self


class HookSettings(AdapterSettings):
    """A system that posts webhooks to `/hooks/<adapter>/<name>`."""

    secret: SecretStr = Field(
        SecretStr(""),
        description="Signs the requests (Pipedrive: the password). Several, one per line: each is accepted.",
    )


class TopicSettings(AdapterSettings):
    """A system that Kafka Connect brings into topics, translated by the worker."""

    topics: tuple[str, ...] = Field((), description="The Connect topics that the worker translates.")


class SalesforceSettings(TopicSettings):
    """Salesforce Change Data Capture."""

    kind: Literal["salesforce"] = "salesforce"
    org: str = Field(
        "org",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The org's id; names the source.",
    )
    completed_statuses: tuple[str, ...] = Field(
        ("Completed",), description="Statuses of a Task that is done."
    )
    active_statuses: tuple[str, ...] = Field(
        ("Activated",), description="Statuses of a Contract that is signed; in any other it counts nowhere."
    )


class DebeziumTable(_Section):
    """One table of the CRM's database."""

    entity: Entity = Field(description="What a row is.")
    key: str = Field("id", min_length=1, description="The column that holds the entity's id.")
    columns: dict[str, str] = Field(min_length=1, description="Column -> field of events.md.")
    values: dict[str, dict[str, str]] = Field(
        {}, description="Field -> value in the table -> ours; '*' is for the rest."
    )
    units: dict[str, Literal["days", "s", "ms", "us", "ns"]] = Field(
        {}, description="Unit of a numeric date or time column; needed only where its size does not tell."
    )
    scales: dict[str, Annotated[int, Field(ge=0, le=38)]] = Field(
        {}, description="Decimal places of a column that comes as base64 bytes without a schema."
    )
    deleted_column: str = Field(
        "", description="A column that is true, or set, once the row counts as deleted."
    )
    merged_into_column: str = Field(
        "", description="A column that names the survivor once the row was merged."
    )
    shown_column: str = Field("", description="A column that decides whether the row counts at all.")
    shown_values: tuple[str, ...] = Field((), description="Its values for which the row counts.")

    @model_validator(mode="after")
    def _fields_exist(self) -> Self:
        check_mapping(self.entity, self.columns, self.values)
        if bool(self.shown_column) != bool(self.shown_values):
            raise ValueError("shown_column and shown_values go together")
        if self.merged_into_column and self.entity not in ("opportunity", "account"):
            raise ValueError("only opportunities and accounts can be merged")
        return self


class DebeziumSettings(TopicSettings):
    """Debezium on a CRM's database."""

    kind: Literal["debezium"] = "debezium"
    tables: dict[str, DebeziumTable] = Field({}, description="Tables by name, with or without their schema.")
    unavailable_value: str = Field(
        "__debezium_unavailable_value",
        min_length=1,
        description="The connector's mark of an unchanged TOAST column.",
    )


class HubspotSettings(HookSettings):
    """HubSpot webhooks v3."""

    kind: Literal["hubspot"] = "hubspot"
    max_age_seconds: int = Field(300, ge=1, description="A request signed longer ago is refused.")


class PipedriveSettings(HookSettings):
    """Pipedrive webhooks v2."""

    kind: Literal["pipedrive"] = "pipedrive"
    username: str = Field("dealpulse", description="HTTP user of the webhook; the secret is its password.")
    stages: dict[str, str] = Field({}, description="Stage id -> stage of the configured pipeline.")
    pipelines: dict[str, str] = Field(
        {}, description="Pipeline id -> configured pipeline; none: all are `default`."
    )
    won_stage: str = Field("Closed Won", min_length=1, description="The stage of a deal whose status is won.")
    lost_stage: str = Field(
        "Closed Lost", min_length=1, description="The stage of a deal whose status is lost."
    )


class BamboohrSettings(HookSettings):
    """BambooHR webhooks."""

    kind: Literal["bamboohr"] = "bamboohr"
    company: str = Field("", description="Company id for field-based bodies, which do not carry it.")
    max_age_seconds: int = Field(0, ge=0, description="A request signed longer ago is refused; 0: no limit.")
    aliases: dict[str, str] = Field({}, description="Field with the user id in a CRM -> that CRM's `source`.")


class MergeSettings(HookSettings):
    """Merge-like unified HRIS webhooks."""

    kind: Literal["merge"] = "merge"
    subject: Literal["remote_id", "id"] = Field(
        "remote_id", description="Which id is the employee's; `id` also matches the ids in `manager`."
    )
    teams: dict[str, str] = Field({}, description="Team id -> name of the team; others stay ids.")


Adapter = Annotated[
    SalesforceSettings
    | DebeziumSettings
    | HubspotSettings
    | PipedriveSettings
    | BamboohrSettings
    | MergeSettings,
    Field(discriminator="kind"),
]


class Adapters(BaseModel):
    """All of `[adapters]`: by name."""

    model_config = ConfigDict(frozen=True)

    adapters: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Adapter] = Field(
        {}, description="Each system that publishes, by a name of your own."
    )

    @field_validator("adapters")
    @classmethod
    def _one_translator_per_topic(
        cls, adapters: Mapping[str, AdapterSettings]
    ) -> Mapping[str, AdapterSettings]:
        for name in RESERVED:
            if name in adapters:
                raise ValueError(f"{name!r} is a source of the gateway itself: give the adapter another name")
        owner: dict[str, str] = {}
        for name, settings in adapters.items():
            for topic in settings.topics if isinstance(settings, TopicSettings) else ():
                if topic in owner:
                    raise ValueError(f"topic {topic!r} is translated by both {owner[topic]!r} and {name!r}")
                owner[topic] = name
        return adapters


def connect_topics(adapters: Mapping[str, Adapter]) -> tuple[str, ...]:
    """The Connect topics that the worker translates, in the order of the configuration."""
    return tuple(
        topic
        for settings in adapters.values()
        if isinstance(settings, TopicSettings)
        for topic in settings.topics
    )


def check_mapping(entity: Entity, fields: Mapping[str, str], values: Mapping[str, Mapping[str, str]]) -> None:
    """Every field on our side exists, and every choice on our side is one; `ValueError` if not."""
    known = FIELDS[entity]
    for theirs, ours in fields.items():
        if ours and ours not in known:
            raise ValueError(f"{theirs} = {ours!r}: an {entity} has {', '.join(known)}")
    for ours, table in values.items():
        if ours not in known:
            raise ValueError(f"values.{ours}: an {entity} has {', '.join(known)}")
        allowed = CHOICES.get((entity, ours))
        for theirs, value in table.items():
            if allowed and value and value not in allowed:
                raise ValueError(f"values.{ours}: {theirs} = {value!r} is none of {', '.join(allowed)}")

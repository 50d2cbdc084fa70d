"""The settings of the ways in: Kafka, the gateway, the adapters, the log."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from .duration import Duration

Listen = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")]
"""`host:port`; port 0 is any free one."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Section):
    """Where the events are."""

    brokers: str = Field(
        "localhost:9092",
        pattern=r"^[^:\s,]+:\d+(\s*,\s*[^:\s,]+:\d+)*$",
        description="host:port, comma-separated.",
    )
    partitions: int = Field(4, ge=1, le=1024, description="Partitions that `topics ensure` gives a topic.")
    partitioner: Literal["murmur2", "crc32"] = Field(
        "murmur2", description="Which partition a key belongs on: Kafka's own rule, or librdkafka's default."
    )
    replication_factor: int = Field(
        -1, ge=-1, description="Replicas of the topics that `topics ensure` makes; -1: the brokers' default."
    )
    client_id: str = Field("dealpulse", min_length=1, description="Shown in the brokers' logs.")
    request_timeout: Duration = Field(30.0, description="How long one request may take.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections are secured."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="How a SASL_ protocol proves who we are."
    )
    sasl_username: str = Field("", description="With a SASL_ protocol.")
    sasl_password: SecretStr = Field(SecretStr(""), description="With a SASL_ protocol.")
    ssl_cafile: str = Field("", description="Authorities to trust, a PEM file; empty: the system's.")
    ssl_certfile: str = Field("", description="Our certificate, a PEM file; empty: none.")
    ssl_keyfile: str = Field("", description="The key of our certificate, a PEM file.")
    ssl_password: SecretStr = Field(SecretStr(""), description="The password of that key.")
    ssl_check_hostname: bool = Field(True, description="Whether a broker's name must match its certificate.")

    @model_validator(mode="after")
    def _sasl_needs_a_name(self) -> Self:
        if self.security_protocol.startswith("SASL_") and not self.sasl_username:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password"
            )
        return self

    @property
    def broker_list(self) -> list[str]:
        """The brokers, one `host:port` each."""
        return [broker.strip() for broker in self.brokers.split(",")]


class GatewaySettings(_Section):
    """The HTTP way in."""

    listen: Listen = Field("127.0.0.1:8401", description="host:port to listen on; port 0: any free one.")
    public_url: str = Field("", description="The address vendors call, for signatures that cover it.")
    token: SecretStr = Field(
        SecretStr(""), description="Bearer token that POST /events asks for; empty: none is asked for."
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Larger requests are refused with 413.")
    answer_within: Duration = Field(5.0, description="Kafka must acknowledge within it, else 503.")


AdapterKind = Literal["salesforce", "hubspot", "pipedrive", "debezium", "bamboohr", "merge"]


class AdapterSettings(_Section):
    """One system that publishes in its own shape; the section's name is part of its address."""

    kind: AdapterKind = Field(description="Whose shape it sends.")
    source: str = Field("", description="The `source` of its events; empty: derived from its payloads.")
    topic: str = Field("", description="The Kafka Connect topic to read; empty: it posts to the gateway.")
    secret: SecretStr = Field(SecretStr(""), description="The key of its signatures.")
    username: str = Field("", description="Of HTTP basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Of HTTP basic authentication.")
    id_prefix: str = Field("", description="Put before its entities' ids, where two systems share ids.")
    mapping: str = Field("", description="A TOML file that maps its tables, columns and values.")
    stages: dict[str, str] = Field(
        default_factory=dict, description="Its stage ids and the stages they mean."
    )
    pipelines: dict[str, str] = Field(
        default_factory=dict, description="Its pipeline ids and the pipelines they mean."
    )
    won_stage: str = Field("Closed Won", description="The stage of a deal that it calls won.")
    lost_stage: str = Field("Closed Lost", description="The stage of a deal that it calls lost.")


class LogSettings(_Section):
    """What goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The lowest level shown.")
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, else JSON."
    )

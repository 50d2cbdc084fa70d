"""How to reach Kafka: one section of the configuration, in the words of Kafka's own clients."""

import ssl
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, PositiveInt, SecretStr, field_validator, model_validator

Partitioner = Literal["murmur2", "crc32"]


class KafkaSettings(BaseModel, frozen=True, extra="forbid"):
    """The brokers, how to log in, and how topics are partitioned."""

    brokers: str = Field(
        "localhost:9092", description="Addresses to start from, host:port, separated by commas."
    )
    partitions: PositiveInt = Field(4, description="Partitions of each topic, when topics are created.")
    partitioner: Partitioner = Field(
        "murmur2",
        description="Which partition a key belongs to: murmur2 (Kafka's own) or crc32 (librdkafka's).",
    )
    replication_factor: PositiveInt = Field(
        1, description="Copies of each partition, when topics are created. In production 3."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Encryption and login."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="How to log in, with a SASL_… protocol."
    )
    sasl_username: str = Field("", description="The user, with a SASL_… protocol.")
    sasl_password: SecretStr = Field(SecretStr(""), description="The password, with a SASL_… protocol.")
    ssl_cafile: str = Field(
        "", description="File of certificates (PEM) of who signed the brokers'; empty: the system's."
    )
    ssl_certfile: str = Field(
        "", description="File of the client's certificate (PEM), if brokers ask for one."
    )
    ssl_keyfile: str = Field("", description="File of the client's private key (PEM).")
    ssl_key_password: SecretStr = Field(SecretStr(""), description="The password of that private key.")
    ssl_check_hostname: bool = Field(True, description="Whether a broker's certificate must name its host.")

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, brokers: str) -> str:
        for address in (parts := [part.strip() for part in brokers.split(",")]):
            host, colon, port = address.rpartition(":")
            if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
                raise ValueError(f"{address!r} is no address: write host:port, several separated by commas")
        return ",".join(parts)

    @model_validator(mode="after")
    def _login(self) -> Self:
        if self.security_protocol.startswith("SASL_") and not self.sasl_username:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password"
            )
        if bool(self.ssl_certfile) != bool(self.ssl_keyfile):
            raise ValueError("ssl_certfile and ssl_keyfile belong together: give both or none")
        return self

    @property
    def bootstrap_servers(self) -> list[str]:
        """The addresses, one by one."""
        return self.brokers.split(",")

    def kafka_python(self) -> dict[str, Any]:
        """Arguments for any client of kafka-python."""
        return self._arguments()

    def aiokafka(self) -> dict[str, Any]:
        """Arguments for any client of aiokafka."""
        return self._arguments()

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL_"):
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self.sasl_password.get_secret_value()
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self.ssl_context()
        return arguments

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context that these files make. Raises OSError (ssl.SSLError too) if one cannot be read."""
        context = ssl.create_default_context(cafile=self.ssl_cafile or None)
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile:
            password = self.ssl_key_password.get_secret_value() or None
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password)
        return context

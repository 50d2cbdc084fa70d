"""The section `[gateway]`: the HTTP way in."""

from pydantic import BaseModel, Field, SecretStr, field_validator

from ..duration import Duration
from ..listen import Listen


class GatewaySettings(BaseModel, frozen=True, extra="forbid"):
    """Where it listens, and what it asks of a request."""

    listen: Listen = Field("127.0.0.1:8401", description="host:port to listen on; port 0: any free one.")
    public_url: str = Field(
        "",
        description="What vendors call, up to the path: https://hooks.example.com; for signatures that cover the "
        "address. Empty: http:// and the request's Host.",
    )
    token: SecretStr = Field(
        SecretStr(""), description="Bearer token that POST /events asks for; empty: none is asked for."
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Larger requests are refused with 413.")
    max_in_flight: int = Field(
        256, ge=1, description="Requests worked on at once; more are refused with 429 and Retry-After."
    )
    answer_within: Duration = Field(
        4.5, gt=0, description="Kafka must acknowledge within it, else 503; HubSpot waits 5 s for an answer."
    )
    receive_within: Duration = Field(
        10.0, gt=0, description="A request must have arrived within it, else 408."
    )
    retry_after: Duration = Field(5.0, ge=1, description="What a 503 asks the sender to wait.")
    idempotence: bool = Field(
        True,
        description="Whether Kafka itself drops the repeats of a retry. False for brokers that give out no producer "
        "ids, as the embedded one; the ids of events make repeats harmless anyway.",
    )
    close_within: Duration = Field(15.0, gt=0, description="Time to finish what is in flight after SIGTERM.")

    @field_validator("public_url")
    @classmethod
    def _without_path_end(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError(
                f"{url!r} is no address: write https://host, with the path before /hooks if there is one"
            )
        return url.rstrip("/")

"""The section `[gateway]`: the HTTP way in."""

from pydantic import BaseModel, Field, SecretStr

from ..duration import Duration
from ..listen import Listen


class GatewaySettings(BaseModel, frozen=True, extra="forbid"):
    """Where it listens, and what it asks of a request."""

    listen: Listen = Field("127.0.0.1:8401", description="host:port to listen on; port 0: any free one.")
    public_url: str = Field("", description="The address that vendors call, for signatures that cover it.")
    token: SecretStr = Field(
        SecretStr(""), description="Bearer token that POST /events asks for; empty: none is asked for."
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="Larger requests are refused with 413.")
    answer_within: Duration = Field(5.0, description="Kafka must acknowledge within it, else 503.")

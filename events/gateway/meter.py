"""What the gateway counts. Who shows it, and to whom, is the caller's affair."""

from typing import Literal, Protocol

Refusal = Literal["signature", "expired", "malformed", "too_large"]
REFUSALS: tuple[Refusal, ...] = ("signature", "expired", "malformed", "too_large")

CODES = (200, 204, 401, 408, 413, 415, 422, 429, 503)
"""Every status that a known source can get."""

EVENTS_SOURCE = "events"
"""The source of `POST /events`; a webhook's is the name of its adapter."""
NO_SOURCE = "unknown"
"""The source of requests to webhooks that are not configured."""


class Meter(Protocol):
    """Takes the counts of one gateway, and tells them in the form that a scraper accepts."""

    def answered(self, source: str, code: int, seconds: float) -> None:
        """A request was answered."""

    def refused(self, source: str, reason: Refusal) -> None:
        """A request was refused for what it is or who it is from."""

    def published(self, source: str, events: int, gaps: int) -> None:
        """Kafka acknowledged so many events, `gaps` of them resyncs that an adapter asked for."""

    def expose(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The families (`names` alone, if any are given) and their content type."""

"""Refusals over HTTP: problem details (RFC 9457) that say what to do."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from .meter import Refusal

PROBLEMS: Mapping[str, tuple[int, str]] = {
    "unauthorized": (401, "The request is not shown to come from its sender"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "Events are posted"),
    "too-slow": (408, "The request did not arrive in time"),
    "too-large": (413, "The request is too large"),
    "unsupported-type": (415, "The content type is not one of those that are read"),
    "unreadable": (422, "The request cannot be read as events"),
    "busy": (429, "Too many requests at once"),
    "kafka-unreachable": (503, "Kafka has not acknowledged"),
    "closing": (503, "The gateway is closing"),
}
"""Kind of problem -> status and title. docs/gateway.md has a line on each."""


class Problem(Exception):
    """A request that cannot be answered with 2xx. `refusal` is set if it is counted as refused."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        refusal: Refusal | None = None,
        headers: Mapping[str, str] | None = None,
        **members: str,
    ) -> None:
        self.kind, self.detail, self.refusal = kind, detail, refusal
        self.status, self.title = PROBLEMS[kind]
        self.headers, self.members = dict(headers or {}), members
        super().__init__(detail)

    def response(self) -> web.Response:
        """The answer, as application/problem+json."""
        body = {
            "type": f"urn:dealpulse:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **{name: value for name, value in self.members.items() if value},
        }
        return web.Response(
            body=msgspec.json.encode(body),
            status=self.status,
            content_type="application/problem+json",
            headers=self.headers,
        )

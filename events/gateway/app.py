"""The routes: canonical events, webhooks, metrics and health; answered once Kafka has the events."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from ..adapters.cloudevents import BATCH, JSON, STRUCTURED, batch, binary, structured
from ..adapters.outgoing import Outgoing
from ..adapters.signatures import Request, SignatureError, check_bearer
from ..clock import Clock
from ..errors import BadEventError
from ..log import get_logger
from ..negotiation import VARY, takes_gzip
from ..topics import TOPICS
from .hooks import Hook, secrets_of
from .meter import EVENTS_SOURCE, NO_SOURCE, Meter
from .problems import Problem
from .settings import GatewaySettings
from .sink import NotAcknowledgedError, Sink, TooLargeError

_LOG = get_logger("gateway")
_LANDING = """<!doctype html><title>dealpulse gateway</title><h1>dealpulse gateway</h1>
<p>POST /events, POST /hooks/&lt;adapter&gt;/&lt;name&gt;</p>
<ul><li><a href="/metrics">/metrics</a><li><a href="/healthz">/healthz</a><li><a href="/readyz">/readyz</a></ul>
"""

Read = Callable[["Request"], Sequence[Outgoing]]
"""Turns a request whose body has arrived into events. Raises Problem, SignatureError or BadEventError."""


@dataclass
class Gateway:
    """The HTTP way in. `closing` is set once it is told to end: from then on it answers 503."""

    settings: GatewaySettings
    hooks: Mapping[tuple[str, str], Hook]
    sink: Sink
    meter: Meter
    clock: Clock
    closing: bool = False
    in_flight: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _tokens: Sequence[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokens = secrets_of(self.settings.token.get_secret_value())

    def application(self) -> web.Application:
        """The aiohttp application. Run it with `auto_decompress=False`: signatures are over raw bytes."""
        app = web.Application(client_max_size=0)
        app.router.add_post("/events", self._events)
        app.router.add_post("/hooks/{kind}/{name}", self._hook)
        app.router.add_get("/", self._landing)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_route("*", "/{rest:.*}", self._elsewhere)
        return app

    async def finished(self) -> None:
        """Wait until no request is in flight."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, EVENTS_SOURCE, self._canonical(request), "Bearer")

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info["name"]
        hook = self.hooks.get((kind, name))
        if hook is None:
            return await self._answer(request, NO_SOURCE, _no_such_hook, "Signature")
        challenge = "Basic" if kind == "pipedrive" else "Signature"
        return await self._answer(request, hook.name, partial(self._translated, hook), challenge)

    async def _answer(
        self, request: web.Request, source: str, read: Read, challenge: str
    ) -> web.StreamResponse:
        started = time.monotonic()
        self.in_flight += 1
        try:
            response = await self._taken(request, source, read, challenge)
        except Problem as problem:
            if problem.refusal is not None:
                self.meter.refused(source, problem.refusal)
            _LOG.warning(
                "request.refused",
                source=source,
                status=problem.status,
                problem=problem.kind,
                reason=problem.members.get("reason"),
            )
            response = problem.response()
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()
        self.meter.answered(source, response.status, time.monotonic() - started)
        return response

    async def _taken(self, request: web.Request, source: str, read: Read, challenge: str) -> web.Response:
        """Receive, check, translate, publish; answer when Kafka has acknowledged. Raises Problem."""
        if self.closing:
            headers = self._retry_later() | {hdrs.CONNECTION: "close"}
            raise Problem(
                "closing",
                "Send it again: another gateway, or this one after its restart, takes it",
                headers=headers,
            )
        if self.in_flight > self.settings.max_in_flight:
            raise Problem(
                "busy",
                "Send fewer requests at once, or several events in one",
                headers={hdrs.RETRY_AFTER: "1"},
            )
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() not in ("", "identity"):
            raise Problem(
                "unsupported-type",
                "Send the body uncompressed: a signature covers its bytes as sent",
                refusal="malformed",
            )
        arrived = self._arrived(request, await self._body(request))
        try:
            events = read(arrived)
        except SignatureError as error:
            raise Problem(
                "unauthorized",
                str(error),
                refusal=error.reason,
                reason=error.reason,
                headers={hdrs.WWW_AUTHENTICATE: challenge},
            ) from error
        except BadEventError as error:
            raise Problem(
                "unreadable", str(error), refusal="malformed", reason=error.reason, path=error.path
            ) from error
        if not events:
            return web.Response(status=204)
        try:
            await self.sink.publish(events)
        except TooLargeError as error:
            raise Problem("too-large", str(error), refusal="too_large") from error
        except NotAcknowledgedError as error:
            detail = f"{error}. Send it again: what arrived already counts once"
            raise Problem("kafka-unreachable", detail, headers=self._retry_later()) from error
        self.meter.published(source, len(events), sum(event.resync for event in events))
        return web.Response(body=b'{"published": %d}' % len(events), content_type="application/json")

    async def _body(self, request: web.Request) -> bytes:
        """The raw body, at most `max_body_bytes`. Raises Problem."""
        limit, too_large = self.settings.max_body_bytes, self._too_large
        if (request.content_length or 0) > limit:
            raise too_large()
        if request.content.is_eof() and request.content.exception() is None:
            # It came whole, with its head, as nearly all do: no timer need watch it.
            body = request.content.read_nowait()
            if len(body) > limit:
                raise too_large()
            return body
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.settings.receive_within):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > limit:
                        raise too_large()
                    parts.append(part)
        except TimeoutError as error:
            raise Problem(
                "too-slow",
                f"The body did not arrive within {self.settings.receive_within:g} s",
                refusal="malformed",
                headers={hdrs.CONNECTION: "close"},
            ) from error
        except (ClientPayloadError, HttpProcessingError, ConnectionError, ValueError) as error:
            raise Problem(
                "unreadable",
                "The body broke off",
                refusal="malformed",
                reason="malformed",
                headers={hdrs.CONNECTION: "close"},
            ) from error
        return b"".join(parts)

    def _too_large(self) -> Problem:
        return Problem(
            "too-large",
            f"Send at most {self.settings.max_body_bytes} bytes at once: split the batch",
            refusal="too_large",
            headers={hdrs.CONNECTION: "close"},
        )

    def _arrived(self, request: web.Request, body: bytes) -> Request:
        public = self.settings.public_url or f"http://{request.headers.get(hdrs.HOST, '')}"
        return Request(
            method=request.method, uri=public + request.raw_path, headers=request.headers, body=body
        )

    def _canonical(self, request: web.Request) -> Read:
        secrets = self._tokens
        topic = request.query.get("topic", "") if "?" in request.raw_path else ""
        kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()

        def read(arrived: Request) -> Sequence[Outgoing]:
            if secrets:
                check_bearer(arrived, secrets)
            if topic and topic not in TOPICS:
                raise BadEventError(
                    "unknown_type", f"no topic of events; there are {', '.join(TOPICS)}", path="?topic"
                )
            if kind == STRUCTURED:
                return structured(arrived.body, topic=topic)
            if kind == BATCH:
                return batch(arrived.body, topic=topic)
            if "ce-specversion" in arrived.headers and (kind in ("", JSON) or kind.endswith("+json")):
                return binary(arrived.body, arrived.headers, topic=topic)
            raise Problem(
                "unsupported-type",
                f"Send {STRUCTURED} (one event), {BATCH} (an array), or {JSON} with ce- headers",
                refusal="malformed",
            )

        return read

    def _translated(self, hook: Hook, arrived: Request) -> Sequence[Outgoing]:
        hook.check(arrived, hook.secrets, self.clock.unix_ms())
        return hook.translator.translate(arrived.body)

    def _retry_later(self) -> dict[str, str]:
        return {hdrs.RETRY_AFTER: str(round(self.settings.retry_after))}

    async def _landing(self, _request: web.Request) -> web.Response:
        return web.Response(text=_LANDING, content_type="text/html")

    async def _metrics(self, request: web.Request) -> web.Response:
        names = tuple(request.query.getall("name[]", ()))
        body, content_type = self.meter.expose(request.headers.get(hdrs.ACCEPT, ""), names)
        response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, hdrs.VARY: VARY})
        if takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _checked([("loop", True, "turns")])

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _checked(
            [
                ("kafka", self.sink.connected, "acknowledges" if self.sink.connected else "does not answer"),
                ("open", not self.closing, "closing" if self.closing else "takes requests"),
            ]
        )

    async def _elsewhere(self, request: web.Request) -> web.Response:
        if request.path == "/events" or request.path.startswith("/hooks/"):
            return Problem("method-not-allowed", "POST it", headers={hdrs.ALLOW: "POST"}).response()
        return Problem("not-found", "Events go to /events, webhooks to /hooks/<adapter>/<name>").response()


def _no_such_hook(_arrived: Request) -> Sequence[Outgoing]:
    raise Problem(
        "not-found", "No such webhook is configured: its address is /hooks/<kind>/<name> of [adapters.<name>]"
    )


def _checked(checks: Sequence[tuple[str, bool, str]]) -> web.Response:
    ok = all(good for _, good, _ in checks)
    listed: list[dict[str, Any]] = [
        {"name": name, "ok": good, "detail": detail} for name, good, detail in checks
    ]
    return web.json_response({"ok": ok, "checks": listed}, status=200 if ok else 503)

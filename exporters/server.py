"""The exporter's HTTP server: `/metrics`, `/api/kpi`, `/api/explain`, `/healthz`, `/readyz`."""

import asyncio
import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from events.errors import DealpulseError, UsageError
from events.listen import host_and_port
from events.log import get_logger
from events.negotiation import OPENMETRICS, TEXT, VARY, negotiate, takes_gzip
from exporters.exporter import Check, Exporter
from exporters.exposition import compressed
from exporters.runbooks import runbook

log = get_logger("exporter")

LANDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>dealpulse</title>
<style>body{font:16px system-ui;margin:3rem auto;max-width:40rem}code{background:#eee;padding:.1em .3em}</style>
<h1>dealpulse</h1><p>True as of <b>TRUE_AS_OF</b>.</p><ul>
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/api/kpi?kpi=win_rate&amp;by=rep">/api/kpi</a>: any figure, as <code>dealpulse kpi</code> gives it
<li><a href="/api/explain?kpi=win_rate">/api/explain</a>: the records behind a figure
<li><a href="/explain?kpi=win_rate">/explain</a>: the same as text
<li><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></ul></html>
"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>dealpulse explain</title>
<style>pre{font:14px "Noto Sans Mono CJK TC","Sarasa Mono TC","MingLiU","LiSong Pro",monospace;margin:1.5rem;white-space:pre-wrap}</style>
<pre>TEXT</pre></html>
"""
"""Columns line up where a Chinese letter is as wide as two Latin ones, as in these fonts."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens, and the address it got."""

    runner: web.AppRunner
    address: str

    async def stop(self) -> None:
        """Stop listening, and end what is under way."""
        await self.runner.cleanup()


async def serve(exporter: Exporter, listen: str) -> Server:
    """Listen on `host:port`. Raises UsageError if that is taken."""
    app = application(exporter)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    host, port = host_and_port(listen)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(
            f"exporter.listen: {listen} cannot be used ({error.strerror or error}). "
            "Stop what listens there, or set another port (0: any free one)."
        ) from error
    bound = runner.addresses[0]
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return Server(runner, f"{shown}:{bound[1]}")


def application(exporter: Exporter) -> web.Application:
    """The routes over one exporter."""
    routes = Routes(exporter)
    app = web.Application(middlewares=[_errors])
    app.router.add_get("/", routes.landing)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/api/kpi", routes.kpi)
    app.router.add_get("/api/reported", routes.reported)
    app.router.add_get("/api/explain", routes.explain)
    app.router.add_get("/api/shared-aliases", routes.shared_aliases)
    app.router.add_get("/api/owners", routes.owners)
    app.router.add_get("/explain", routes.explain_text)
    app.router.add_get("/runbooks/{alert}", routes.runbook)
    app.router.add_get("/healthz", routes.healthz)
    app.router.add_get("/readyz", routes.readyz)
    return app


class Routes:
    """One handler per path."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    async def landing(self, _request: web.Request) -> web.Response:
        """Links, and the instant the numbers are true for."""
        as_of = self._exporter.true_as_of() or "— (no complete merge yet)"
        return web.Response(text=LANDING.replace("TRUE_AS_OF", as_of), content_type="text/html")

    async def metrics(self, request: web.Request) -> web.Response:
        """The exposition, in the format and encoding that the client prefers."""
        openmetrics = negotiate(request.headers.get("Accept", ""))
        names = request.query.getall("name[]", [])
        body = await self._exporter.exposition(openmetrics=openmetrics, names=names)
        headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": VARY}
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            body = await asyncio.to_thread(compressed, body)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def kpi(self, request: web.Request) -> web.Response:
        """The same question and answer as `dealpulse kpi`."""
        found = await self._exporter.kpi(_asked(request, KPI_PARAMETERS))
        return _json(found, self._exporter)

    async def reported(self, request: web.Request) -> web.Response:
        """The same question and answer as `dealpulse kpi --reported`."""
        found = await self._exporter.reported(_asked(request, KPI_PARAMETERS))
        return _json(found, self._exporter)

    async def explain(self, request: web.Request) -> web.Response:
        """The same question and answer as `dealpulse explain --json`."""
        return _json(await self._exporter.explain(_asked(request, EXPLAIN_PARAMETERS)), self._exporter)

    async def shared_aliases(self, _request: web.Request) -> web.Response:
        """Which ids of people mean one of several employees: what the doctor tells."""
        return _json(await self._exporter.shared_aliases(), self._exporter)

    async def owners(self, _request: web.Request) -> web.Response:
        """Which owners are no employees, or in no team: what the doctor tells."""
        return _json(await self._exporter.owners(), self._exporter)

    async def explain_text(self, request: web.Request) -> web.Response:
        """The same to read: a page for a browser, else plain text."""
        text = await self._exporter.explain_text(_asked(request, EXPLAIN_PARAMETERS))
        varies = {"Vary": "Accept"}
        if "text/html" in request.headers.get("Accept", ""):
            page = PAGE.replace("TEXT", html.escape(text))
            return web.Response(text=page, content_type="text/html", headers=varies)
        return web.Response(text=text, headers=varies)

    async def runbook(self, request: web.Request) -> web.Response:
        """The page that an alert links to, as Markdown."""
        page = await asyncio.to_thread(runbook, request.match_info["alert"])
        if page is None:
            raise web.HTTPNotFound
        return web.Response(text=page, content_type="text/markdown")

    async def healthz(self, _request: web.Request) -> web.Response:
        """Whether the process turns; no server is asked."""
        return _checks([Check("loop", True, "turns")])

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether one complete merge is held, and Redis answers."""
        return _checks(self._exporter.readiness())


KPI_PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "kpi": str,
    "by": str,
    "window": str,
    "as_of": str,
    "periods": int,
    "attribution": str,
}
EXPLAIN_PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "kpi": str,
    "reading": str,
    "where": str,
    "window": str,
    "as_of": str,
    "against": str,
    "attribution": str,
    "entity": str,
    "sort": str,
    "page": int,
    "per_page": int,
}

REPEATED = frozenset({"where"})
"""Parameters that may stand there several times, each for one more group."""


def _asked(request: web.Request, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The parameters of a request, of their types, those that may repeat as lists.

    Raises UsageError for an unknown or wrong one.
    """
    asked: dict[str, Any] = {}
    for name, value in request.query.items():
        if name not in known:
            raise UsageError(f"there is no parameter {name!r}; there are {', '.join(known)}")
        if name in REPEATED:
            asked.setdefault(name, []).append(value)
            continue
        try:
            asked[name] = known[name](value)
        except ValueError:
            raise UsageError(f"{name}={value!r} is no whole number") from None
    return asked


def _json(found: Any, exporter: Exporter) -> web.Response:
    text = json.dumps(found, ensure_ascii=False)
    headers = {"Cache-Control": "no-cache"}
    if (as_of := exporter.true_as_of()) is not None:
        headers["Dealpulse-True-As-Of"] = as_of
    return web.Response(text=text + "\n", content_type="application/json", headers=headers)


def _checks(checks: Sequence[Check]) -> web.Response:
    ok = all(check.ok for check in checks)
    return web.json_response(
        {"ok": ok, "checks": [asdict(check) for check in checks]}, status=200 if ok else 503
    )


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Errors as problem details (RFC 9457); unknown paths as text."""
    try:
        found: web.StreamResponse = await handler(request)
    except web.HTTPNotFound:
        return web.Response(status=404, text="There is nothing here. / has links.\n")
    except web.HTTPException:
        raise
    except DealpulseError as error:
        status = 400 if isinstance(error, UsageError) else 503
        problem = {"title": "The question cannot be answered", "status": status, "detail": str(error)}
        return web.json_response(problem, status=status, content_type="application/problem+json")
    except Exception as error:  # noqa: BLE001 - a fault of ours must be told apart from a refusal
        return _fault(request.path, error)
    return found


def _fault(path: str, error: Exception) -> web.Response:
    log.error("request.failed", path=path, error=f"{type(error).__name__}: {error}")
    detail = "A fault in dealpulse itself: the exporter's log has the line request.failed. Please report it."
    problem = {"title": "The question could not be answered", "status": 500, "detail": detail}
    return web.json_response(problem, status=500, content_type="application/problem+json")

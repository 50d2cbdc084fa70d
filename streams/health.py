"""The worker's own HTTP server: `/metrics`, `/healthz`, `/readyz`.

`/healthz` says whether the process should go on living: it touches neither Kafka nor Redis, and turns
503 when records wait and none was folded for long, so that whoever watches starts the worker again.
`/readyz` says whether it does its work: shards loaded, Kafka and Redis reachable.
"""

import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry

from events.errors import UsageError
from events.listen import host_and_port
from events.negotiation import VARY, takes_gzip
from streams.expose import expose
from streams.shards import Shards

LANDING = """<!doctype html><title>dealpulse worker</title><h1>dealpulse worker</h1>
<ul><li><a href="/metrics">/metrics</a><li><a href="/healthz">/healthz</a><li><a href="/readyz">/readyz</a></ul>
"""
_SHARDS_NAMED = 3
_SENT_WITHIN_S = 15.0
"""Records that Kafka has not taken for longer stand in the way of every checkpoint behind them."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def health(shards: Shards, *, stuck_after_s: float) -> list[Check]:
    """Whether the process does anything at all; no server is asked."""
    lag = sum(shard.lag or 0 for shard in shards.live())
    idle_s = time.monotonic() - shards.folded_at
    stuck = lag > 0 and idle_s > stuck_after_s
    return [
        Check("loop", True, "turns"),
        Check("folding", not stuck, f"{lag} records wait, the last was folded {idle_s:.0f} s ago"),
    ]


def readiness(shards: Shards) -> list[Check]:
    """Whether each assigned partition is loaded, the servers answered when last asked, and take what is sent."""
    loaded = len(shards.live())
    alone = [f"{tp.topic}/{tp.partition}: {why}" for tp, why in sorted(shards.left_alone.items())]
    seen = shards.log_seen_at is not None
    kafka_age_s = shards.log_age_s()
    live = {shard.name for shard in shards.live()}
    refused: dict[str, list[str]] = {}
    for shard, why in sorted(shards.checkpoints.refused.items()):
        if shard in live:
            refused.setdefault(why, []).append(shard)
    unsent = shards.unsent.longer_than(_SENT_WITHIN_S)
    return [
        Check(
            "shards",
            loaded == len(shards.assigned) and shards.joined,
            f"{loaded} of {len(shards.assigned)} assigned partitions loaded"
            if shards.joined
            else "not yet in the consumer group",
        ),
        Check("left_alone", not alone, "; ".join(alone) or "none"),
        Check(
            "kafka",
            not loaded or (seen and kafka_age_s < 10),
            f"answered {kafka_age_s:.0f} s ago" if seen else "no answer yet",
        ),
        Check("sends", not unsent, "; ".join(unsent) or "all acknowledged"),
        Check(
            "redis",
            shards.checkpoints.store_answers and not refused,
            "; ".join(f"{_named(which)} not written: {why}" for why, which in refused.items())
            or ("answers" if shards.checkpoints.store_answers else "away"),
        ),
    ]


def _named(shards: list[str]) -> str:
    """Some of them by name."""
    more = len(shards) - _SHARDS_NAMED
    return ", ".join(shards[:_SHARDS_NAMED]) + (f" and {more} more" if more > 0 else "")


class HealthServer:
    """Serves metrics and checks on `listen` (host:port, port 0: any free one)."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        alive: Callable[[], Sequence[Check]],
        ready: Callable[[], Sequence[Check]],
    ) -> None:
        self._registry, self._alive, self._ready = registry, alive, ready
        self._runner: web.AppRunner | None = None

    async def start(self, listen: str) -> str:
        """Listen. Returns the address with the port in use. Raises UsageError if it is taken."""
        app = web.Application()
        app.router.add_get("/", self._landing)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = host_and_port(listen)
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise UsageError(
                f"worker.listen: {listen} cannot be used ({error.strerror or error}). "
                "Stop what listens there, or set another port (0: any free one)."
            ) from error
        bound_host, bound_port = self._runner.addresses[0][:2]
        return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _landing(self, _request: web.Request) -> web.Response:
        return web.Response(text=LANDING, content_type="text/html")

    async def _metrics(self, request: web.Request) -> web.Response:
        names = tuple(request.query.getall("name[]", ()))
        body, content_type = expose(self._registry, request.headers.get("Accept", ""), names)
        headers = {"Content-Type": content_type, "Vary": VARY}
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        return web.Response(body=body, headers=headers)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._alive())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._ready())


def _answer(checks: Sequence[Check]) -> web.Response:
    ok = all(check.ok for check in checks)
    return web.json_response(
        {"ok": ok, "checks": [asdict(check) for check in checks]}, status=200 if ok else 503
    )

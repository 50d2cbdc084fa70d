"""KPIs about sets and plug-ins, worked out aside and kept current: changes and scrapes never wait for them.

Whatever goes wrong, the figures worked out last stay, and it is tried again; `why` says that they stand still.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from events.clock import Clock
from events.errors import DealpulseError
from events.log import get_logger
from exporters.aside import Aside
from exporters.faults import Faults
from exporters.metrics import KpiMetrics

log = get_logger("exporter")

_PAUSE_S: Final = 1.0
OnEngine = Callable[[Callable[[], Any]], Awaitable[Any]]


class SlowFigures:
    """Works the slow families of a `KpiMetrics` out whenever something they depend on has changed."""

    def __init__(
        self,
        kpis: KpiMetrics,
        clock: Clock,
        *,
        on_engine: OnEngine,
        read_statements: Callable[[], Awaitable[None]],
        is_ready: Callable[[], bool],
    ) -> None:
        self._kpis, self._clock, self._aside, self._faults = kpis, clock, Aside(), Faults()
        self._on_engine, self._read_statements, self._is_ready = on_engine, read_statements, is_ready
        self._failing: dict[str, str] = {}
        self.why = ""
        """Why they stand still; empty while they do not."""
        self.is_fault = False
        """Whether that is a fault of ours."""
        self._still_since: float | None = None

    @property
    def still_s(self) -> float:
        """For how long they have stood still, in seconds."""
        return 0.0 if self._still_since is None else time.monotonic() - self._still_since

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is must not end what is served beside
                self._stand_still(error)
            await asyncio.sleep(_PAUSE_S)

    def stop(self) -> None:
        """End a child that is at work."""
        self._aside.stop()

    async def _look(self) -> None:
        if not self._is_ready():
            return
        now_ms = self._clock.now_ms()
        due = await self._on_engine(partial(self._kpis.slow_due, now_ms))
        if due:
            await self._work_out(due, now_ms)
            self._faults.gone("figures")
            self.why, self.is_fault, self._still_since = "", False, None

    async def _work_out(self, due: Mapping[str, object], now_ms: int) -> None:
        await self._read_statements()
        await self._on_engine(self._kpis.prepare_slow)
        job = partial(self._kpis.slow_families, tuple(due), now_ms)
        reading = await self._on_engine(partial(self._aside.start, job))
        families, failed = await asyncio.to_thread(self._aside.answer, reading)
        self._kpis.keep(families, failed, due)
        for kpi, why in failed.items():
            if self._failing.get(kpi) != why:
                log.error("figures.failed", kpi=kpi, error=why)
        self._failing = {kpi: why for kpi, why in self._failing.items() if kpi not in due} | failed

    def _stand_still(self, error: Exception) -> None:
        self._faults.tell("figures", error)
        self.is_fault = not isinstance(error, DealpulseError)
        self.why = f"{type(error).__name__}: {error}" if self.is_fault else str(error)
        if self._still_since is None:
            self._still_since = time.monotonic()

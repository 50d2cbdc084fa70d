"""The figures worked out aside go on, whatever happens to one evaluation."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from events.errors import UnreachableError
from events.log import captured
from exporters import slow
from exporters.slow import SlowFigures
from tests.exporters.stand import instant
from tests.exporters.test_server import Frozen
from tests.integration.traffic import until

NOW_MS = instant("2026-05-20T12:00:00+08:00")


class Kpis:
    """What the figures are worked out by, with a fault for a while."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.kept: list[dict[str, Any]] = []
        self.tried = 0

    def slow_due(self, now_ms: int) -> dict[str, object]:
        self.tried += 1
        return {"clv": now_ms}

    def prepare_slow(self) -> None:
        if self.fault is not None:
            raise self.fault

    def slow_families(self, kpis: Any, now_ms: int) -> Any:
        return {kpi: {"family": {(): 1.0}} for kpi in kpis}, {}

    def keep(self, families: Any, failed: Any, due: Any) -> None:
        self.kept.append(families)


def running(kpis: Kpis, test: Callable[[SlowFigures], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "_PAUSE_S", 0.01)

    async def here(work: Callable[[], Any]) -> Any:
        return work()

    async def nothing() -> None:
        """No statements to read."""

    async def run() -> None:
        made: Any = (kpis, Frozen())
        figures = SlowFigures(*made, on_engine=here, read_statements=nothing, is_ready=lambda: True)
        task = asyncio.create_task(figures.run())
        try:
            async with asyncio.timeout(10):
                await test(figures)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            figures.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "event", "is_fault"),
    [
        (KeyError("crm.opportunity/0"), "exporter.fault", True),
        (UnreachableError("Redis does not answer"), "exporter.late", False),
    ],
)
def test_a_fault_is_told_once_and_tried_again(
    error: Exception, event: str, is_fault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kpis = Kpis()

    async def test(figures: SlowFigures) -> None:
        await until(lambda: len(kpis.kept) == 1, "figures are kept")
        assert (figures.why, figures.still_s) == ("", 0.0)
        kpis.fault, tried = error, kpis.tried
        await until(lambda: kpis.tried > tried + 5, "it is tried again")
        assert str(error) in figures.why
        assert figures.is_fault == is_fault
        assert figures.still_s > 0
        kpis.fault, count = None, len(kpis.kept)
        await until(lambda: len(kpis.kept) > count, "figures are kept again")
        await until(lambda: figures.why == "", "the fault is over")

    with captured() as lines:
        running(kpis, test, monkeypatch)

    (line,) = [line for line in lines if line["event"].startswith("exporter.")]
    assert (line["event"], line["doing"]) == (event, "figures")
    assert ("prepare_slow" in "".join(line.get("traceback", ()))) == is_fault

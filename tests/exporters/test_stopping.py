"""How an exporter ends: when it is told, within a bounded time, at a second signal at once, without children."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.traffic import wait_until

BUSY = """
import asyncio, signal, sys, threading
from aggregators.meaning import Meaning
from events.clock import Clock
from events.log import configure
from events.settings import KafkaSettings
from exporters import exporter
from exporters.settings import AlertSettings, ExporterSettings
from streams.settings import RedisSettings

class Busy(exporter.Exporter):
    async def run(self):
        await self._on_engine(lambda: self._slow._aside.start(signal.pause))
        self._engine.submit(self.evaluate)
        await asyncio.Event().wait()

    def evaluate(self):
        print(self._slow._aside._child, flush=True)
        threading.Event().wait()

exporter.Exporter, exporter.STOP_WITHIN_S = Busy, float(sys.argv[1])
configure(form="json")
config = exporter.ExporterConfig(
    KafkaSettings(), RedisSettings(), ExporterSettings(listen="127.0.0.1:0"), AlertSettings(), Meaning(), "test"
)
raise SystemExit(exporter.run_exporter(config, Clock()))
"""


@contextmanager
def busy(stop_within_s: float) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """An exporter whose evaluating thread is at something that never ends, and the id of its child."""
    command = [sys.executable, "-c", BUSY, str(stop_within_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stop_ends_although_the_evaluation_does_not() -> None:
    with busy(0.5) as (process, child):
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "exporter.stop_late" in process.stderr.read()
        wait_until(lambda: not is_alive(child), "the child has ended", seconds=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number: signal.Signals) -> None:
    with busy(600.0) as (process, child):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_alive(child), "the first is heard", seconds=5)
        assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(number)

        assert process.wait(10) == 130
        assert time.monotonic() - sent < 5
        assert process.stderr is not None
        assert "exporter.ends_at_once" in process.stderr.read()

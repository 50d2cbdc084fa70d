"""The running system answers every question as `dealpulse kpi --events` does, row by row."""

import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.render import Renderer
from aggregators.request import questions
from dealpulse.config import load
from dealpulse.event_files import EventFiles
from events.clock import Clock
from events.simulator import COMPANIES, Simulation
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker
from tests.integration.test_motion import start_together
from tests.integration.traffic import make_topics, wait_until
from tests.integration.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "maven-crm"
GOLDEN = ROOT / "examples" / "maven-crm.dealpulse.toml"


@pytest.fixture
def running_system(empty_broker: Broker, redis_url: str, unique: str) -> Iterator["System"]:
    """Two workers and an exporter on an empty log."""
    make_topics(empty_broker.brokers)
    with ExitStack() as stack:
        yield System(empty_broker.brokers, redis_url, unique, stack)


class System:
    """The processes of one installation, started when its configuration is known."""

    def __init__(self, brokers: str, redis_url: str, group: str, stack: ExitStack) -> None:
        self.brokers, self._redis_url, self._group, self._stack = brokers, redis_url, group, stack
        self.exporter: ExporterProcess

    def start(self, **settings: str) -> None:
        """Start two workers, then an exporter, with these settings."""
        workers = [Worker(self.brokers, self._redis_url, group=self._group, **settings) for _ in range(2)]
        start_together(self._stack, *workers)
        self.exporter = self._stack.enter_context(ExporterProcess(self._redis_url, **settings))

    def ask(self, **asked: Any) -> list[dict[str, Any]]:
        """What `/api/kpi` answers."""
        status, body = self.exporter.get(f"/api/kpi?{urllib.parse.urlencode(asked)}")
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def folded(self, events: int) -> bool:
        """Whether every record is in the merged shards."""
        _, body = self.exporter.get("/metrics?name[]=dealpulse_shard_records")
        counts = [line for line in body.splitlines() if line.startswith("dealpulse_shard_records{")]
        return sum(float(line.rpartition(" ")[2]) for line in counts) >= events


def dealpulse(*arguments: str, **settings: str) -> None:
    """Run a command as a person does."""
    environ = {**os.environ, **{f"DEALPULSE_{key}": value for key, value in settings.items()}}
    done = subprocess.run(
        [sys.executable, "-m", "dealpulse", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def offline(events: Path, meaning: Meaning) -> "Offline":
    """The exact road over a file of events."""
    return Offline(Company.from_events(meaning, EventFiles((events,))))


class Offline:
    """Answers from files, as `dealpulse kpi --events` gives them."""

    def __init__(self, company: Company) -> None:
        self._company, self._render = company, Renderer(company.meaning)

    def ask(self, now_ms: int, **asked: Any) -> list[dict[str, Any]]:
        """The records of an answer."""
        put = questions(self._company.calendar, now_ms=now_ms, **asked)
        return [record for one in put for record in self._render.records(answer(self._company, one))]


def by_key(records: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
    return {json.dumps([row["kpi"], row["reading"], row["by"], row["window"]]): row for row in records}


@pytest.mark.rule("golden")
def test_the_golden_figures_come_out_of_the_running_system(running_system: System, tmp_path: Path) -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    mapping = str(ROOT / "examples" / "maven-crm.toml")
    events = tmp_path / "events.jsonl.gz"
    dealpulse("import", str(DATA), "--mapping", mapping, "--out", str(events))
    dealpulse("import", str(DATA), "--mapping", mapping, KAFKA__BROKERS=running_system.brokers)
    running_system.start(CONFIG=str(GOLDEN))
    told = len(list(EventFiles((events,))))
    wait_until(lambda: running_system.folded(told), "all records are folded", seconds=60)

    whole = running_system.ask(kpi="won,lost,win_rate", window="all", as_of="2017-12-31")
    assert [row["value"] for row in whole if row["reading"] == "count"] == [4_238, 2_473]
    assert round(next(row["value"] for row in whole if row["reading"] == "closed_count"), 6) == 0.631501

    files = offline(events, load(GOLDEN).settings.meaning)
    for kpi in (
        "win_rate",
        "won",
        "lost",
        "created",
        "open",
        "stagnation",
        "stalled",
        "sales_cycle",
        "deal_size",
    ):
        for by in ("", "rep", "team"):
            asked = {"kpi": kpi, "by": by, "window": "fiscal_quarter", "as_of": "2017-12-31", "periods": 5}
            expected = files.ask(Clock().now_ms(), **asked)
            assert by_key(running_system.ask(**asked)) == by_key(expected), asked


@pytest.mark.rule("answer")
def test_every_kpi_is_the_same_live_and_from_files(running_system: System, tmp_path: Path) -> None:
    end_ms = Clock().now_ms()
    simulation = Simulation(
        COMPANIES["sauls-dolls"], seed=11, reps=8, quarters=4, end_ms=end_ms, poison=False
    )
    events = tmp_path / "events.jsonl"
    told = list(simulation.history())
    events.write_bytes(b"".join(record.value + b"\n" for record in told))
    dealpulse(
        *("simulate", "--seed", "11", "--reps", "8", "--quarters", "4", "--for", "0"),
        *("--end", simulation_end(end_ms)),
        KAFKA__BROKERS=running_system.brokers,
    )
    running_system.start()
    wait_until(lambda: running_system.folded(len(told)), "all records are folded", seconds=60)

    files = offline(events, Meaning())
    compared = 0
    for kpi, definition in registry().items():
        for by in {"", "team", *definition.dimensions[:1]} & {"", *definition.dimensions}:
            for as_of in (simulation_end(end_ms - 40 * 86_400_000), simulation_end(end_ms + 20 * 86_400_000)):
                asked = {"kpi": kpi, "by": by, "as_of": as_of}
                expected = files.ask(Clock().now_ms(), **asked)
                assert by_key(running_system.ask(**asked)) == by_key(expected), asked
                compared += len(expected)
    assert compared > 500


def simulation_end(instant_ms: int) -> str:
    """An instant as text."""
    from events.instants import instant_text

    return instant_text(instant_ms * 1_000_000)

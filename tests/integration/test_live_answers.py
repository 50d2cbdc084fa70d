"""The running system answers every question as `dealpulse kpi --events` does, row by row."""

import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.explain_page import explained
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
from tests.integration.traffic import Message, envelope, make_topics, publish, wait_until
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

    def explain(self, now_ms: int, **asked: Any) -> Any:
        """What `dealpulse explain --json` says."""
        return json.loads(json.dumps(explained(self._company, now_ms=now_ms, **asked)))


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


SETTINGS = """
[company]
name = "Saul's Dolls"
timezone = "Asia/Taipei"
currency = "TWD"
fiscal_year_start_month = 2

[kpis]
fx_pivot = "USD"
customer_level = "parent"
"""


def rare(history: list[Message], end_ms: int) -> Iterator[Message]:
    """What a year of the simulator does not tell: deletions and returns, goals, gaps, full statements, nulls."""
    ids: dict[str, list[str]] = {}
    for message in history:
        subject = json.loads(message.value or b"")["subject"]
        ids.setdefault(message.topic, []).append(subject)
    numbers = count()

    def tell(topic: str, kind: str, subject: str, days_ago: float, **data: Any) -> Message:
        time = simulation_end(end_ms - int(days_ago * 86_400_000))
        number = next(numbers)
        entity, _, verb = kind.partition(".")
        value = envelope(entity, verb, subject, number, data, id=f"rare-{number}", time=time)
        return Message(topic, subject.encode(), value)

    for topic, entity in (
        ("crm.contract", "contract"),
        ("crm.account", "account"),
        ("hr.employee", "employee"),
        ("crm.activity", "activity"),
        ("crm.opportunity", "opportunity"),
    ):
        gone, back = sorted({each for each in ids[topic] if each != "*"})[3:5]
        yield tell(topic, f"{entity}.deleted", gone, 50)
        yield tell(topic, f"{entity}.deleted", back, 60)
        yield tell(topic, f"{entity}.restored", back, 30)
    deals = sorted(set(ids["crm.opportunity"]))
    yield tell("crm.opportunity", "opportunity.changed", deals[10], 45, amount=None, owner_id=None)
    yield tell(
        "crm.opportunity",
        "opportunity.changed",
        deals[11],
        44,
        complete=True,
        stage="Proposal",
        owner_id="nobody-knows",
        amount="1200.50",
        currency="USD",
        created_at=simulation_end(end_ms - 80 * 86_400_000),
        type="renewal",
    )
    yield tell("crm.opportunity", "resync.required", deals[12], 40, reason="a gap")
    rep = sorted(set(ids["hr.employee"]))[5]
    yield tell("hr.employee", "employee.changed", rep, 70, left_on="2020-01-01", leave_kind="other")
    for scope in ("company", f"rep:{rep}", "team:Taipei"):
        for kpi, value in (("won/count", 40), ("win_rate/closed_count", 0.4), ("customers/active", 12)):
            subject = f"{scope}/{fiscal_year(end_ms)}/{kpi}"
            yield tell("sales.target", "target.changed", subject, 90, value=value)
    yield tell("sales.target", "target.deleted", f"company/{fiscal_year(end_ms)}/won/count", 20)


def fiscal_year(instant_ms: int) -> int:
    """By the month in which it ends, of a year that starts in February."""
    on = datetime.fromisoformat(simulation_end(instant_ms))
    return on.year + (on.month >= 2)


@pytest.mark.rule("answer")
def test_every_kpi_is_the_same_live_and_from_files(running_system: System, tmp_path: Path) -> None:
    end_ms = Clock().now_ms()
    simulation = Simulation(
        COMPANIES["sauls-dolls"], seed=11, reps=8, quarters=4, end_ms=end_ms, poison=False
    )
    config = tmp_path / "dealpulse.toml"
    config.write_text(SETTINGS)
    told = [
        Message(record.topic, None if record.key is None else record.key.encode(), record.value)
        for record in simulation.history()
    ]
    told += list(rare(told, end_ms))
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"".join((message.value or b"") + b"\n" for message in told))
    publish(running_system.brokers, told)
    running_system.start(CONFIG=str(config))
    wait_until(lambda: running_system.folded(len(told)), "all records are folded", seconds=60)

    files = offline(events, load(config).settings.meaning)
    compared = 0
    past, future = simulation_end(end_ms - 40 * 86_400_000), simulation_end(end_ms + 20 * 86_400_000)
    for kpi, definition in registry().items():
        few = {"", *definition.dimensions[:1]}
        for by, as_of, window in (
            *((by, past, None) for by in few),
            *((by, future, None) for by in ("", *definition.dimensions)),
            ("", past, "trailing_12m"),
        ):
            asked = {"kpi": kpi, "by": by, "as_of": as_of, **({"window": window} if window else {})}
            expected = files.ask(Clock().now_ms(), **asked)
            assert by_key(running_system.ask(**asked)) == by_key(expected), asked
            compared += len(expected)
    assert compared > 2_000
    assert any(row["kpi"] == "goal" for row in running_system.ask(kpi="goal", window="fiscal_year"))

    for kpi in ("win_rate", "customer_retention", "acv", "rep_retention", "ramp_up"):
        put: dict[str, Any] = {"kpi": kpi, "as_of": past, "per_page": 1_000}
        status, body = running_system.exporter.get(f"/api/explain?{urllib.parse.urlencode(put)}")
        assert status == 200, body
        assert json.loads(body) == files.explain(Clock().now_ms(), **put), put


def simulation_end(instant_ms: int) -> str:
    """An instant as text."""
    from events.instants import instant_text

    return instant_text(instant_ms * 1_000_000)

"""As-reported figures on real servers: frozen once, there whatever Redis loses, and got again from the log."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from aggregators.meaning import Meaning
from aggregators.reported import Schedule
from dealpulse.child import free_port
from events.clock import Clock
from events.event import EPOCH_UNIX_S
from events.headers import RECORDED
from events.instants import time_ns
from events.settings import KafkaSettings
from events.simulator import COMPANIES, Simulation
from events.topics import REPORTED
from exporters.freezing import Freezing
from streams import freeze
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker
from tests.integration.traffic import (
    Message,
    envelope,
    log_of,
    make_topics,
    publish,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

CLOCK = Clock.parse("offset=2026-07-10T12:00:00Z")
SETTINGS = Meaning()


def win(subject: str, day: str, amount: str, recorded: str | None) -> Message:
    """A deal won at noon of a day, recorded at noon of another; None: known when it is appended."""
    known = {} if recorded is None else {"recordedtime": f"{recorded}T12:00:00Z"}
    data = {
        "stage": "Closed Won",
        "amount": amount,
        "currency": "USD",
        "owner_id": "ann",
        "created_at": "2026-01-05T00:00:00Z",
    }
    value = envelope(
        "opportunity", "changed", subject, 0, data, id=f"won-{subject}", time=f"{day}T12:00:00Z", **known
    )
    return Message("crm.opportunity", subject.encode(), value)


def deletion(subject: str, day: str) -> Message:
    value = envelope(
        "opportunity",
        "deleted",
        subject,
        0,
        {},
        id=f"gone-{subject}",
        time=f"{day}T12:00:00Z",
        recordedtime=f"{day}T12:00:00Z",
    )
    return Message("crm.opportunity", subject.encode(), value)


class Installation:
    """A worker and an exporter on one log, all with the same clock."""

    def __init__(self, brokers: str, redis_url: str, group: str, stack: ExitStack) -> None:
        self.brokers, self.redis_url = brokers, redis_url
        self.settings = {"CLOCK": CLOCK.spec, "KAFKA__BROKERS": brokers}
        self.stack = stack
        stack.enter_context(Worker(brokers, redis_url, group=group, CLOCK=CLOCK.spec))
        self.exporter = self.new_exporter()

    def new_exporter(self) -> ExporterProcess:
        return self.stack.enter_context(ExporterProcess(self.redis_url, **self.settings))

    def dealpulse(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        environ = {
            **os.environ,
            **{f"DEALPULSE_{key}": value for key, value in self.settings.items()},
            "DEALPULSE_EXPORTER__LISTEN": self.exporter.address,
        }
        done = subprocess.run(
            [sys.executable, "-m", "dealpulse", *arguments, "--json"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ask(self, path: str, **asked: str) -> Any:
        status, body = self.exporter.get(f"{path}?{urllib.parse.urlencode(asked)}")
        assert status == 200, body
        return json.loads(body)

    def sides(self, **asked: str) -> tuple[Any, Any, Any]:
        """Restated, reported and difference of the first reading."""
        first = self.ask("/api/reported", **asked)[0]
        reported = first["reported"]
        return first["restated"]["value"], reported and reported["value"], first["difference"]

    def metric(self, name: str, window: str) -> float | None:
        lines = self.exporter.get(f"/metrics?name[]={name}")[1].splitlines()
        found = [
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(name) and f'"{window}"' in line
        ]
        return sum(found) if found else None


@pytest.fixture
def installation(empty_broker: Broker, redis_url: str, unique: str) -> Iterator[Installation]:
    make_topics(empty_broker.brokers)
    publish(
        empty_broker.brokers,
        [
            win("a", "2026-02-10", "5", "2026-02-10"),
            win("b", "2026-05-11", "6", "2026-05-11"),
            win("c", "2026-06-30", "7", "2026-07-06"),  # the day of the freeze: four business days later
            deletion("b", "2026-07-08"),
        ],
    )
    with ExitStack() as stack:
        yield Installation(empty_broker.brokers, redis_url, unique, stack)


def test_frozen_figures_stay_whatever_comes_later_and_whatever_redis_loses(
    installation: Installation,
) -> None:
    wait_for_all(installation.brokers, installation.redis_url)
    assert installation.metric("dealpulse_reported_opportunities_won", "previous_quarter") is None

    frozen = installation.dealpulse("freeze")
    assert [(each["kind"], each["start"]) for each in frozen] == [
        ("month", "2026-01-01"),
        ("month", "2026-02-01"),
        ("month", "2026-03-01"),
        ("fiscal_quarter", "2026-01-01"),
        ("month", "2026-04-01"),
        ("month", "2026-05-01"),
        ("month", "2026-06-01"),
        ("fiscal_quarter", "2026-04-01"),
    ][1:]
    assert installation.dealpulse("freeze") == []

    publish(installation.brokers, [win("d", "2026-06-20", "9", None)])
    wait_for_all(installation.brokers, installation.redis_url)
    # Restated: c and d, for b is deleted; as reported: b and c.
    wait_until(lambda: installation.sides(kpi="won") == (2, 2, 0), "the exporter has the kept rows and d")
    records = installation.ask("/api/reported", kpi="won", by="rep", window="2026-04-01..2026-06-30")
    amount = records[1]
    assert (amount["by"], amount["restated"]["value"], amount["reported"]["value"], amount["difference"]) == (
        {"rep": "ann"},
        "16.00",
        "13.00",
        "3.00",
    )
    assert installation.dealpulse("kpi", "--reported", "--kpi", "won", "--by", "rep") == records
    wait_until(
        lambda: installation.metric("dealpulse_reported_won_amount", "previous_quarter") == 13.0,
        "the metrics show it",
    )
    explained = installation.dealpulse("explain", "won", "--reading", "amount", "--against", "reported")
    assert [(each["record"], each["difference"]) for each in explained["against"]["moved"]] == [
        ("opportunity/d", "9"),
        ("opportunity/b", "-6"),
    ]

    with redis.Redis.from_url(installation.redis_url) as client:
        client.flushdb()
    installation.exporter.stop()
    installation.exporter = installation.new_exporter()
    wait_until(lambda: installation.sides(kpi="won")[1] == 2, "another exporter reads what is kept")

    compared = installation.dealpulse("freeze", "--recompute")
    assert [(each["differences"], each["settings_changed"]) for each in compared] == [([], False)] * 7

    publish(installation.brokers, [win("e", "2026-06-21", "1", "2026-06-21")])
    (quarter,) = installation.dealpulse("freeze", "--recompute", "--period", "2026-Q2", code=1)
    moved = {(each["kpi"], each["reading"], *each["by"].values()) for each in quarter["differences"]}
    assert {("won", "count"), ("won", "count", "ann"), ("won", "amount")} <= moved

    wait_for_all(installation.brokers, installation.redis_url)
    wait_until(lambda: installation.sides(kpi="won") == (3, 2, 1), "the exporter has e")
    told = installation.dealpulse("explain", "won", "--reading", "amount", "--against", "reported")["against"]
    assert (told["before"]["value"], told["reported"]["log"]["value"], told["after"]["value"]) == (
        "13.00",
        "14.00",
        "17.00",
    )
    assert [(each["record"], each["difference"]) for each in told["moved"]] == [
        ("opportunity/d", "9"),
        ("opportunity/b", "-6"),
        ("opportunity/e", "1"),
    ]
    (late,) = told["reported"]["late"]
    assert (late["record"], late["known_at"][:10], late["appended_at"][:10]) == (
        "opportunity/e",
        "2026-06-21",
        "2026-07-10",
    )


def test_an_exporter_freezes_by_itself_and_a_recomputation_of_a_whole_company_agrees(
    empty_broker: Broker,
) -> None:
    make_topics(empty_broker.brokers)
    kafka = KafkaSettings(brokers=empty_broker.brokers)
    simulation = Simulation(COMPANIES["sauls-dolls"], seed=3, reps=3, quarters=1, end_ms=CLOCK.now_ms())
    publish(
        empty_broker.brokers,
        [
            Message(each.topic, None if each.key is None else each.key.encode(), each.value)
            for each in simulation.history()
        ],
    )
    freezing = Freezing(kafka, SETTINGS, CLOCK, settled_s=0)
    quarter = Schedule(SETTINGS).named("2026-Q2")

    async def run() -> None:
        working = asyncio.create_task(freezing.run(lambda: True))
        async with asyncio.timeout(90):
            while freezing.held.freeze(quarter.window) is None:  # noqa: ASYNC110 - it has no event to tell
                await asyncio.sleep(0.05)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(run())
    compared = asyncio.run(freeze.recompute(kafka, SETTINGS, CLOCK))

    assert quarter in [each.freeze.period for each in compared]
    assert all(each.rows > 20 and not each.differences for each in compared)
    # With another calendar its periods are others, and this log has just been written.
    other = Meaning.model_validate({"company": {"calendar": "4-4-5"}})
    with pytest.raises(freeze.NotSettledError, match="a record known before its freeze came in"):
        asyncio.run(freeze.freeze(kafka, other, CLOCK, settled_s=3_600))


def test_while_history_comes_in_nothing_but_the_last_records_is_read(
    empty_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter asks again and again: it must not read a log of millions each time."""
    make_topics(empty_broker.brokers)
    kafka = KafkaSettings(brokers=empty_broker.brokers)
    long_ago = CLOCK.now_ms() - freeze.LOOK_BACK_MS
    quarters = Schedule(SETTINGS).due(CLOCK.now_ms(), long_ago)
    publish(empty_broker.brokers, [win("a", "2020-02-10", "5", "2020-02-10")])
    read: list[object] = []
    monkeypatch.setattr(freeze, "read_log", lambda *args, **_: read.append(args))

    with pytest.raises(
        freeze.NotSettledError, match=f"{quarters[0]} waits: a record known before its freeze"
    ):
        asyncio.run(freeze.freeze(kafka, SETTINGS, CLOCK, settled_s=3_600))

    assert not read
    asyncio.run(freeze.require_settled(kafka, CLOCK, quarters[0], 0))
    publish(empty_broker.brokers, [win("b", "2026-02-10", "5", None)])  # known now: history is in
    with pytest.raises(freeze.NotSettledError):
        asyncio.run(freeze.require_settled(kafka, CLOCK, quarters[0], 3_600))


def test_a_record_published_again_is_known_since_its_first_append(empty_broker: Broker) -> None:
    make_topics(empty_broker.brokers)
    message = win("a", "2026-02-10", "5", None)
    first_ms = time_ns("2026-03-01T00:00:00Z") // 1_000_000
    real_ms = first_ms - CLOCK.shown_ms(0) + EPOCH_UNIX_S * 1000
    asyncio.run(_again(empty_broker.brokers, message, real_ms))

    history = asyncio.run(freeze.read_log(KafkaSettings(brokers=empty_broker.brokers), CLOCK))

    assert [each.known_ms for each in history.events] == [first_ms]


async def _again(brokers: str, message: Message, first_unix_ms: int) -> None:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        await producer.send_and_wait(
            message.topic, message.value, key=message.key, headers=[(RECORDED, b"%d" % first_unix_ms)]
        )


def test_without_kafka_an_exporter_warns_once_and_serves_on(redis_url: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    exporter = ExporterProcess(redis_url, CLOCK=CLOCK.spec, KAFKA__BROKERS=nobody)
    exporter.ready = lambda: exporter.running and bool(exporter.address)  # type: ignore[method-assign]
    with exporter:
        wait_until(lambda: "reported.away" in exporter.output(), "it says so")
        assert exporter.get("/healthz")[0] == 200
        assert exporter.output().count("reported.away") == 1


def test_rows_lie_under_their_key_with_the_periods_own_record_last(empty_broker: Broker) -> None:
    make_topics(empty_broker.brokers)
    publish(empty_broker.brokers, [win("a", "2026-05-11", "6", "2026-05-11")])
    kafka = KafkaSettings(brokers=empty_broker.brokers)
    quarter = Schedule(SETTINGS).named("2026-Q2")

    (done,) = asyncio.run(freeze.freeze(kafka, SETTINGS, CLOCK, only=quarter))

    records = [record for found in log_of(empty_broker.brokers, REPORTED).values() for record in found]
    keys = [json.loads(record.key) for record in records]
    assert len(keys) == done.rows + 1
    assert ["period", "fiscal_quarter", "2026-04-01", "2026-06-30"] in keys
    assert ["won", "count", "fiscal_quarter", "2026-04-01", "2026-06-30", [["rep", "ann"]], 1] in keys

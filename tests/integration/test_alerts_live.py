"""The chain of alerts, live: events, workers, exporter, Prometheus with the shipped rules, Alertmanager, receivers.

Joy's Toys dries up and its deals stall, on a clock that starts one morning in June and makes a day of
every minute: simulator, worker and exporter share it by `DEALPULSE_CLOCK`. Prometheus and Alertmanager
have only the real one, so all durations of rules and routes are divided by that same speed, and what is
told to them as an instant is a real one (docs/adr/0005). Nothing is muted at night.
"""

import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dealpulse.child import Child
from dealpulse.embedded import Tansu
from events.clock import VARIABLE, Clock
from exporters import alertmanager, rules
from tests.integration.monitoring import Alertmanager, ExporterProcess, Prometheus, Receiver, wait_until
from tests.integration.servers import RedisServer
from tests.integration.traffic import Message, envelope, publish
from tests.integration.worker import Worker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="no alertmanager"),
    pytest.mark.timeout(400),
]

STARTS = "2026-06-09T09:00:00+08:00"
FACTOR = 1440
"""The speed of the clock, and what every duration is divided by."""
SCRAPE_MS = 1_000
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def shorter(duration: str, *, least_ms: int) -> str:
    """A duration divided by the factor, but not under what scrapes every second can show."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration)
    assert found is not None, duration
    return f"{max(least_ms, int(found[1]) * UNITS_MS[found[2]] // FACTOR)}ms"


def shorter_expression(expression: str) -> str:
    """Its ranges and its ages in seconds divided by the factor: at least 4 scrapes, and 10 s of age."""
    ranges = re.sub(r"\[(\w+)\]", lambda found: f"[{shorter(found[1], least_ms=4 * SCRAPE_MS)}]", expression)
    return re.sub(r"> (\d{3,})\b", lambda found: f"> {max(10, int(found[1]) // FACTOR)}", ranges)


def shorter_rules() -> dict[str, dict[str, Any]]:
    document = rules.alerting_rules(rules.Links())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = shorter_expression(rule["expr"])
            for name in {"for", "keep_firing_for"} & set(rule):
                rule[name] = shorter(rule[name], least_ms=0)
    return {"recording.yml": rules.recording_rules(), "alerts.yml": document}


def shorter_routes(receiver: Receiver) -> dict[str, Any]:
    """The shipped routes without mute intervals, and every receiver here."""
    document = alertmanager.configuration(zone="Asia/Taipei", mute=False)
    for route in (document["route"], *document["route"]["routes"]):
        for name in {"group_wait", "group_interval", "repeat_interval"} & set(route):
            route[name] = shorter(route[name], least_ms=20)
    for one in document["receivers"]:
        for slack in one.get("slack_configs", []):
            del slack["api_url_file"]
            slack["api_url"] = f"{receiver.address}/{one['name']}"
        for webhook in one.get("webhook_configs", []):
            webhook["url"] = f"{receiver.address}/{one['name']}"
    return document


class JoysToys(Child):
    """`dealpulse simulate`: a history that ends now, then the company's life at the clock's speed."""

    start_seconds = 90.0

    def __init__(self, brokers: str, clock: Clock) -> None:
        super().__init__("simulator")
        self._brokers, self._clock = brokers, clock

    def command(self, folder: Path) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "dealpulse", "simulate"),
            *("--company", "joys-toys", "--brokers", self._brokers),
        ]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, VARIABLE: self._clock.spec}

    def ready(self) -> bool:
        return "records of history published" in self.output()


def shown(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.unix_ms() / 1000, UTC)


@dataclass
class Chain:
    """What was started."""

    clock: Clock
    brokers: str
    exporter: ExporterProcess
    prometheus: Prometheus
    alertmanager: Alertmanager
    receiver: Receiver
    watched_since: datetime

    def now(self) -> datetime:
        """What the company's clock shows."""
        return shown(self.clock)

    def messages(self, alert: str, *, team: str = "") -> list[dict[str, str]]:
        """What the sales channel was told of an alert: title and text of each message."""
        told = [
            message["attachments"][0] for path, message in list(self.receiver.received) if path == "/sales"
        ]
        return [one for one in told if alert in one["title"] and team in one["title"]]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Tansu() as broker, RedisServer() as redis, Receiver() as receiver:
        clock = Clock.parse(f"offset={STARTS},speed={FACTOR}")
        settings = {"CLOCK": clock.spec, "EXPORTER__REFRESH": "0.5"}
        with (
            JoysToys(broker.brokers, clock),
            Worker(broker.brokers, redis.url, CLOCK=clock.spec) as worker,
            ExporterProcess(redis.url, **settings) as exporter,
            Alertmanager(shorter_routes(receiver), alertmanager.TEMPLATES) as routes,
        ):
            targets = {
                "dealpulse-exporter": exporter.address,
                "dealpulse-worker": re.findall(r"http://(127\.0\.0\.1:\d+)/metrics", worker.output())[-1],
            }
            configuration = {
                "global": dict.fromkeys(
                    ("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{SCRAPE_MS}ms"
                ),
                "alerting": {
                    "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{routes.port}"]}]}]
                },
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [address]}]}
                    for job, address in targets.items()
                ],
            }
            wait_until(lambda: worker.metric("dealpulse_worker_lag_events") == 0, "not folded", seconds=90)
            since = shown(clock)
            with Prometheus(configuration, shorter_rules()) as prometheus:
                yield Chain(clock, broker.brokers, exporter, prometheus, routes, receiver, since)


_numbers = itertools.count(1)
STALLED_AFTER = timedelta(days=14)
"""Of a deal in Proposal, as the stages ship."""


def _deals(at: datetime, **data: str) -> list[Message]:
    """What is told at an instant of each of five large deals of nobody."""
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    told = []
    for subject in (f"idle-{number}" for number in range(5)):
        value = envelope("opportunity", "changed", subject, next(_numbers), dict(data), time=time)
        told.append(Message("crm.opportunity", subject.encode(), value))
    return told


def test_alerts_arrive_with_their_text_resolve_and_are_inhibited(chain: Chain) -> None:
    # Five deals that nobody owns stand under the team `unassigned`, and stall in twelve hours: half a minute.
    team = "unassigned"
    entered = chain.now() - STALLED_AFTER + timedelta(hours=12)
    publish(
        chain.brokers,
        _deals(
            entered,
            stage="Proposal",
            amount="900000",
            currency="USD",
            created_at=entered.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
    )
    proposed = f'dealpulse_open_amount{{team="{team}",stage_name="Proposal"}} > 4e6'
    wait_until(lambda: chain.prometheus.series(proposed), "the five deals are not shown", seconds=20)
    assert not chain.messages("SalesPipelineStalled", team=team)
    wait_until(lambda: chain.messages("SalesPipelineStalled", team=team), "no stalled alert", seconds=60)
    assert chain.now() - entered > STALLED_AFTER + timedelta(hours=1)
    told = chain.messages("SalesPipelineStalled", team=team)[0]
    assert told["title"] == "▲ SalesPipelineStalled · unassigned"
    assert re.match(r"Team unassigned: \d+(\.\d+)?% of the open pipeline is stalled", told["text"])
    assert "agree on the next step" in told["text"]
    assert "/runbooks/SalesPipelineStalled|What to do>" in told["text"]

    wait_until(lambda: chain.messages("SalesPipelineDryingUp"), "no drying-up alert", seconds=150)
    assert chain.now() - chain.watched_since >= timedelta(days=1), "its condition had not lasted for a day"
    text = chain.messages("SalesPipelineDryingUp")[0]["text"]
    assert re.search(r"the pipeline is drying up, only \d+ new opportunities in the last 28 days", text), text

    now = chain.now()
    publish(chain.brokers, _deals(now, stage="Closed Lost", close_date=now.strftime("%Y-%m-%d")))
    resolved = "● SalesPipelineStalled · unassigned · resolved"
    wait_until(
        lambda: [one for one in chain.messages("SalesPipelineStalled") if one["title"] == resolved],
        "the stalled alert does not resolve",
        seconds=60,
    )

    assert chain.receiver.alerts("/deadman", "Watchdog"), "the dead man's switch was not fed"
    # The company's clock has run away from Prometheus' by months, and nothing of the engine looks old or early.
    told_so_far = json.dumps([message for _, message in chain.receiver.received])
    for quiet in ("SalesDataStale", "ClockSkew", "WorkerStuck", "NoWorker", "DealpulseTargetDown"):
        assert quiet not in told_so_far

    chain.exporter.kill()
    down = "DealpulseTargetDown"
    wait_until(lambda: chain.receiver.alerts("/oncall", down), "no alert about the dead exporter", seconds=60)
    summary = chain.receiver.alerts("/oncall", down)[0]["annotations"]["summary"]
    assert summary.startswith("dealpulse-exporter on 127.0.0.1:")
    assert summary.endswith("does not answer")

    wait_until(lambda: chain.prometheus.firing("SalesDataStale"), "stale data are not told", seconds=60)

    def held_back() -> bool:
        return any(
            one["labels"]["alertname"] == "SalesDataStale" and one["status"]["inhibitedBy"]
            for one in chain.alertmanager.alerts()
        )

    wait_until(held_back, "SalesDataStale is not inhibited", seconds=30)
    everything = json.dumps([message for _, message in chain.receiver.received])
    assert "SalesDataStale" not in everything

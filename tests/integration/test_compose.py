"""The services of docker-compose.yml, without containers: the same commands, environment, files and health checks.

What a container gives them is put in by hand: `kafka` and `redis` are servers of this test, each service's
port is any free one, and the working directory holds what compose mounts there. Prometheus and Alertmanager
start from the files that are mounted into theirs. Grafana is not to be had here.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dealpulse.child import Child, free_port
from dealpulse.embedded import RedisServer
from exporters.alerts import ALERTS
from exporters.rules import RECORDINGS
from tests.integration.monitoring import Alertmanager, Prometheus, fetch, wait_until
from tests.integration.servers import PROJECT, ApacheKafka, kafka_is_required, why_no_kafka

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kafka,
    pytest.mark.prometheus,
    pytest.mark.skipif(
        None in map(shutil.which, ("prometheus", "prometheus-alertmanager")),
        reason="no prometheus or no alertmanager",
    ),
    pytest.mark.timeout(180),
]

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))
MONITORING = PROJECT / "monitoring"


class Service(Child):
    """One service of ours, as compose starts it."""

    start_seconds = 60.0

    def __init__(self, name: str, places: Mapping[str, str], port: int) -> None:
        super().__init__(name)
        self._service, self._places, self.port = COMPOSE["services"][name], places, port

    def prepare(self, folder: Path) -> None:
        """Put what compose mounts into the image's working directory there."""
        for volume in self._service["volumes"]:
            source, target, _ = volume.split(":")
            assert Path(target).parent == Path("/etc/dealpulse"), "the image's WORKDIR"
            shutil.copy(PROJECT / source, folder / Path(target).name)

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "dealpulse", *self._service["command"]]

    def environment(self) -> Mapping[str, str]:
        """What compose gives, names of services replaced, and nothing of this process's but where Python is."""
        given = {key: self._here(str(value)) for key, value in self._service["environment"].items()}
        return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), **given}

    def ready(self) -> bool:
        """Whether compose's own health check is content; one that has none runs."""
        check = self._service.get("healthcheck")
        if check is None:
            return self.running
        kind, program, *arguments = check["test"]
        assert (kind, program) == ("CMD", "python")
        asked = [self._here(argument) for argument in arguments]
        return (
            self.running and not subprocess.run([sys.executable, *asked], check=False, timeout=10).returncode
        )

    def _here(self, text: str) -> str:
        for place, found in self._places.items():
            text = text.replace(place, found)
        return re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):84\d\d", f"127.0.0.1:{self.port}", text)


@dataclass
class Stack:
    """What was started."""

    services: dict[str, Service]
    prometheus: Prometheus


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    why_not = why_no_kafka()
    if why_not and not kafka_is_required():
        pytest.skip(why_not)
    with ExitStack() as up:
        broker, redis = up.enter_context(ApacheKafka()), up.enter_context(RedisServer())
        places = {"kafka:19092": broker.brokers, "redis:6379": f"127.0.0.1:{redis.port}"}
        services: dict[str, Service] = {}
        for name in ("worker", "worker", "exporter", "gateway", "simulator"):
            service = up.enter_context(Service(name, places, free_port()))
            services[f"{name} 2" if name in services else name] = service
        routes = up.enter_context(_alertmanager())
        yield Stack(services, up.enter_context(_prometheus(services, routes)))


def _alertmanager() -> Alertmanager:
    folder = MONITORING / "alertmanager"
    document = yaml.safe_load((folder / "alertmanager.yml").read_text("utf-8"))
    return Alertmanager(document, (folder / "templates/dealpulse.tmpl").read_text("utf-8"))


def _prometheus(services: Mapping[str, Service], routes: Alertmanager) -> Prometheus:
    document = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text("utf-8"))
    rules = {
        Path(name).name: yaml.safe_load((MONITORING / "prometheus" / name).read_text("utf-8"))
        for name in document.pop("rule_files")
    }
    document["global"] |= dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
    (told,) = document["alerting"]["alertmanagers"]
    told["static_configs"] = [{"targets": [f"127.0.0.1:{routes.port}"]}]
    for job in document["scrape_configs"]:
        name = job["job_name"].removeprefix("dealpulse-")
        ports = [each.port for key, each in services.items() if key.split()[0] == name]
        # The names of services are Docker's to resolve: here is what it would find.
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    return Prometheus(document, rules)


def test_every_service_comes_up_and_is_scraped(stack: Stack) -> None:
    def up() -> dict[str, int]:
        found: dict[str, int] = {}
        for one in stack.prometheus.series("up == 1"):
            found[one["metric"]["job"]] = found.get(one["metric"]["job"], 0) + 1
        return found

    wanted = {"dealpulse-exporter": 1, "dealpulse-worker": 2, "dealpulse-gateway": 1}
    wait_until(lambda: up() == wanted, "not every target is up", seconds=20)


def test_the_demo_profiles_company_shows_on_the_boards(stack: Stack) -> None:
    ready = f"http://127.0.0.1:{stack.services['exporter'].port}/readyz"
    wait_until(lambda: fetch(ready)[0] == 200, "the exporter is not ready", seconds=60)
    worth = 'sum(dealpulse_open_amount{currency="TWD"}) > 0'
    wait_until(lambda: stack.prometheus.series(worth), "no open deals in the company's currency", seconds=30)
    assert stack.services["simulator"].running


def test_prometheus_takes_the_rules_and_finds_alertmanager(stack: Stack) -> None:
    groups = stack.prometheus.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RECORDINGS) + len(ALERTS)
    wait_until(
        lambda: all(
            rule["health"] == "ok"
            for group in stack.prometheus.api("rules")["groups"]
            for rule in group["rules"]
        ),
        "a rule cannot be evaluated",
        seconds=30,
    )
    assert len(stack.prometheus.api("alertmanagers")["activeAlertmanagers"]) == 1

"""Every query of every panel and variable of every board, on a real Prometheus that scrapes the real thing."""

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dealpulse.embedded import Tansu
from events.topics import topic_of
from exporters import monitoring, rules
from exporters.names import FAMILIES
from tests.integration.gateway import GatewayProcess
from tests.integration.monitoring import ExporterProcess, Prometheus, fetch, wait_until
from tests.integration.servers import RedisServer
from tests.integration.traffic import Message, envelope, publish
from tests.integration.worker import Worker
from tests.monitoring.board_lint import panels, spelt_out

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
    pytest.mark.timeout(300),
]

GOALS = {
    "win_rate/closed_count": "0.6",
    "sales_cycle/mean": "4000000",
    "deal_size/mean": "9000",
    "acv/booked_per_contract": "12000",
    "customer_retention/logo": "0.9",
    "new_opportunities/count": "300",
    "stagnation/stagnation": "1000000",
    "won/amount": "500000",
    "won/count": "40",
    "attainment/amount": "1",
    "pace/amount": "1",
    "coverage/amount": "3",
    "open/count": "200",
    "open/amount": "2000000",
    "acv/active_per_contract": "12000",
    "clv/historic": "20000",
    "clv/signed": "30000",
    "churn/logo": "0.1",
    "customers/in_grace": "2",
    "customer_retention/grr": "0.9",
    "customer_retention/nrr": "1.1",
    "new_opportunities/amount": "1000000",
    "forecast/commit": "100000",
    "forecast/best_case": "100000",
    "forecast/pipeline": "100000",
    "weighted_forecast/amount": "100000",
    "ramp_up/first_contact": "864000",
    "ramping_reps/count": "1",
    "ramping_reps/age": "864000",
    "referrals/from_customers": "10",
    "referrals/won": "3",
    "referrals/from_others": "1",
    "contracts_expiring/count": "5",
    "contracts_expiring/amount": "50000",
    "stalled/count": "10",
    "stalled/amount": "100000",
}
REP_GOALS = (
    "win_rate/closed_count",
    "sales_cycle/mean",
    "new_opportunities/count",
    "stagnation/stagnation",
    "won/amount",
    "won/count",
    "attainment/amount",
    "pace/amount",
    "open/count",
    "open/amount",
    "referrals/from_customers",
    "referrals/won",
    "stalled/count",
    "stalled/amount",
)

RIGHTLY_EMPTY: dict[str, str] = {}
"""Pattern of a query -> why it may rightly give nothing here: nothing may, at present."""


@dataclass
class Stack:
    """What was started."""

    prometheus: Prometheus
    exporter: ExporterProcess
    worker: Worker
    gateway: GatewayProcess
    brokers: str
    redis_url: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Tansu() as broker, RedisServer() as redis:
        told = [
            *(sys.executable, "-m", "dealpulse", "simulate", "--company", "sauls-dolls", "--reps", "5"),
            *("--quarters", "5", "--for", "0", "--poison", "--brokers", broker.brokers),
        ]
        subprocess.run(told, check=True, capture_output=True, timeout=60)
        publish(broker.brokers, list(_more_of_the_company()))
        _run("freeze", "--brokers", broker.brokers)
        with (
            Worker(broker.brokers, redis.url) as worker,
            GatewayProcess(broker) as gateway,
            ExporterProcess(redis.url, KAFKA__BROKERS=broker.brokers) as exporter,
        ):
            _post_one_event(gateway, 0)
            with Prometheus(_scraping(exporter, worker, gateway), _rules()) as prometheus:
                found = Stack(prometheus, exporter, worker, gateway, broker.brokers, redis.url)
                _settle(found)
                yield found


def _more_of_the_company() -> Iterator[Message]:
    """What the simulator does not tell by itself: goals, the next quarter's target, reps of today."""
    now = time.gmtime()
    quarter = now.tm_year * 4 + (now.tm_mon - 1) // 3
    this, following = (f"{number // 4}-Q{number % 4 + 1}" for number in (quarter, quarter + 1))
    for kpi, value in GOALS.items():
        yield _told("target", f"company/{this}/{kpi}", {"value": value})
    for number, kpi in itertools.product(range(1, 13), REP_GOALS):  # whoever of them will have won the most
        yield _told("target", f"rep:E{number:04d}/{this}/{kpi}", {"value": GOALS[kpi]})
    yield _told("target", f"rep:E-new/{this}/won/count", {"value": "3"})
    yield _told("target", f"team:New/{following}", {"amount": "900000", "currency": "USD"})
    hired = {"name": "New", "role": "sales", "team": "New", "hired_on": time.strftime("%Y-%m-%d", now)}
    yield _told("employee", "E-new", hired)
    yield _told(
        "employee", "E-quick", {**hired, "name": "Quick"}
    )  # who has called a prospect on the first day
    called = {"rep_id": "E-quick", "kind": "call", "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", now)}
    yield _told("activity", "a-quick", called, "completed")


def _told(entity: str, subject: str, data: dict[str, Any], verb: str = "changed") -> Message:
    return Message(topic_of(entity), subject.encode(), envelope(entity, verb, subject, 1, data))


def _run(*arguments: str) -> None:
    """A command of dealpulse that must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "dealpulse", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def _post_one_event(gateway: GatewayProcess, number: int) -> None:
    data = {"name": f"Live {number}"}
    body = envelope("account", "changed", "acc-live", number, data, id=f"live-{number}")
    request = urllib.request.Request(
        f"{gateway.url}/events", data=body, headers={"content-type": "application/cloudevents+json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status < 300


def _scraping(exporter: ExporterProcess, worker: Worker, gateway: GatewayProcess) -> dict[str, Any]:
    worker_address = re.findall(r"http://(127\.0\.0\.1:\d+)/metrics", worker.output())[-1]
    targets = {
        "dealpulse-exporter": exporter.address,
        "dealpulse-worker": worker_address,
        "dealpulse-gateway": gateway.url.removeprefix("http://"),
    }
    jobs = [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {"global": every, "scrape_configs": jobs}


def _rules() -> dict[str, dict[str, Any]]:
    return {"recording.yml": rules.recording_rules(), "alerts.yml": rules.alerting_rules(rules.Links())}


def _settle(stack: Stack) -> None:
    """Until all is folded and shown, and every job has been scraped often enough for a rate."""

    def folded() -> bool:
        return stack.worker.metric("dealpulse_worker_lag_events") == 0 and bool(
            stack.prometheus.series('dealpulse_waterfall_end_amount{window="quarter_to_date"}')
        )

    wait_until(folded, "the history is not folded and shown", seconds=120)
    _run("verify", "--brokers", stack.brokers, "--redis", stack.redis_url)
    scraped = "min(count_over_time(up[1m])) >= 5"
    moved = (
        "sum(increase(dealpulse_event_visibility_delay_seconds_count[1m])) > 0 "
        "and sum(increase(dealpulse_worker_checkpoint_duration_seconds_count[1m])) > 0 "
        "and sum(dealpulse_verify_mismatches) == 0"
    )
    numbers = itertools.count(1)

    def moving() -> bool:
        _post_one_event(stack.gateway, next(numbers))
        return bool(stack.prometheus.series(scraped) and stack.prometheus.series(moved))

    wait_until(moving, "no five scrapes of every job, or nothing moved between two", seconds=60)


def boards() -> list[dict[str, Any]]:
    folder = monitoring.ROOT / "monitoring/grafana/dashboards/en"
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def test_every_query_of_every_panel_gives_data_or_is_rightly_empty(stack: Stack) -> None:
    empty, wrong = [], []
    rep = stack.prometheus.series("topk(1, max by (rep) (dealpulse_rep_won_amount))")[0]["metric"]["rep"]
    for board in boards():
        for panel in panels(board):
            for target in panel["targets"]:
                for query in spelt_out(target["expr"].replace("$rep", rep)):
                    found = stack.prometheus.series(query)
                    where = f"{board['title']} / {panel['title']} / {target['legendFormat']}: {query}"
                    if not found:
                        if not any(re.search(pattern, query) for pattern in RIGHTLY_EMPTY):
                            empty.append(where)
                        continue
                    wrong += [where for one in found if not math.isfinite(float(one["value"][1]))]
                    wrong += _without_labels(panel, target, found, where)
    assert not empty, "\n".join(empty)
    assert not wrong, "\n".join(wrong)


def _without_labels(
    panel: dict[str, Any], target: dict[str, Any], found: list[dict[str, Any]], where: str
) -> list[str]:
    needed = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    needed += [
        one["options"]["byField"] for one in panel.get("transformations", []) if one["id"] == "joinByField"
    ]
    lacking = [f"{where} has no {label}" for label in needed for one in found if label not in one["metric"]]
    if not needed and panel["type"] in {"stat", "timeseries"} and len(found) != 1:
        lacking.append(f"{where} gives {len(found)} series for one value")
    return lacking


def test_what_is_listed_as_rightly_empty_stands_on_a_board() -> None:
    asked = [target["expr"] for board in boards() for panel in panels(board) for target in panel["targets"]]
    for pattern in RIGHTLY_EMPTY:
        assert any(re.search(pattern, query) for query in asked), pattern


def test_every_variable_has_values(stack: Stack) -> None:
    for board in boards():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            selector = asked[1].replace("$team", ".*")
            values = stack.prometheus.api(f"label/{asked[2]}/values", **{"match[]": selector})
            assert values, f"{board['title']}: {variable['name']}"


def test_no_process_leaves_anything_on_disk(stack: Stack) -> None:
    """The containers of docker-compose.yml have read-only file systems."""
    for process in (stack.exporter, stack.worker, stack.gateway):
        assert process.folder is not None
        given = {"dealpulse.toml", "secret"} if process is stack.gateway else set()
        left = {path.name for path in process.folder.rglob("*")}
        assert left == {"output.log", *given}, process.name


def test_promtool_has_no_complaint_about_what_is_served(stack: Stack) -> None:
    for page in (stack.exporter.get("/metrics"), stack.worker.get("/metrics"), stack.gateway.get("/metrics")):
        assert page[0] == 200
        seen = subprocess.run(
            ["promtool", "check", "metrics"], input=page[1], text=True, capture_output=True, check=False
        )
        assert (seen.returncode, seen.stdout + seen.stderr) == (0, ""), page[1][:200]


def test_every_family_served_is_one_of_the_registry_with_its_labels_and_values(stack: Stack) -> None:
    known = {series: one for one in FAMILIES.values() for series in one.series_names()}
    pages: dict[str, ExporterProcess | Worker | GatewayProcess] = {
        "exporter": stack.exporter,
        "worker": stack.worker,
        "gateway": stack.gateway,
    }
    wrong = set()
    for who, process in pages.items():
        for line in process.get("/metrics")[1].splitlines():
            name = re.match(r"[a-zA-Z_:][\w:]*", line)
            if name is None or not name[0].startswith("dealpulse_"):
                continue
            one = known.get(name[0])
            if one is None:
                wrong.add(f"{who}: {name[0]} is not in the registry")
                continue
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
            labels.pop("le", None)
            if who not in one.served_by:
                wrong.add(f"{who}: {one.name} is another's")
            if set(labels) - set(one.labels):
                wrong.add(f"{who}: {one.name} has {sorted(labels)}, not {one.labels}")
            cell = {label: value for label, value in labels.items() if one.values(label)}
            if not any(all(each.get(label) == value for label, value in cell.items()) for each in one.cells):
                wrong.add(f"{who}: {one.name} never has {cell}")
    assert not wrong, "\n".join(sorted(wrong))


RIGHTLY_ABSENT = {
    r"^dealpulse_native_|^dealpulse_(rep_)?native_|^dealpulse_rep_info$": "off by default",
    r"^dealpulse_resync_pending$": "nothing is awaited",
}
"""Pattern of a family -> why a fresh installation may rightly lack it."""


def test_every_family_of_the_registry_is_served_or_rightly_absent(stack: Stack) -> None:
    served = {
        re.split(r"[{ ]", line, maxsplit=1)[0]
        for process in (stack.exporter, stack.worker, stack.gateway)
        for line in process.get("/metrics")[1].splitlines()
    }
    absent = [
        one.name
        for one in FAMILIES.values()
        if not served & set(one.series_names()) and not any(re.search(p, one.name) for p in RIGHTLY_ABSENT)
    ]
    assert not absent, "\n".join(absent)


def test_the_dead_letters_that_wait_are_those_that_the_command_lists(stack: Stack) -> None:
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "dealpulse",
            "dlq",
            "list",
            "--brokers",
            stack.brokers,
            "--redis",
            stack.redis_url,
            "--json",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    waiting = len(listed.stdout.splitlines())
    assert waiting > 0
    shown = "sum(dealpulse_dead_letters_pending)"
    wait_until(
        lambda: float(stack.prometheus.series(shown)[0]["value"][1]) == waiting, f"not {waiting}", seconds=20
    )


def test_the_explanation_that_a_panel_links_to_is_there(stack: Stack) -> None:
    rep = stack.prometheus.api("label/rep/values")[0]
    links = {link["url"] for board in boards() for panel in panels(board) for link in panel.get("links", [])}
    for link in sorted(links):
        path = (
            link.removeprefix("${exporter}").replace("${window}", "previous_quarter").replace("${rep}", rep)
        )
        status, body = stack.exporter.get(path)
        assert status == 200, f"{path}: {body}"


def test_the_runbook_that_an_alert_links_to_is_there(stack: Stack) -> None:
    status, body = stack.exporter.get("/runbooks/SalesPipelineStalled")
    assert (status, body.splitlines()[0]) == (200, "# SalesPipelineStalled")
    assert fetch(f"http://{stack.exporter.address}/runbooks/Nothing")[0] == 404


def test_recording_rules_hold_what_the_boards_show(stack: Stack) -> None:
    for record, expression in rules.RECORDINGS.items():
        if "customers_churned" in record:
            continue
        assert stack.prometheus.series(record), record
        kept = {frozenset(one["metric"].items()) for one in stack.prometheus.series(record)}
        fresh = {
            frozenset({**one["metric"], "__name__": record}.items())
            for one in stack.prometheus.series(expression)
        }
        assert kept == fresh

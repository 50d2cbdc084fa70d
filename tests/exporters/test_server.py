"""The exporter's pages, over a snapshot that is filled by hand: no broker, no Redis."""

import asyncio
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from prometheus_client.openmetrics import parser as openmetrics_parser

from aggregators.meaning import Meaning
from dealpulse.cli import main
from events.clock import Clock
from events.log import captured
from exporters.exporter import Exporter
from exporters.names import FAMILIES, KPI_FAMILIES
from exporters.server import application
from tests.exporters.stand import SHARDS, Stand, dolls, exporter_over, instant, record

NOW = "2026-05-20T12:00:00+08:00"
NOW_MS = instant(NOW)
Get = Callable[..., Awaitable[ClientResponse]]


class Frozen:
    """A clock that shows what it is told."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.shown_ms = now_ms

    def now_ms(self) -> int:
        return self.shown_ms

    def real_ms(self, shown_ms: int) -> int:
        return shown_ms


def exporter_of(stand: Stand | None, clock: Frozen | Clock, **settings: Any) -> Exporter:
    shown: Any = clock
    return exporter_over(stand, shown, refresh=0.001, **settings)


def asked(exporter: Exporter, questions: Callable[[Get], Awaitable[None]]) -> None:
    """Ask a running server."""

    async def run() -> None:
        async with TestClient(TestServer(application(exporter))) as client:
            await questions(client.get)

    try:
        asyncio.run(run())
    finally:
        exporter.close()


@pytest.fixture(scope="module")
def stand() -> Stand:
    return dolls(Meaning(), NOW_MS, reps=5, quarters=4)


@pytest.fixture(scope="module")
def body(stand: Stand) -> str:
    """A whole exposition, slow figures among it, as OpenMetrics."""
    exporter = exporter_of(stand, Frozen())
    families, _ = exporter._kpis.slow_families(exporter._kpis.slow_due(NOW_MS), NOW_MS)
    exporter._kpis.keep(families)
    found: list[str] = []

    async def questions(get: Get) -> None:
        answer = await get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
        assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        found.append(await answer.text())

    asked(exporter, questions)
    return found[0]


def test_the_clients_own_parser_reads_all_of_it(body: str) -> None:
    parse: Any = openmetrics_parser.text_string_to_metric_families
    families = list(parse(body))
    assert len(families) > 140
    samples = [sample for family in families for sample in family.samples]
    assert {sample.name for sample in samples} >= {
        "dealpulse_win_ratio",
        "dealpulse_freshness_timestamp_seconds",
    }
    assert all(sample.value == sample.value and sample.timestamp is None for sample in samples)
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(keys) == len(set(keys))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say(stand: Stand) -> None:
    async def questions(get: Get) -> None:
        text = await (await get("/metrics")).read()
        check = await asyncio.to_thread(
            subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")

    asked(exporter_of(stand, Frozen()), questions)


def test_text_is_what_everybody_else_gets_compressed_if_they_like(stand: Stand) -> None:
    async def questions(get: Get) -> None:
        plain = await get(
            "/metrics?name[]=dealpulse_open_opportunities", headers={"Accept-Encoding": "identity"}
        )
        assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert plain.headers["Vary"] == "Accept, Accept-Encoding"
        assert "Content-Encoding" not in plain.headers
        lines = (await plain.text()).splitlines()
        assert all("dealpulse_open_opportunities" in line for line in lines)
        assert len(lines) > 2
        packed = await get("/metrics?name[]=dealpulse_open_opportunities", auto_decompress=False)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await packed.read()).decode().splitlines() == lines

    asked(exporter_of(stand, Frozen()), questions)


def test_some_families_are_those_of_the_whole_text(stand: Stand) -> None:
    names = (
        "dealpulse_open_opportunities",
        "dealpulse_rep_win_samples",
        "dealpulse_stagnation_average_seconds",
        "dealpulse_opportunities_created_recent",
        "dealpulse_config_info",
        "dealpulse_evaluated_timestamp_seconds",
    )

    async def questions(get: Get) -> None:
        async def of(name: str, path: str) -> list[str]:
            lines = (await (await get(path)).text()).splitlines()
            return [line for line in lines if name in re.split(r"[{ ]", line)]

        parts = {name: await of(name, f"/metrics?name[]={name}") for name in names}
        assert all(len(lines) > 2 for lines in parts.values())
        assert parts == {name: await of(name, "/metrics") for name in names}
        assert parts == {name: await of(name, f"/metrics?name[]={name}") for name in names}
        assert await of(names[0], f"/metrics?name[]={names[0]}&name[]={names[1]}") == parts[names[0]]

    asked(exporter_of(stand, Frozen()), questions)


def test_old_figures_are_left_out_and_engine_families_stay(stand: Stand) -> None:
    clock = Frozen()
    exporter = exporter_of(stand, clock, max_staleness=600.0)

    async def questions(get: Get) -> None:
        assert (await get("/readyz")).status == 200
        assert "dealpulse_opportunities_won{" in await (await get("/metrics")).text()
        clock.shown_ms += 601_000
        text = await (await get("/metrics")).text()
        assert not [name for name in KPI_FAMILIES if f"\n{name}" in text]
        assert "dealpulse_freshness_timestamp_seconds " in text
        ready = await get("/readyz")
        checks = {check["name"]: check for check in (await ready.json())["checks"]}
        assert (ready.status, checks["fresh"]["ok"]) == (503, False)
        assert "601.0 s ago" in checks["fresh"]["detail"]
        assert (await get("/healthz")).status == 200

    asked(exporter, questions)


def test_on_a_shifted_and_fast_clock_prometheus_is_told_real_instants(stand: Stand) -> None:
    """A day in a minute: what Prometheus holds against its own clock must not run away from it."""
    started_s = 1_790_000_000
    unix_s = [started_s]
    text = f"offset={NOW},speed=1440"
    exporter = exporter_of(stand, Clock.parse(text, wall=lambda: unix_s[0] * 10**9), max_staleness=600.0)

    async def sample(get: Get, name: str) -> float:
        text = await (await get("/metrics")).text()
        return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])

    async def questions(get: Get) -> None:
        stalled = [await sample(get, "dealpulse_stagnation_average_seconds{")]
        unix_s[0] += 100
        assert await sample(get, "dealpulse_freshness_timestamp_seconds") == started_s
        assert await sample(get, "dealpulse_evaluated_timestamp_seconds") == unix_s[0]
        newest = await sample(get, 'dealpulse_last_event_timestamp_seconds{topic="crm.opportunity"}')
        assert started_s - 600 < newest <= started_s  # a week of the company is seven minutes
        stalled.append(await sample(get, "dealpulse_stagnation_average_seconds{"))
        assert stalled[1] - stalled[0] == pytest.approx(100 * 1440, abs=1)
        assert (await get("/readyz")).status == 200
        unix_s[0] += 501
        assert "dealpulse_stagnation" not in await (await get("/metrics")).text()

    asked(exporter, questions)


def test_before_the_first_merge_it_says_what_is_missing() -> None:
    async def questions(get: Get) -> None:
        text = await (await get("/metrics")).text()
        assert f"dealpulse_partitions_missing {len(SHARDS)}.0" in text
        assert "dealpulse_freshness_timestamp_seconds" not in text
        ready = await get("/readyz")
        assert ready.status == 503
        assert "crm.opportunity/0" in await ready.text()
        refused = await get("/api/kpi?kpi=win_rate")
        assert refused.status == 503
        assert refused.content_type == "application/problem+json"
        assert "/readyz" in (await refused.json())["detail"]
        assert (await get("/")).status == 200

    asked(exporter_of(None, Frozen()), questions)


def test_a_shard_that_drops_out_takes_the_figures_with_it() -> None:
    stand = Stand(Meaning())
    stand.take([record("opportunity", "o", NOW, stage="Prospecting")], at_ms=NOW_MS)

    async def questions(get: Get) -> None:
        assert "dealpulse_open_opportunities{" in await (await get("/metrics")).text()
        stand.snapshot.missing("crm.opportunity/1", "fingerprint")
        text = await (await get("/metrics")).text()
        assert "dealpulse_open_opportunities{" not in text
        assert "dealpulse_partitions_missing 1.0" in text
        ready = await (await get("/readyz")).json()
        assert "missing: crm.opportunity/1 (fingerprint)" in json.dumps(ready)

    asked(exporter_of(stand, Frozen()), questions)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/kpi?kpi=nonsense", 400, "nonsense"),
        ("/api/kpi?kpi=won&by=planet", 400, "planet"),
        ("/api/kpi?kpi=won&periods=many", 400, "whole number"),
        ("/api/kpi?kpi=won&colour=red", 400, "colour"),
        ("/api/kpi?kpi=won&window=2026-13-01..2026-01-01", 400, "window"),
    ],
)
def test_a_question_that_cannot_be_asked_is_a_problem(
    stand: Stand, path: str, status: int, says: str
) -> None:
    async def questions(get: Get) -> None:
        answer = await get(path)
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert says in (await answer.json())["detail"]

    asked(exporter_of(stand, Frozen()), questions)


def test_a_fault_of_its_own_is_a_problem_and_a_line_in_the_log(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = exporter_of(stand, Frozen())

    def broken(_: object) -> list[Any]:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(exporter._evaluator, "answers", broken)

    async def questions(get: Get) -> None:
        answer = await get("/api/kpi?kpi=won")
        assert (answer.status, answer.content_type) == (500, "application/problem+json")
        assert "a mistake" not in await answer.text()

    with captured() as lines:
        asked(exporter, questions)
    assert [line["error"] for line in lines if line["event"] == "request.failed"] == [
        "ZeroDivisionError: a mistake"
    ]


def korea() -> Stand:
    stand = Stand(Meaning())
    stand.take(
        [
            record("account", "acme", "2026-01-01T00:00:00Z", region="Korea, Republic of"),
            record("employee", "ann", "2026-01-01T00:00:00Z", hired_on="2026-01-01", team="North"),
            record("opportunity", "a", "2026-05-02T00:00:00Z", account_id="acme", owner_id="ann"),
            record("opportunity", "a", "2026-05-03T00:00:00Z", stage="Closed Won"),
            record("opportunity", "b", "2026-05-03T00:00:00Z", stage="Closed Won", name="<b>R&D</b>"),
        ],
        at_ms=NOW_MS,
    )
    return stand


@pytest.mark.parametrize(
    "where",
    [
        ["region=Korea, Republic of"],
        ["region=Korea, Republic of", "team=North"],
        ["region=Korea, Republic of,team=North"],  # as it was before each had a parameter of its own
    ],
)
def test_a_group_may_have_a_comma_in_its_name(where: list[str]) -> None:
    async def questions(get: Get) -> None:
        answer = await get("/api/explain?" + urlencode({"kpi": "won", "where": where}, doseq=True))
        found = await answer.json()
        assert (answer.status, found["value"]) == (200, 1), found
        assert found["by"]["region"] == "Korea, Republic of"

    asked(exporter_of(korea(), Frozen()), questions)


def test_the_command_line_asks_a_running_exporter_for_such_a_group() -> None:
    arguments = ["explain", "won", "--where", "region=Korea, Republic of", "--where", "team=North", "--json"]

    async def run() -> Any:
        async with TestServer(application(exporter)) as server:
            environ = {"DEALPULSE_EXPORTER__LISTEN": f"{server.host}:{server.port}"}
            return await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environ)

    exporter = exporter_of(korea(), Frozen())
    try:
        result = asyncio.run(run())
    finally:
        exporter.close()
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["value"], found["by"]) == (1, {"region": "Korea, Republic of", "team": "North"})


def test_an_explanation_is_a_page_for_a_browser_and_else_text() -> None:
    async def questions(get: Get) -> None:
        text = await get("/explain?kpi=won")
        page = await get("/explain?kpi=won", headers={"Accept": "text/html,*/*;q=0.8"})
        assert (text.content_type, page.content_type) == ("text/plain", "text/html")
        said = await text.text()
        assert "<b>R&D</b>" in said
        inside = (await page.text()).partition("<pre>")[2].partition("</pre>")[0]
        assert "<b>" not in inside
        assert unescape(inside) == said

    asked(exporter_of(korea(), Frozen()), questions)


def test_unknown_paths_are_text_and_the_landing_page_has_links(stand: Stand) -> None:
    async def questions(get: Get) -> None:
        nothing = await get("/nothing/here")
        assert (nothing.status, nothing.content_type) == (404, "text/plain")
        page = await (await get("/")).text()
        for link in ("/metrics", "/api/kpi", "/api/explain", "/healthz", "/readyz"):
            assert f'href="{link}' in page
        assert "2026-05-20" in page

    asked(exporter_of(stand, Frozen()), questions)


def test_too_many_series_leave_reps_out_whole_with_one_line(stand: Stand) -> None:
    async def questions(get: Get) -> None:
        for _ in range(3):
            text = await (await get("/metrics")).text()
        assert "dealpulse_rep_" not in text
        assert "dealpulse_opportunities_won{" in text
        suppressed = next(
            line for line in text.splitlines() if line.startswith("dealpulse_exporter_suppressed_series ")
        )
        assert float(suppressed.split()[1]) > 50

    with captured() as lines:
        asked(exporter_of(stand, Frozen(), series_limit=10), questions)
    assert len([line for line in lines if line["event"] == "series.suppressed"]) == 1


def test_every_engine_family_of_an_exporter_is_in_it(body: str) -> None:
    kept_elsewhere = {
        "dealpulse_verify_last_success_timestamp_seconds",
        "dealpulse_verify_mismatches",
        "dealpulse_dead_letters_pending",
        "dealpulse_resync_pending",
        "dealpulse_exporter_scrape_duration_seconds",
    }
    wanted = {
        name
        for name, family in FAMILIES.items()
        if "exporter" in family.served_by and name not in KPI_FAMILIES and name not in kept_elsewhere
    }
    assert {name for name in wanted if f"# TYPE {name} " not in body} == set()

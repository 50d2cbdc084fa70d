"""A company's own KPI, in a package that pip installs, appears everywhere by itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from events.clock import Clock
from events.instants import instant_text
from tests.exporters.stand import record
from tests.integration.monitoring import ExporterProcess
from tests.integration.test_exporter import Shards
from tests.integration.traffic import wait_until

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`examples/plug-in` as pip installs it, in a folder of its own."""
    source, into = tmp_path_factory.mktemp("source") / "plug-in", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "examples" / "plug-in", source)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, "--target", str(into), str(source)], check=True
    )
    assert list(into.glob("acme_kpis-*.dist-info/entry_points.txt"))
    return into


@pytest.fixture
def beside_ours(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from here on find it, as they would in their own environment."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(ROOT)]))


def deals(now_ms: int) -> list[tuple[str, bytes, bytes]]:
    """Ann of team North wins one deal after 10 days and another after 40, both today."""

    def at(days: int) -> str:
        return instant_text((now_ms - days * DAY_MS) * 1_000_000)

    def told(subject: str, days: int, **fields: str) -> tuple[str, bytes, bytes]:
        return record("opportunity", subject, at(days), **fields)

    return [
        record("employee", "ann", at(900), hired_on="2020-01-01", role="sales", team="North"),
        told("quick", 10, stage="Prospecting", owner_id="ann"),
        told("quick", 0, stage="Closed Won"),
        told("slow", 40, stage="Prospecting", owner_id="ann"),
        told("slow", 0, stage="Closed Won"),
    ]


def dealpulse(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dealpulse", "--quiet", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("beside_ours")
def test_an_installed_plug_in_is_answered_and_explained_from_files(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"".join(value + b"\n" for _, _, value in deals(Clock().now_ms())))
    from_files = ("--events", str(events))

    (row,) = json.loads(dealpulse("kpi", *from_files, "--kpi", "quick_wins", "--by", "team", "--json"))
    assert (row["by"], row["value"], row["numerator"], row["denominator"]) == ({"team": "North"}, 0.5, 1, 2)
    told = dealpulse("explain", *from_files, "quick_wins", "--where", "team=North")
    assert "opportunity/quick" in told
    assert "opportunity/slow" in told
    assert "quick_wins" in dealpulse("kpi", "--list")


@pytest.mark.usefixtures("beside_ours")
def test_an_installed_plug_in_is_in_the_metrics_and_the_api_of_an_exporter(redis_url: str) -> None:
    shards, now_ms = Shards(redis_url), Clock().now_ms()
    shards.write(*deals(now_ms), at_ms=now_ms)
    with ExporterProcess(redis_url, KAFKA__PARTITIONS="2") as exporter:

        def metric(name: str) -> float | None:
            _, body = exporter.get(f"/metrics?name[]={name}")
            lines = [line for line in body.splitlines() if line.startswith(name + "{") and "North" in line]
            found = [line for line in lines if 'window="quarter_to_date"' in line]
            return float(found[0].rpartition(" ")[2]) if found else None

        wait_until(
            lambda: metric("dealpulse_quick_wins_share_ratio") == 0.5, "the ratio is shown", seconds=30
        )
        assert metric("dealpulse_quick_wins_share_numerator") == 1
        assert metric("dealpulse_quick_wins_share_denominator") == 2
        assert metric("dealpulse_quick_wins_share_samples") == 2
        assert metric("dealpulse_rep_quick_wins_share_ratio") == 0.5

        status, body = exporter.get("/api/kpi?kpi=quick_wins&by=rep")
        assert (status, json.loads(body)[0]["value"]) == (200, 0.5)
        status, body = exporter.get("/api/explain?kpi=quick_wins&where=team%3DNorth")
        assert status == 200
        assert {each["record"] for each in json.loads(body)["records"]["list"]} == {
            "opportunity/quick",
            "opportunity/slow",
        }

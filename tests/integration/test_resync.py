"""What a source skipped: marked, counted, listed by the doctor, and settled by a full statement or an import."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.events.adapters.payloads import salesforce
from tests.integration.gateway import records
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker
from tests.integration.test_gateway import until
from tests.integration.test_translators import SALESFORCE, TOPIC, Translating, connect, write
from tests.integration.test_way_in import total

__all__ = ["connect"]

EXPORT = (
    "Id,Name,StageName,Amount,CloseDate,OwnerId,CreatedDate,LastModifiedDate\n"
    "006A1,Dolls,Proposal,1000,2026-12-01,005B7,2026-01-01T01:00:00Z,2026-04-01T02:00:00Z\n"
)


class Unprefixed(Translating):
    """A worker whose Salesforce ids are as in an export of the org."""

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        configuration = folder / "dealpulse.toml"
        configuration.write_text(configuration.read_text().replace('id_prefix = "sf-"\n', ""))


@pytest.fixture
def running(connect: Broker, redis_url: str, unique: str) -> Iterator[tuple[Unprefixed, ExporterProcess]]:
    with ExitStack() as stack:
        worker = stack.enter_context(Unprefixed(connect.brokers, redis_url, group=unique))
        exporter = stack.enter_context(ExporterProcess(redis_url, KAFKA__BROKERS=connect.brokers))
        yield worker, exporter


def test_a_gap_is_marked_counted_listed_and_settled_by_an_import(
    connect: Broker, running: tuple[Unprefixed, ExporterProcess], tmp_path: Path
) -> None:
    worker, exporter = running

    def dealpulse(*words: str) -> subprocess.CompletedProcess[str]:
        address = {"DEALPULSE_EXPORTER__LISTEN": exporter.address, "DEALPULSE_EXPORTER__PUBLIC_URL": ""}
        return subprocess.run(
            [sys.executable, "-m", "dealpulse", *words], cwd=worker.folder, env={**worker.environment(), **address},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def pending() -> float:
        return total(exporter.get("/metrics")[1], "dealpulse_resync_pending")

    def doctor() -> dict[str, dict[str, str]]:
        told = json.loads(dealpulse("doctor", "--json").stdout)
        return {check["name"]: check for check in told["checks"]}

    async def test() -> None:
        skipped = [
            salesforce("GAP_UPDATE", transaction="t-1"),
            salesforce("GAP_OVERFLOW", ids=(), transaction="t-2"),
        ]
        await write(connect, SALESFORCE, [json.dumps(one).encode() for one in skipped])
        await until(lambda: pending() == 2)
        assert worker.metric("dealpulse_adapter_gaps_total", source="org") == 2
        marked = doctor()
        assert marked["pending entities"]["state"] == marked["resync"]["state"] == "warning"
        for which in (f"{TOPIC} 006A1 of /salesforce/org", f"{TOPIC} * of /salesforce/org"):
            assert which in marked["pending entities"]["found"]
        assert marked["resync"]["found"].startswith("2 entities wait")

        (tmp_path / "Opportunity.csv").write_text(EXPORT)
        done = dealpulse("import", "salesforce", str(tmp_path), "--source", "/salesforce/org")
        assert done.returncode == 0, done.stderr
        await until(lambda: pending() == 0)
        settled = doctor()
        assert settled["pending entities"]["state"] == "ok"
        assert "resync" not in settled, "the exporter has nothing to tell of"
        assert len(await records(connect, TOPIC)) > len(skipped)

    asyncio.run(test())

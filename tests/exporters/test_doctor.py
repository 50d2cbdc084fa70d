"""What the doctor tells of the records that an exporter holds."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from aggregators.meaning import Meaning
from dealpulse.doctor import Check, _exporter
from exporters.server import application
from tests.exporters.stand import Stand, exporter_over, record
from tests.exporters.test_server import NOW_MS, Frozen

MERGED: list[Any] = [
    record("employee", "e7", "2026-01-01T00:00:00Z", aliases=["/crm/test:005A"], team="North"),
    record("contract", "c1", "2026-01-02T00:00:00Z", recurring_amount=12, start_date="2026-01-02"),
]


def diagnosis(*records: Any) -> dict[str, Check]:
    """The checks of an exporter that has merged these records."""
    stand, clock = Stand(Meaning()), Frozen()
    stand.take([*MERGED, *records], at_ms=NOW_MS)

    async def run() -> list[Check]:
        shown: Any = clock
        exporter = exporter_over(stand, shown)
        try:
            async with TestServer(application(exporter)) as server:
                url = str(server.make_url("")).rstrip("/")
                return await asyncio.to_thread(lambda: list(_exporter(url, "127.0.0.1:0")))
        finally:
            exporter.close()

    return {check.name: check for check in asyncio.run(run())}


@pytest.mark.rule("F36")
def test_an_alias_that_two_employees_list_is_told_with_the_one_it_means() -> None:
    second = record("employee", "e9", "2026-01-01T00:00:00Z", aliases=["/crm/test:005A"], team="South")

    assert diagnosis()["aliases"].state == "ok"
    found = diagnosis(second)["aliases"]
    assert (found.state, "/crm/test:005A of e7, e9 (means e7)" in found.found) == ("warning", True)


@pytest.mark.rule("F23")
def test_a_contract_that_cannot_be_priced_is_told() -> None:
    found = diagnosis()["contracts"]

    assert (found.state, found.found) == ("warning", "1 contracts in force have no price: c1")
    ended = record("contract", "c1", "2026-01-03T00:00:00Z", end_date="2026-12-31")
    assert diagnosis(ended)["contracts"].state == "ok"

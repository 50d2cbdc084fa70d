"""What the doctor tells of the records that an exporter holds."""

import asyncio
import json
from collections.abc import Mapping
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


def diagnosis(
    *records: Any,
    missing: Mapping[str, str] | None = None,
    standing: Mapping[str, str] | None = None,
    **settings: Any,
) -> dict[str, Check]:
    """The checks of an exporter with these settings that has merged these records, and lacks these shards."""
    stand, clock = Stand(Meaning()), Frozen()
    stand.take([*MERGED, *records], at_ms=NOW_MS)
    for shard, reason in (missing or {}).items():
        stand.snapshot.missing(shard, reason)
    for shard, reason in (standing or {}).items():
        stand.snapshot.stands(shard, reason)

    async def run() -> list[Check]:
        shown: Any = clock
        exporter = exporter_over(stand, shown, **settings)
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


def deal(subject: str, owner: str, stage: str) -> Any:
    return record("opportunity", subject, "2026-01-05T00:00:00Z", owner_id=owner, stage=stage)


@pytest.mark.rule("F22")
def test_owners_without_an_employee_record_are_told_also_of_closed_deals_alone() -> None:
    mine = deal("mine", "005A", "Closed Won")  # an alias of e7
    assert diagnosis(mine)["owners"].state == "ok"

    strangers = [deal(f"d{number}", f"s{number}", "Closed Lost") for number in range(7)]
    found = diagnosis(mine, *strangers)["owners"]

    assert (found.state, "employee.aliases" in found.fix) == ("warning", True)
    assert found.found == (
        "7 owners of opportunities without an employee record: s0, s1, s2, s3, s4 and 2 more"
    )


@pytest.mark.rule("F22")
def test_an_employee_without_a_team_is_another_matter_than_no_employee() -> None:
    new = record("employee", "e8", "2026-01-01T00:00:00Z", hired_on="2026-01-01", role="sales")
    found = diagnosis(new, deal("d", "e8", "Prospecting"), deal("e", "e7", "Prospecting"))

    assert found["owners"].state == "ok"
    assert found["teams"].found == "1 employee with open opportunities in no team: e8"
    assert diagnosis(new, deal("d", "e8", "Closed Won"))["teams"].state == "ok", "nothing of his is open"


def test_where_reps_have_no_series_nobody_is_named_and_all_are_counted() -> None:
    found = diagnosis(deal("d", "stranger", "Closed Won"), rep_series=False)["owners"]

    assert found.state == "warning"
    assert found.found.startswith(
        "1 owner of opportunities without an employee record (exporter.rep_series is"
    )
    assert "stranger" not in found.found


def test_an_owner_of_a_deleted_deal_is_none() -> None:
    gone = deal("d", "stranger", "Closed Won")
    event = {**json.loads(gone[2]), "id": "gone", "type": "dealpulse.opportunity.deleted", "data": {}}
    event["time"] = "2026-01-06T00:00:00Z"

    assert diagnosis(gone, (gone[0], gone[1], json.dumps(event).encode()))["owners"].state == "ok"


@pytest.mark.parametrize("reason", ["fingerprint", "absent", "partitions", "partitioner"])
def test_a_shard_that_is_missing_is_named_with_the_reason(reason: str) -> None:
    found = diagnosis(missing={"crm.opportunity/1": reason})["shards"]

    assert (found.state, f"crm.opportunity/1 ({reason})" in found.found) == ("failed", True)
    assert f"({reason})" in found.fix
    assert diagnosis()["shards"].state == "ok"


def test_shards_whose_figures_stand_still_are_named_whole() -> None:
    standing = dict.fromkeys(("crm.opportunity/0", "crm.opportunity/1"), "fingerprint")
    found = diagnosis(deal("d", "sales", "Proposal"), standing=standing)["shards"]

    each = "(fingerprint; figures as they were)"
    assert found.state == "failed"
    assert found.found == (
        f"2 shards are missing from the figures (crm.opportunity/0 {each}, crm.opportunity/1 {each})"
    )

"""The shipped mappings, on the public exports and on exports written as the vendors write them."""

import csv
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from aggregators.company import Company
from aggregators.meaning import Meaning
from events.adapters.settings import SalesforceSettings
from events.event import Event
from events.importing import Import, Refusal, shipped_mapping
from events.reader import read
from tests.events.adapters.payloads import salesforce, translated
from tests.events.importing.data import data_set


def imported(name: str, path: Path, *, source: str | None = None) -> tuple[list[Event], list[Refusal]]:
    steps = list(Import(path, shipped_mapping(name, source=source)).steps())
    events = [read(event.value, event.topic) for step in steps for event in step.events]
    return events, [step.refusal for step in steps if step.refusal is not None]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.time_ns, event.sequence, event.id))


# --- Salesforce -----------------------------------------------------------------------------------------


def test_the_salesforce_export_goes_in_as_it_is() -> None:
    folder = data_set("salesforce-opportunity-history")
    events, refused = imported("salesforce", folder)

    assert refused == []
    assert Counter(event.entity for event in events) == {"opportunity": 36 + 36 + 48, "account": 18}
    now: dict[str, dict[str, object]] = defaultdict(dict)
    for event in in_order(events):
        if event.entity == "opportunity":
            now[event.subject] |= event.data
    for row in rows(folder / "Opportunity.csv"):
        deal = now[row["Id"]]
        assert deal["stage"] == row["StageName"]
        assert deal["name"] == row["Name"]
        assert deal.get("amount") == (Decimal(row["Amount"]) if row["Amount"] else None)


def test_stage_moves_of_salesforce_keep_their_order() -> None:
    folder = data_set("salesforce-opportunity-history")
    events, _ = imported("salesforce", folder)

    stages = [
        e.data["stage"] for e in in_order(events) if e.subject == "006bm00000LKgOnAAL" and "stage" in e.data
    ]
    assert [stage for at, stage in enumerate(stages) if at == 0 or stage != stages[at - 1]] == [
        "Prospecting",
        "Closed Won",
        "Closed Lost",
    ]


def test_a_whole_salesforce_export_with_users_tasks_and_contracts(tmp_path: Path) -> None:
    (tmp_path / "User.csv").write_text(
        "Id,Name,Department,Division,ManagerId,CreatedDate\n"
        "005A,Lin Yi-Chen,Sales,North,005B,2025-09-01T01:00:00.000+0000\n"
        "005B,Ada Vogel,Finance,,,2020-01-01T01:00:00.000+0000\n"
    )
    (tmp_path / "Opportunity.csv").write_text(
        "Id,AccountId,Name,StageName,Amount,CurrencyIsoCode,CloseDate,Type,OwnerId,IsDeleted,CreatedDate,LastModifiedDate\n"
        "006A,001A,Dolls,Prospecting,1000.5,EUR,2026-12-01,New Business,005A,false,"
        "2026-03-01T01:00:00.000+0000,2026-03-05T02:11:09.000+0000\n"
        "006B,001A,Gone,Prospecting,,EUR,2026-12-01,Unheard of,005A,true,"
        "2026-03-01T01:00:00.000+0000,2026-03-05T02:11:09.000+0000\n"
    )
    (tmp_path / "Task.csv").write_text(
        "Id,OwnerId,Status,CompletedDateTime,TaskSubtype,WhatId,AccountId,IsDeleted\n"
        "00TA,005A,Completed,2026-03-04T02:00:00.000+0000,Call,006A,001A,false\n"
        "00TB,005A,Not Started,,Call,006A,001A,false\n"
        "00TC,005A,Completed,2026-03-04T02:00:00.000+0000,Task,800A,001A,false\n"
    )
    (tmp_path / "Contract.csv").write_text(
        "Id,AccountId,Status,StartDate,ContractTerm,EndDate,ActivatedDate,LastModifiedDate\n"
        "800A,001A,Activated,2026-03-15,12,,2026-03-10T02:00:00.000+0000,2026-03-10T02:00:00.000+0000\n"
        "800B,001A,Draft,2026-03-15,12,,,2026-03-10T02:00:00.000+0000\n"
    )

    events, refused = imported("salesforce", tmp_path, source="/salesforce/00D1")

    assert refused == []
    assert {event.source for event in events} == {"/salesforce/00D1"}
    by_type = Counter((event.entity, event.verb) for event in events)
    assert by_type == {
        ("employee", "changed"): 2,
        ("opportunity", "changed"): 4,
        ("opportunity", "deleted"): 1,
        ("activity", "completed"): 2,
        ("contract", "changed"): 1,
    }
    (contract,) = [event for event in events if event.entity == "contract"]
    assert contract.data["end_date"] == date(2027, 3, 14)
    assert contract.data["signed_on"] == date(2026, 3, 10)
    call, other = [event for event in events if event.entity == "activity"]
    assert (call.data["kind"], call.data["opportunity_id"]) == ("call", "006A")
    assert other.data["kind"] == "other"
    assert "opportunity_id" not in other.data
    rep = next(event for event in events if event.subject == "005A")
    assert (rep.data["role"], rep.data["team"], rep.data["hired_on"]) == ("sales", "North", date(2025, 9, 1))
    gone = [event for event in in_order(events) if event.subject == "006B"]
    assert gone[-1].verb == "deleted"
    assert gone[-2].complete


def test_an_export_settles_the_topics_it_speaks_of(tmp_path: Path) -> None:
    (tmp_path / "Opportunity.csv").write_text(
        "Id,Name,StageName,Amount,CloseDate,CreatedDate,LastModifiedDate\n"
        "006A,Dolls,Prospecting,1,2026-12-01,2026-03-01T01:00:00Z,2026-03-05T02:11:09Z\n"
    )
    work = Import(tmp_path, shipped_mapping("salesforce", source="/salesforce/00D1"))
    list(work.steps())

    (completed,) = work.settled("2026-03-06T00:00:00Z")

    assert completed.topic == "crm.opportunity"
    event = read(completed.value, completed.topic)
    assert (event.entity, event.verb, event.subject, event.source) == (
        "resync",
        "completed",
        "*",
        "/salesforce/00D1",
    )


@pytest.mark.parametrize("arrival", ["before the import", "amid it", "behind it"])
def test_live_events_win_by_time_and_not_by_arrival(tmp_path: Path, arrival: str) -> None:
    (tmp_path / "Opportunity.csv").write_text(
        "Id,Name,StageName,Amount,CloseDate,OwnerId,CreatedDate,LastModifiedDate\n"
        "006A1,Dolls,Proposal,1000,2026-12-01,005B7,2026-01-01T01:00:00Z,2026-03-01T02:00:00Z\n"
        "006A2,Puppets,Proposal,2000,2026-12-01,005B7,2026-01-01T01:00:00Z,2026-03-09T02:00:00Z\n"
    )
    history, refused = imported("salesforce", tmp_path, source="/salesforce/org")
    assert refused == []
    # Both deals moved on 5 March: that is after the export's word on the first, and before it on the second.
    moved = salesforce(
        ids=("006A1", "006A2"), changed=("StageName", "Amount"), StageName="Negotiation", Amount=5
    )
    live = [read(one.value, one.topic) for one in translated(SalesforceSettings(), moved)]
    place = {"before the import": 0, "amid it": len(history) // 2, "behind it": len(history)}[arrival]

    company = Company.from_events(Meaning(), [*history[:place], *live, *history[place:]])

    first, second = company.living("opportunity")
    assert (first.newest("stage"), first.newest("amount"), first.newest("name")) == (
        "Negotiation",
        5,
        "Dolls",
    )
    assert (second.newest("stage"), second.newest("amount")) == ("Proposal", 2000)
    assert [stated.value for stated in second.history("stage")][-2:] == ["Negotiation", "Proposal"]


# --- HubSpot --------------------------------------------------------------------------------------------


def test_a_hubspot_deal_export(tmp_path: Path) -> None:
    export = tmp_path / "hubspot-crm-exports-all-deals.csv"
    export.write_text(
        '"Record ID","Deal Name","Deal Stage","Pipeline","Amount","Currency","Close Date","Create Date",'
        '"Last Modified Date","Deal owner","Deal Type","Associated Company IDs"\n'
        '"5512","Dolls","Closed won (Sales Pipeline)","default","171000","TWD","2026-03-05 14:22",'
        '"2026-01-10 09:00","2026-03-09 10:00","Lin Yi-Chen","New Business","77"\n'
        '"5513","Puppets","Contract sent","default","","TWD","2026-12-05 14:22",'
        '"2026-01-10 09:00","2026-03-09 10:00","","",""\n'
    )

    events, refused = imported("hubspot", export)

    assert refused == []
    won = [event for event in in_order(events) if event.subject == "5512"]
    assert [event.data.get("stage") for event in won] == [None, "Closed Won", "Closed Won"]
    assert won[1].data["close_date"] == date(2026, 3, 5)
    assert won[1].time_ns < won[2].time_ns
    assert won[2].complete
    still_open = [event for event in in_order(events) if event.subject == "5513"]
    assert [event.data.get("stage") for event in still_open] == [None, "Contract sent"]


# --- AdventureWorks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adventure() -> list[Event]:
    events, refused = imported("adventureworks", data_set("adventureworks"))
    assert refused == []
    return events


def test_people_have_the_roles_of_their_departments(adventure: list[Event]) -> None:
    folder = data_set("adventureworks")
    people = [event for event in adventure if event.entity == "employee"]

    assert sum("hired_on" in event.data for event in people) == 290
    assert sum("role" in event.data for event in people) == 296
    told = (folder / "EmployeeDepartmentHistory.csv").read_text().splitlines()
    in_sales = {cells[1] for line in told if (cells := line.split("\t"))[2] == "3"}
    assert {event.subject for event in people if event.data.get("role") == "sales"} == in_sales
    # Rep 275 moved from the Northeast to the Central territory on 2012-11-30.
    moves = sorted(
        (e.data["effective_on"], e.data["team"]) for e in people if e.subject == "275" and "team" in e.data
    )
    assert moves == [(date(2011, 5, 31), "Northeast"), (date(2012, 11, 30), "Central")]


def test_quotas_are_targets_of_fiscal_quarters(adventure: list[Event]) -> None:
    targets = {event.subject: event.data for event in adventure if event.entity == "target"}

    assert len(targets) == 163
    assert targets["rep:274/2012-Q1"]["amount"] == 28_000
    assert targets["rep:274/2012-Q2"]["amount"] == 7_000
    assert {subject.rpartition("/")[2] for subject in targets} == {
        f"{year}-Q{quarter}" for year in (2012, 2013, 2014) for quarter in (1, 2, 3, 4)
    }


def test_rates_are_of_each_day(adventure: list[Event]) -> None:
    rates = {event.subject: event.data["rate"] for event in adventure if event.entity == "fx_rate"}

    assert rates["USD/AUD/2011-05-31"] == Decimal("1.55")
    assert len(rates) == 10_970 == sum(event.entity == "fx_rate" for event in adventure)

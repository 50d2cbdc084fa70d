from typing import Any

import pytest

from events.adapters.settings import BamboohrSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import told, translated

HR = BamboohrSettings.model_validate(
    {
        "company": "77",
        "aliases": {"Salesforce user": "/salesforce/00D5g", "HubSpot owner": "/hubspot/4411"},
        "employee": {"values": {"role": {"Account Executive": "sales"}}},
    }
)
TIME = "2026-03-05T02:11:09+0000"


def thin(kind: str, *changed: str) -> dict[str, Any]:
    """An event-based body."""
    return {
        "type": kind,
        "timestamp": TIME,
        "data": {"companyId": "77", "employeeId": "67890", "changedFields": list(changed)},
    }


def fields(action: str = "Updated", changed: tuple[str, ...] = (), **values: Any) -> dict[str, Any]:
    """A field-based body."""
    item = {
        "id": "67890",
        "action": action,
        "timestamp": TIME,
        "changedFields": list(changed),
        "fields": {name.replace("_", " "): {"value": value} for name, value in values.items()},
    }
    return {"employees": [item]}


def test_a_thin_update_asks_for_a_resync_of_that_employee() -> None:
    (event,) = translated(HR, thin("employee.updated", "department", "jobTitle"))

    assert (event.topic, event.subject, event.resync) == ("hr.employee", "67890", True)
    assert event.event["source"] == "/bamboohr/77"
    assert event.event["time"] == "2026-03-05T02:11:09.000Z"
    assert event.event["data"] == {"reason": "changed: department, jobTitle"}


def test_a_thin_update_of_fields_that_are_not_kept_says_nothing() -> None:
    assert told(HR, thin("employee.updated", "homePhone", "shirtSize")) == []


def test_a_thin_update_that_names_no_field_may_be_any() -> None:
    assert [kind for kind, _, _ in told(HR, thin("employee.updated"))] == ["resync.required"]


def test_a_creation_fires_twice_and_both_ask_for_a_resync() -> None:
    created = translated(HR, thin("employee.created"))
    updated = translated(HR, thin("employee.updated", "firstName"))

    assert created[0].event["id"] != updated[0].event["id"]
    assert created[0].subject == updated[0].subject == "67890"


def test_a_thin_deletion_deletes() -> None:
    assert told(HR, thin("employee.deleted")) == [("employee.deleted", "67890", {})]


def test_field_based_bodies_carry_values() -> None:
    body = fields(
        changed=("Job Title", "Department", "Hire Date", "Reporting to"),
        Job_Title="Account Executive",
        Department="North",
        Hire_Date="2025-09-01",
        First_Name="Yi-Chen",
    )

    assert told(HR, body) == [
        ("employee.changed", "67890", {"hired_on": "2025-09-01", "team": "North", "role": "sales"})
    ]


def test_a_leaver_is_an_update() -> None:
    body = fields(
        changed=("terminationDate", "terminationType"),
        terminationDate="2026-03-31",
        terminationType="Voluntary",
    )

    assert told(HR, body)[0][2] == {"left_on": "2026-03-31", "leave_kind": "voluntary"}


@pytest.mark.parametrize("empty", ["", "0000-00-00", None])
def test_a_withdrawn_notice_clears_the_last_day(empty: str | None) -> None:
    assert told(HR, fields(changed=("terminationDate",), terminationDate=empty))[0][2] == {"left_on": None}


def test_names_and_aliases_are_put_together() -> None:
    body = fields(
        changed=("First Name", "Salesforce user"),
        First_Name="Yi-Chen",
        Last_Name="Lin",
        Salesforce_user="005B7",
        HubSpot_owner="88",
    )

    assert told(HR, body)[0][2] == {
        "name": "Yi-Chen Lin",
        "aliases": ["/salesforce/00D5g:005B7", "/hubspot/4411:88"],
    }


def test_a_changed_field_that_was_not_posted_asks_for_a_resync() -> None:
    assert told(HR, fields(changed=("Department", "Job Title"), Job_Title="Account Executive")) == [
        ("employee.changed", "67890", {"role": "sales"}),
        ("resync.required", "67890", {"reason": "changed, and not sent: department"}),
    ]


def test_custom_and_standard_fields_of_one_save_are_two_events() -> None:
    first = translated(HR, fields(changed=("Department",), Department="North"))[0].event["id"]
    second = translated(HR, fields(changed=("Salesforce user",), Salesforce_user="005B7"))[0].event["id"]

    assert first != second


def test_a_repeat_is_the_same_event() -> None:
    body = fields(changed=("Department",), Department="North")

    assert translated(HR, body) == translated(HR, body)


def test_one_unreadable_employee_does_not_hold_up_the_others() -> None:
    body = fields(changed=("Hire Date",), Hire_Date="soon")
    body["employees"].append(fields("Deleted")["employees"][0] | {"id": "5"})

    assert [(kind, subject) for kind, subject, _ in told(HR, body)] == [
        ("resync.required", "67890"),
        ("employee.deleted", "5"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"employees": [1]},
        {"employees": [{"id": "1"}]},
        thin("employee.updated") | {"timestamp": 1e30},
    ],
)
def test_what_is_no_webhook_of_bamboohr_is_refused(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(HR, body)

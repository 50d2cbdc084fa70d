import pytest

from events.adapters.settings import MergeSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import merge, told, translated

HR = MergeSettings(teams={"t-3": "North"})


def test_a_change_is_the_employee_as_it_is_now() -> None:
    assert told(HR, merge(employment_status="INACTIVE", termination_date="2026-03-31T00:00:00Z")) == [
        (
            "employee.changed",
            "67890",
            {
                "name": "Lin Yi-Chen",
                "hired_on": "2025-09-01",
                "team": "North",
                "manager_id": "e-2",
                "left_on": "2026-03-31",
                "effective_on": "2026-03-05",
            },
        )
    ]


def test_the_envelope_is_the_one_of_the_table() -> None:
    (event,) = translated(HR, merge())

    assert event.event["source"] == "/merge/4a-c1"
    assert event.event["id"] == "e-9:2026-03-05T02:11:09Z:Employee.changed"
    assert event.event["time"] == "2026-03-05T02:11:09.000Z"


def test_null_is_absent_except_for_the_last_day() -> None:
    (_, _, data) = told(HR, merge(display_full_name=None, start_date=None, team=None, manager=None))[0]

    assert data == {"left_on": None}


def test_a_last_day_that_is_not_sent_at_all_is_not_cleared() -> None:
    body = merge()
    del body["data"]["termination_date"]

    assert "left_on" not in told(HR, body)[0][2]


def test_an_inactive_one_without_a_last_day_asks_for_a_resync() -> None:
    assert [kind for kind, _, _ in told(HR, merge(employment_status="INACTIVE"))] == [
        "employee.changed",
        "resync.required",
    ]


def test_a_pending_one_has_not_started() -> None:
    (_, _, data) = told(HR, merge(employment_status="PENDING", start_date="2026-09-01T00:00:00Z"))[0]

    assert (data["hired_on"], data["left_on"]) == ("2026-09-01", None)


def test_the_transfer_counts_from_the_day_of_the_employment() -> None:
    employments = [
        {"id": "m-2", "job_title": "Account Executive", "effective_date": "2026-04-01T00:00:00Z"},
        {"id": "m-1", "job_title": "Trainee", "effective_date": "2025-09-01T00:00:00Z"},
        "m-0",
    ]
    settings = MergeSettings.model_validate(
        {"employee": {"values": {"role": {"Account Executive": "sales"}}}}
    )

    now, earlier = told(settings, merge(employments=employments))

    assert (now[2]["role"], now[2]["effective_on"]) == ("sales", "2026-04-01")
    assert earlier[2] == {"role": "Trainee", "effective_on": "2025-09-01"}


def test_expanded_records_are_read_for_their_ids() -> None:
    (_, _, data) = told(
        HR, merge(team={"id": "t-3", "name": "South"}, manager={"id": "e-2", "remote_id": "111"})
    )[0]

    assert (data["team"], data["manager_id"]) == ("South", "111")


def test_without_a_remote_id_the_id_is_the_subject() -> None:
    assert translated(HR, merge(remote_id=None))[0].subject == "e-9"
    assert translated(MergeSettings(subject="id", id_prefix="m-"), merge())[0].subject == "m-e-9"


@pytest.mark.parametrize("body", [merge("Employee.removed"), merge(remote_was_deleted=True)])
def test_removal_deletes(body: object) -> None:
    assert told(HR, body) == [("employee.deleted", "67890", {})]


def test_an_addition_is_read_like_a_change() -> None:
    assert told(HR, merge("Employee.added"))[0][0] == "employee.changed"


@pytest.mark.parametrize("event", ["Team.changed", "TimeOff.added", "Employee.synced"])
def test_other_events_are_left_alone(event: str) -> None:
    assert told(HR, merge(event)) == []


def test_an_unreadable_date_asks_for_a_resync() -> None:
    assert [kind for kind, _, _ in told(HR, merge(start_date="soon"))] == ["resync.required"]


@pytest.mark.parametrize("body", [[], {}, {"hook": {"event": 1}}, merge(id=None), merge(modified_at="now")])
def test_what_is_no_webhook_of_merge_is_refused(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(HR, body)

from typing import Any

import pytest

from events.adapters.settings import PipedriveSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import T, pipedrive, told, translated

PIPE = PipedriveSettings(stages={"3": "Proposal", "4": "Negotiation"})


def deal(**fields: Any) -> dict[str, Any]:
    """A deal as webhooks of version 2 carry it."""
    return {
        "id": 812, "title": "Saul – dolls", "stage_id": 4, "pipeline_id": 1, "value": 171000, "currency": "TWD",
        "status": "open", "owner_id": 9, "org_id": 70, "add_time": "2026-03-01T01:00:00Z", "won_time": None,
        "lost_time": None, "lost_reason": None, "expected_close_date": "2026-04-30", "probability": None,
        "update_time": "2026-03-05T02:11:09Z", "custom_fields": {},
    } | fields  # fmt: skip


def test_a_change_states_what_previous_names_with_values_from_data() -> None:
    assert told(PIPE, pipedrive("change", deal(), {"stage_id": 3})) == [
        ("opportunity.changed", "812", {"stage": "Negotiation"})
    ]


def test_the_envelope_is_the_one_of_the_table() -> None:
    (event,) = translated(PIPE, pipedrive("change", deal(), {"stage_id": 3}))

    assert event.event["source"] == "/pipedrive/77"
    assert event.event["id"] == "b1d7-03"
    assert event.event["time"] == T
    assert event.event["sequence"] == "2026-03-05T02:11:09.000Z"


def test_an_instant_in_seconds_is_read_too() -> None:
    (event,) = translated(PIPE, pipedrive("change", deal(), {"stage_id": 3}, at=1772676669))

    assert event.event["time"] == "2026-03-05T02:11:09.000Z"


def test_a_null_in_previous_means_that_it_was_empty_before() -> None:
    assert told(PIPE, pipedrive("change", deal(value=5), {"value": None}))[0][2] == {
        "amount": "5",
        "currency": "TWD",
    }


def test_a_creation_states_all() -> None:
    assert told(
        PipedriveSettings(stages={"4": "Negotiation"}, id_prefix="pd-"), pipedrive("create", deal(), None)
    ) == [
        (
            "opportunity.changed",
            "pd-812",
            {
                "name": "Saul – dolls",
                "account_id": "pd-70",
                "owner_id": "9",
                "amount": "171000",
                "currency": "TWD",
                "created_at": "2026-03-01T01:00:00.000Z",
                "stage": "Negotiation",
                "close_date": "2026-04-30",
            },
        )
    ]


def test_a_won_deal_is_in_the_won_stage_and_closes_on_its_day_in_the_company_zone() -> None:
    won = deal(status="won", won_time="2026-03-05T17:00:00Z")

    assert told(PIPE, pipedrive("change", won, {"status": "open", "won_time": None}))[0][2] == {
        "stage": "Closed Won",
        "close_date": "2026-03-06",
    }


def test_a_lost_deal_is_in_the_lost_stage_with_its_reason() -> None:
    lost = deal(status="lost", lost_time="2026-03-05T02:00:00Z", lost_reason="price")

    assert told(PIPE, pipedrive("change", lost, {"status": "open", "lost_time": None, "lost_reason": None}))[
        0
    ][2] == {
        "lost_reason": "price",
        "stage": "Closed Lost",
        "close_date": "2026-03-05",
    }


def test_a_reopened_deal_is_back_in_its_stage_with_its_expected_close() -> None:
    previous = {"status": "won", "won_time": "2026-03-05T02:00:00Z"}

    assert told(PIPE, pipedrive("change", deal(), previous))[0][2] == {
        "stage": "Negotiation",
        "close_date": "2026-04-30",
    }


def test_the_expected_date_of_a_closed_deal_does_not_move_its_close() -> None:
    won = deal(status="won", won_time="2026-03-05T02:00:00Z", expected_close_date="2026-09-30")

    assert told(PIPE, pipedrive("change", won, {"expected_close_date": "2026-04-30"})) == []


def test_a_corrected_day_of_winning_moves_the_close() -> None:
    won = deal(status="won", won_time="2026-03-01T02:00:00Z")

    assert told(PIPE, pipedrive("change", won, {"won_time": "2026-03-05T02:00:00Z"}))[0][2] == {
        "close_date": "2026-03-01"
    }


def test_a_stage_without_a_name_stays_an_id() -> None:
    assert told(PIPE, pipedrive("change", deal(stage_id=17), {"stage_id": 4}))[0][2] == {"stage": "17"}


def test_pipelines_are_mapped_or_all_are_the_default() -> None:
    change = pipedrive("change", deal(pipeline_id=2), {"pipeline_id": 1})

    assert told(PIPE, change) == []
    assert told(PipedriveSettings(pipelines={"2": "enterprise"}), change)[0][2] == {"pipeline": "enterprise"}


def test_a_change_that_does_not_say_what_changed_states_all() -> None:
    data = told(PIPE, pipedrive("change", deal(lost_reason=None), None))[0][2]

    assert (data["stage"], data["lost_reason"], data["amount"]) == ("Negotiation", None, "171000")


def test_a_deletion_has_no_data() -> None:
    assert told(PIPE, pipedrive("delete", None, deal())) == [("opportunity.deleted", "812", {})]


def test_a_merge_is_a_deletion_that_names_the_survivor() -> None:
    body = pipedrive("delete", None, deal(), merged_to_id="900")

    assert told(PipedriveSettings(id_prefix="pd-"), body) == [
        ("opportunity.merged", "pd-812", {"into": "pd-900"})
    ]


def test_the_survivor_of_a_merge_also_says_who_lost() -> None:
    body = pipedrive("change", deal(), {"stage_id": 3}, merged_from_id="700")

    assert told(PIPE, body) == [
        ("opportunity.merged", "700", {"into": "812"}),
        ("opportunity.changed", "812", {"stage": "Negotiation"}),
    ]


def test_custom_fields_are_mapped_by_their_hash() -> None:
    settings = PipedriveSettings.model_validate(
        {"opportunity": {"fields": {"custom_fields.d4de1c1518": "referred_by"}}}
    )
    data = deal(custom_fields={"d4de1c1518": {"type": "org", "id": 70}, "other": None})

    assert told(settings, pipedrive("change", data, {"custom_fields": {"d4de1c1518": None}}))[0][2] == {
        "referred_by": "70"
    }


def test_an_activity_counts_once_it_is_done() -> None:
    call = {
        "id": 5,
        "type": "call",
        "done": False,
        "owner_id": 9,
        "deal_id": 812,
        "org_id": 70,
        "update_time": T,
    }
    planned = pipedrive("create", call, None, entity="activity", entity_id=5)
    done = pipedrive(
        "change",
        call | {"done": True, "marked_as_done_time": "2026-03-05T02:00:00Z"},
        {"done": False, "marked_as_done_time": None},
        entity="activity",
        entity_id=5,
    )

    assert told(PIPE, planned) == [
        (
            "activity.completed",
            "5",
            {"rep_id": "9", "kind": "call", "opportunity_id": "812", "account_id": "70"},
        ),
        ("activity.deleted", "5", {}),
    ]
    assert told(PIPE, done) == [
        ("activity.completed", "5", {"completed_at": "2026-03-05T02:00:00.000Z"}),
        ("activity.restored", "5", {}),
    ]


def test_an_organization_is_an_account() -> None:
    body = pipedrive(
        "create", {"id": 70, "name": "Saul", "owner_id": 9}, None, entity="organization", entity_id="70"
    )

    assert told(PIPE, body) == [("account.changed", "70", {"name": "Saul", "owner_id": "9"})]


def test_an_unreadable_value_asks_for_a_resync() -> None:
    events = told(PIPE, pipedrive("change", deal(value="much"), {"value": 1}))

    assert [kind for kind, _, _ in events] == ["resync.required"]


@pytest.mark.parametrize("entity", ["person", "stage", "lead", "note"])
def test_other_objects_are_left_alone(entity: str) -> None:
    assert told(PIPE, pipedrive("change", {"id": 1}, {"name": "x"}, entity=entity)) == []


@pytest.mark.parametrize(
    "body",
    [
        {
            "v": 1,
            "meta": {"v": 1, "action": "updated", "object": "deal"},
            "current": {"id": 812},
            "previous": {},
        },
        {"meta": {"version": "1.0", "action": "updated", "entity": "deal"}},
    ],
)
def test_version_1_is_refused_with_a_hint(body: dict[str, Any]) -> None:
    with pytest.raises(BadEventError, match=r"version 2\.0"):
        translated(PIPE, body)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"meta": 1},
        pipedrive("merge", deal(), {}),
        pipedrive("change", deal(), "stage_id"),  # type: ignore[arg-type]
        pipedrive("change", None, {}),
        pipedrive("change", deal(), {}, at="yesterday"),
        pipedrive("change", deal(), {}, company_id=None),
        pipedrive("change", deal(update_time="later"), {}),
    ],
)
def test_what_is_no_webhook_of_pipedrive_is_refused(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(PIPE, body)

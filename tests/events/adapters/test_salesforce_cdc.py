import json

import pytest

from events.adapters.settings import SalesforceSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import T, salesforce, streaming, told, translated

ORG = SalesforceSettings(org="00D5g", currency="")


def test_an_update_states_only_what_it_names_as_changed() -> None:
    body = salesforce(
        changed=("StageName", "Amount", "LastModifiedDate"), StageName="Negotiation", Amount=171000
    )

    assert told(ORG, body) == [("opportunity.changed", "006A1", {"stage": "Negotiation", "amount": "171000"})]


def test_the_envelope_is_the_one_of_the_table() -> None:
    (event,) = translated(ORG, salesforce(changed=("StageName",), StageName="Negotiation"))

    assert event.event["source"] == "/salesforce/00D5g"
    assert event.event["id"] == "0001a2-7f3a:3:006A1"
    assert event.event["time"] == T
    assert event.event["sequence"] == "01772676669120338411.00000000000000000003"
    assert (event.topic, event.subject) == ("crm.opportunity", "006A1")


def test_a_name_in_nulled_fields_clears() -> None:
    body = salesforce(changed=("LastModifiedDate",), nulled=("Amount", "CloseDate"))

    assert told(ORG, body) == [("opportunity.changed", "006A1", {"amount": None, "close_date": None})]


def test_a_changed_field_that_is_null_was_cleared() -> None:
    assert told(ORG, salesforce(changed=("Amount",)))[0][2] == {"amount": None}


def test_an_update_of_nothing_that_is_followed_says_nothing() -> None:
    assert told(ORG, salesforce(changed=("LastModifiedDate",), LastModifiedDate=1772676669000)) == []


def test_a_creation_states_every_field_that_is_there() -> None:
    body = salesforce(
        "CREATE",
        Name="三億電子 – renewal",
        AccountId="001X",
        OwnerId="005B7",
        StageName="Prospecting",
        Amount=150000.10,
        CloseDate=1774915200000,
        Type="Existing Customer - Upgrade",
        Probability=10,
        ForecastCategoryName="Best Case",
        CreatedDate=1772676669000,
        CurrencyIsoCode="TWD",
    )

    assert told(ORG, body) == [
        (
            "opportunity.changed",
            "006A1",
            {
                "name": "三億電子 – renewal",
                "account_id": "001X",
                "owner_id": "005B7",
                "stage": "Prospecting",
                "amount": "150000.1",
                "currency": "TWD",
                "created_at": "2026-03-05T02:11:09.000Z",
                "close_date": "2026-03-31",
                "type": "expansion",
                "probability": "0.1",
                "forecast_category": "best_case",
            },
        )
    ]


def test_dates_are_midnight_utc_and_no_time_zone_shifts_them() -> None:
    body = salesforce(changed=("CloseDate",), CloseDate=1774915200000)  # 2026-03-31T00:00:00Z

    assert told(ORG, body)[0][2] == {"close_date": "2026-03-31"}


def test_the_streaming_shape_takes_null_as_cleared() -> None:
    body = streaming(StageName="Proposal", Amount=None, CloseDate="2026-04-30")

    assert told(ORG, body) == [
        ("opportunity.changed", "006A1", {"stage": "Proposal", "amount": None, "close_date": "2026-04-30"})
    ]


def test_a_connect_row_without_lists_of_names_takes_null_as_unchanged() -> None:
    row = streaming(StageName="Proposal", Amount=None)["payload"] | {
        "ReplayId": "6",
        "_ObjectType": "OpportunityChangeEvent",
        "_EventType": "IeRuaY6cbI_HsV8Rv1Mc5g",
    }

    assert told(ORG, row)[0][2] == {"stage": "Proposal"}


def test_a_connect_row_wrapped_with_its_schema_is_no_streaming_event() -> None:
    row = {"schema": {"type": "struct"}, "payload": salesforce(changed=("StageName",), StageName="Proposal")}

    assert told(ORG, row)[0][2] == {"stage": "Proposal"}


@pytest.mark.parametrize("bitmap", ["0x40000002", "4-0x10", "0X1f"])
def test_names_that_are_still_bitmaps_are_a_dead_letter(bitmap: str) -> None:
    with pytest.raises(BadEventError, match="decode changedFields") as refused:
        told(ORG, salesforce(changed=(bitmap,)))

    assert refused.value.reason == "bitmap_not_expanded"


def test_a_field_named_like_a_hexadecimal_number_is_a_field() -> None:
    assert told(ORG, salesforce(changed=("X0x10__c",))) == []


def test_one_event_of_many_records_is_one_event_each() -> None:
    body = salesforce(changed=("OwnerId",), ids=("006A1", "006A2"), OwnerId="005C8")

    assert told(ORG, body) == [
        ("opportunity.changed", "006A1", {"owner_id": "005C8"}),
        ("opportunity.changed", "006A2", {"owner_id": "005C8"}),
    ]
    assert len({one.event["id"] for one in translated(ORG, body)}) == 2


@pytest.mark.parametrize("change", ["GAP_CREATE", "GAP_UPDATE", "GAP_UNDELETE"])
def test_a_gap_asks_for_a_resync_of_its_records(change: str) -> None:
    assert told(ORG, salesforce(change, ids=("006A1", "006A2"))) == [
        ("resync.required", "006A1", {"reason": change}),
        ("resync.required", "006A2", {"reason": change}),
    ]


def test_a_gap_of_a_deletion_also_deletes() -> None:
    kinds = [kind for kind, _, _ in told(ORG, salesforce("GAP_DELETE"))]

    assert kinds == ["opportunity.deleted", "resync.required"]


@pytest.mark.parametrize(
    ("change", "ids"), [("GAP_OVERFLOW", ("000000000000000AAA",)), ("UPDATE", ("006*",))]
)
def test_an_overflow_or_a_wildcard_asks_for_a_resync_of_everything(change: str, ids: tuple[str, ...]) -> None:
    (event,) = translated(SalesforceSettings(id_prefix="sf-"), salesforce(change, ids=ids))

    assert (event.topic, event.subject, event.resync) == ("crm.opportunity", "*", True)


def test_deleting_and_undeleting() -> None:
    assert told(ORG, salesforce("DELETE")) == [("opportunity.deleted", "006A1", {})]
    (changed, restored) = told(ORG, salesforce("UNDELETE", StageName="Proposal", Amount=5))
    assert changed[:2] == ("opportunity.changed", "006A1")
    assert changed[2]["stage"] == "Proposal"
    assert changed[2]["close_date"] is None
    assert restored[:2] == ("opportunity.restored", "006A1")


def test_a_text_sent_as_a_difference_asks_for_a_resync() -> None:
    body = salesforce(changed=("Name", "StageName"), diff=("Name",), Name="--- \n+++ ", StageName="Proposal")

    assert told(ORG, body) == [
        ("opportunity.changed", "006A1", {"stage": "Proposal"}),
        ("resync.required", "006A1", {"reason": "only the difference of Name was sent"}),
    ]


def test_a_commit_number_beyond_2_to_the_53_keeps_every_digit_also_as_text() -> None:
    exact = salesforce(changed=("Amount",), Amount=1, commit="1772676669120338411")

    assert translated(ORG, exact)[0].event["sequence"].startswith("01772676669120338411.")


def test_a_merged_account_is_an_alias() -> None:
    body = salesforce(entity="Account", ids=("001L",), changed=("MasterRecordId",), MasterRecordId="001W")

    assert told(SalesforceSettings(id_prefix="sf-"), body) == [
        ("account.merged", "sf-001L", {"into": "sf-001W"})
    ]


def test_a_task_counts_once_it_is_done() -> None:
    planned = salesforce(
        "CREATE",
        entity="Task",
        ids=("00T1",),
        OwnerId="005B7",
        Status="Not Started",
        TaskSubtype="Call",
        WhatId="006A1",
    )
    done = salesforce(
        entity="Task",
        ids=("00T1",),
        changed=("Status", "CompletedDateTime"),
        Status="Completed",
        CompletedDateTime=1772676669000,
    )

    assert told(ORG, planned) == [
        ("activity.completed", "00T1", {"rep_id": "005B7", "kind": "call", "opportunity_id": "006A1"}),
        ("activity.deleted", "00T1", {}),
    ]
    assert told(ORG, done) == [
        ("activity.completed", "00T1", {"completed_at": "2026-03-05T02:11:09.000Z"}),
        ("activity.restored", "00T1", {}),
    ]


def test_a_calendar_event_is_a_meeting_that_counts_when_it_ends() -> None:
    body = salesforce(
        "CREATE", entity="Event", ids=("00U1",), OwnerId="005B7", EndDateTime=1772676669000, WhatId="001X"
    )

    assert told(ORG, body) == [
        (
            "activity.completed",
            "00U1",
            {
                "rep_id": "005B7",
                "completed_at": "2026-03-05T02:11:09.000Z",
                "kind": "meeting",
                "account_id": "001X",
            },
        )
    ]


def test_a_draft_contract_is_hidden_until_it_is_activated() -> None:
    draft = salesforce(
        "CREATE",
        entity="Contract",
        ids=("800C",),
        AccountId="001X",
        Status="Draft",
        StartDate=1772668800000,
        ContractTerm=12,
    )
    signed = salesforce(
        entity="Contract",
        ids=("800C",),
        changed=("Status", "ActivatedDate"),
        Status="Activated",
        ActivatedDate=1772726400000,  # 2026-03-05T16:00:00Z: the 6th in Taipei
    )

    assert told(ORG, draft) == [
        (
            "contract.changed",
            "800C",
            {"account_id": "001X", "start_date": "2026-03-05", "end_date": "2027-03-04"},
        ),
        ("contract.deleted", "800C", {}),
    ]
    assert told(ORG, signed) == [
        ("contract.changed", "800C", {"signed_on": "2026-03-06"}),
        ("contract.restored", "800C", {}),
    ]


@pytest.mark.parametrize(
    ("start_ms", "months", "end"),
    [
        (1706659200000, 1, "2024-02-29"),  # from 31 January: February has no 31st
        (1709164800000, 12, "2025-02-28"),  # from 29 February of a leap year
        (1701388800000, 1, "2023-12-31"),
        (1701388800000, 13, "2024-12-31"),
    ],
)
def test_a_term_of_months_ends_the_day_before(start_ms: int, months: int, end: str) -> None:
    body = salesforce("CREATE", entity="Contract", ids=("800C",), StartDate=start_ms, ContractTerm=months)

    assert told(ORG, body)[0][2]["end_date"] == end


def test_a_term_that_changes_alone_asks_for_a_resync() -> None:
    body = salesforce(entity="Contract", ids=("800C",), changed=("ContractTerm",), ContractTerm=24)

    assert [kind for kind, _, _ in told(ORG, body)] == ["resync.required"]


def test_ids_of_records_get_the_prefix_and_ids_of_users_do_not() -> None:
    body = salesforce(changed=("OwnerId", "AccountId"), OwnerId="005C8", AccountId="001X")

    assert told(SalesforceSettings(id_prefix="sf-"), body) == [
        ("opportunity.changed", "sf-006A1", {"account_id": "sf-001X", "owner_id": "005C8"})
    ]


def test_custom_fields_and_values_are_mapped_in_the_configuration() -> None:
    org = SalesforceSettings.model_validate(
        {
            "opportunity": {
                "fields": {"Referrer__c": "referred_by", "Loss_Reason__c": "lost_reason", "Name": ""},
                "values": {"stage": {"Verhandlung": "Negotiation"}},
            },
            "currency": "EUR",
        }
    )
    body = salesforce(
        changed=("StageName", "Referrer__c", "Amount", "Name"),
        StageName="Verhandlung",
        Referrer__c="001R",
        Amount=5,
        Name="dropped",
    )

    assert told(org, body)[0][2] == {
        "stage": "Negotiation",
        "amount": "5",
        "referred_by": "001R",
        "currency": "EUR",
    }


def test_an_unknown_choice_says_where_to_explain_it() -> None:
    with pytest.raises(BadEventError, match=r"adapters.<name>.opportunity.values.type") as refused:
        told(ORG, salesforce(changed=("Type",), Type="Strategic"))

    assert (refused.value.reason, refused.value.path) == ("invalid_data", "Type")


@pytest.mark.parametrize("entity", ["Lead", "Contact", "My_Object__c"])
def test_other_objects_are_left_alone(entity: str) -> None:
    assert told(ORG, salesforce(entity=entity)) == []


def test_a_tombstone_is_skipped() -> None:
    assert translated(ORG, b"") == []
    assert translated(ORG, b"null") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"ChangeEventHeader": []},
        salesforce("MOVE"),
        salesforce(ids=()),
        salesforce(commit=-1),
        salesforce(commit=1.5),
        salesforce(at=-5),
        salesforce(transaction=""),
    ],
)
def test_what_is_no_change_event_is_malformed_or_invalid(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(ORG, json.dumps(body).encode())

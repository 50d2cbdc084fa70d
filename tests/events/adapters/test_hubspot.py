import pytest

from events.adapters.settings import HubspotSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import T_MS, T, hubspot, property_change, told, translated

HUB = HubspotSettings.model_validate(
    {"opportunity": {"values": {"stage": {"contractsent": "Negotiation", "closedwon": "Closed Won"}}}}
)


def test_each_property_is_an_event_of_its_own() -> None:
    body = [
        property_change("dealstage", "contractsent"),
        property_change("amount", "171000.50"),
        property_change("hubspot_owner_id", "88"),
    ]

    assert told(HUB, body) == [
        ("opportunity.changed", "5512", {"stage": "Negotiation"}),
        ("opportunity.changed", "5512", {"amount": "171000.50"}),
        ("opportunity.changed", "5512", {"owner_id": "88"}),
    ]
    assert len({one.event["id"] for one in translated(HUB, body)}) == 3


def test_the_envelope_is_the_one_of_the_table() -> None:
    (event,) = translated(HUB, [property_change("amount", "5")])

    assert event.event["source"] == "/hubspot/4411"
    assert event.event["time"] == T
    assert event.event["sequence"] == "00000000000000031007"


def test_another_attempt_is_the_same_event() -> None:
    first, second = (translated(HUB, [property_change("amount", "5", attemptNumber=n)]) for n in (0, 3))

    assert first == second


def test_the_same_event_id_of_another_property_is_another_event() -> None:
    first, second = (
        translated(HUB, [property_change(name, "5")])[0].event["id"] for name in ("amount", "dealstage")
    )

    assert first != second


def test_the_newer_form_names_the_object_by_number() -> None:
    body = [property_change("dealstage", "closedwon", thing="object", objectTypeId="0-3")]

    assert told(HUB, body) == [("opportunity.changed", "5512", {"stage": "Closed Won"})]


def test_an_empty_value_clears() -> None:
    assert told(HUB, [property_change("amount", "")])[0][2] == {"amount": None}
    assert told(HUB, [property_change("amount", None)])[0][2] == {"amount": None}


def test_the_close_date_is_the_day_of_an_instant_in_the_company_zone() -> None:
    evening_utc = "1772726400000"  # 2026-03-05T16:00:00Z is midnight in Taipei

    assert told(HUB, [property_change("closedate", evening_utc)])[0][2] == {"close_date": "2026-03-06"}


def test_a_creation_carries_no_fields_but_its_instant() -> None:
    assert told(HUB, [hubspot("deal.creation")]) == [("opportunity.changed", "5512", {"created_at": T})]


def test_deletion_and_restoration() -> None:
    body = [hubspot("deal.deletion"), hubspot("deal.restore"), hubspot("company.privacyDeletion")]

    assert told(HUB, body) == [
        ("opportunity.deleted", "5512", {}),
        ("opportunity.restored", "5512", {}),
        ("account.deleted", "5512", {}),
    ]


def test_a_merge_makes_a_third_deal_and_all_merged_ones_are_losers() -> None:
    body = [hubspot("deal.merge", objectId=None, primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=9)]

    events = told(HubspotSettings(id_prefix="hs-"), body)

    assert events[:3] == [("opportunity.merged", f"hs-{loser}", {"into": "hs-9"}) for loser in (1, 2, 3)]
    assert events[3][:2] == ("resync.required", "hs-9")


def test_a_merge_into_one_of_the_merged_spares_it() -> None:
    body = [hubspot("company.merge", primaryObjectId=1, mergedObjectIds=[2, 1], newObjectId=1)]

    assert [(kind, subject) for kind, subject, _ in told(HUB, body)] == [
        ("account.merged", "2"),
        ("resync.required", "1"),
    ]


def test_a_deal_gets_its_company_by_an_association() -> None:
    added = hubspot(
        "deal.associationChange", objectId=None, associationType="DEAL_TO_COMPANY", fromObjectId=5512, toObjectId=70,
        associationRemoved=False, isPrimaryAssociation=True,
    )  # fmt: skip

    assert told(HubspotSettings(id_prefix="hs-"), [added]) == [
        ("opportunity.changed", "hs-5512", {"account_id": "hs-70"})
    ]
    assert told(HUB, [added | {"isPrimaryAssociation": False}]) == []
    assert [kind for kind, _, _ in told(HUB, [added | {"associationRemoved": True}])] == ["resync.required"]
    assert told(HUB, [added | {"associationType": "DEAL_TO_CONTACT"}]) == []


def test_a_call_that_was_not_answered_is_no_activity() -> None:
    body = [
        hubspot("object.creation", objectTypeId="0-48"),
        property_change("hubspot_owner_id", "88", thing="object", objectTypeId="0-48"),
        property_change("hs_timestamp", "1772676669120", thing="object", objectTypeId="0-48"),
        property_change("hs_call_status", "NO_ANSWER", thing="object", objectTypeId="0-48"),
        property_change("hs_call_status", "COMPLETED", thing="object", objectTypeId="0-48"),
    ]

    assert told(HUB, body) == [
        ("activity.completed", "5512", {"kind": "call"}),
        ("activity.completed", "5512", {"rep_id": "88", "kind": "call"}),
        ("activity.completed", "5512", {"completed_at": T, "kind": "call"}),
        ("activity.deleted", "5512", {}),
        ("activity.restored", "5512", {}),
    ]


@pytest.mark.parametrize("number", ["0-47", "0-49"])
def test_meetings_and_emails_are_activities(number: str) -> None:
    kind = {"0-47": "meeting", "0-49": "email"}[number]

    assert told(HUB, [hubspot("object.creation", objectTypeId=number)])[0][2] == {"kind": kind}


def test_one_unreadable_value_does_not_hold_up_the_others() -> None:
    body = [property_change("amount", "a lot"), property_change("dealstage", "contractsent")]

    events = told(HUB, body)

    assert [kind for kind, _, _ in events] == ["resync.required", "opportunity.changed"]
    assert "'a lot'" in events[0][2]["reason"]


@pytest.mark.parametrize(
    "subscription", ["contact.creation", "ticket.propertyChange", "deal.conversation", "object.creation"]
)
def test_other_subscriptions_are_left_alone(subscription: str) -> None:
    assert told(HUB, [hubspot(subscription)]) == []


def test_a_property_that_is_not_mapped_says_nothing() -> None:
    assert told(HUB, [property_change("hs_lastmodifieddate", "1")]) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [1],
        [{}],
        [hubspot("deal.creation", portalId=None)],
        [hubspot("deal.creation", objectId=None)],
        [hubspot("deal.creation", occurredAt="soon")],
        [hubspot("deal.merge", newObjectId=1, mergedObjectIds=7)],
        [hubspot("deal.creation")] * 1001,
    ],
)
def test_what_is_no_delivery_of_hubspot_is_refused(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(HUB, body)


def test_an_instant_beyond_2099_is_refused() -> None:
    with pytest.raises(BadEventError, match="1970 to 2099"):
        translated(HUB, [hubspot("deal.creation", occurredAt=T_MS * 100)])

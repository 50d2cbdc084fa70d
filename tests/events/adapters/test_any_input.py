"""Whatever arrives: an adapter gives good events or a typed refusal, and nothing else, ever."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.adapters.catalogue import translator
from events.adapters.outgoing import Outgoing
from events.adapters.settings import (
    Adapter,
    BamboohrSettings,
    DebeziumSettings,
    HubspotSettings,
    MergeSettings,
    PipedriveSettings,
    SalesforceSettings,
)
from events.errors import BadEventError
from events.reader import read
from tests.events.adapters.payloads import (
    TAIPEI,
    T,
    debezium,
    hubspot,
    merge,
    pipedrive,
    property_change,
    salesforce,
    streaming,
)

TABLES = {
    "deals": {
        "entity": "opportunity",
        "columns": {
            "stage": "stage",
            "amount": "amount",
            "closes_on": "close_date",
            "created_at": "created_at",
        },
        "deleted_column": "gone",
        "merged_into_column": "into",
        "scales": {"amount": 2},
    }
}
ADAPTERS: dict[str, Adapter] = {
    "salesforce": SalesforceSettings(id_prefix="sf-", currency="TWD"),
    "debezium": DebeziumSettings.model_validate({"tables": TABLES}),
    "hubspot": HubspotSettings(),
    "pipedrive": PipedriveSettings(stages={"4": "Proposal"}),
    "bamboohr": BamboohrSettings(aliases={"crm": "/crm"}),
    "merge": MergeSettings(),
}
TRANSLATORS = {name: translator(settings, zone=TAIPEI) for name, settings in ADAPTERS.items()}
REASONS = {"malformed", "invalid_envelope", "unknown_type", "invalid_data", "bitmap_not_expanded"}
GOOD: dict[str, list[Any]] = {
    "salesforce": [
        salesforce("CREATE", Name="n", StageName="s", Amount=5, CloseDate=1774915200000, CreatedDate=1772676669000),
        salesforce(changed=("StageName", "Amount"), nulled=("CloseDate",), StageName="x", Amount=7),
        salesforce("GAP_UPDATE"),
        salesforce("CREATE", entity="Contract", StartDate=1774915200000, ContractTerm=12, Status="Draft"),
        salesforce("CREATE", entity="Task", OwnerId="005", Status="Completed", WhatId="006A", TaskSubtype="Call"),
        streaming(StageName="Proposal", Amount=None, CloseDate="2026-04-30"),
    ],
    "debezium": [
        debezium("c", None, {"id": 1, "stage": "a", "amount": "AQTsYA==", "closes_on": 20548, "created_at": 1772676669120}),
        debezium("u", {"id": 1, "stage": "a", "gone": None}, {"id": 1, "stage": "b", "gone": 1, "into": 2}),
        debezium("d", {"id": 1}, None),
        {"schema": {"fields": [{"field": "after", "fields": []}]}, "payload": debezium("r", None, {"id": 1})},
    ],
    "hubspot": [
        [property_change("dealstage", "won"), property_change("amount", "5"), property_change("closedate", "1772726400000")],
        [hubspot("deal.creation"), hubspot("deal.merge", primaryObjectId=1, mergedObjectIds=[2], newObjectId=3)],
        [hubspot("deal.associationChange", associationType="DEAL_TO_COMPANY", fromObjectId=1, toObjectId=2)],
        [property_change("hs_call_status", "COMPLETED", thing="object", objectTypeId="0-48")],
    ],
    "pipedrive": [
        pipedrive("create", {"id": 1, "stage_id": 4, "value": 5, "currency": "TWD", "status": "open"}, None),
        pipedrive("change", {"status": "won", "won_time": T, "update_time": T}, {"status": "open"}, merged_from_id=3),
        pipedrive("delete", None, {}, merged_to_id=2),
        pipedrive("create", {"type": "call", "done": True}, None, entity="activity"),
    ],
    "bamboohr": [
        {"type": "employee.updated", "timestamp": "2026-03-05T02:11:09+0000",
         "data": {"companyId": "77", "employeeId": "1", "changedFields": ["department"]}},
        {"employees": [{"id": "1", "action": "Updated", "timestamp": "2026-03-05T02:11:09+0000",
                        "changedFields": ["Hire Date", "crm"],
                        "fields": {"Hire Date": {"value": "2025-01-01"}, "crm": "x", "First Name": "a"}}]},
    ],
    "merge": [
        merge(),
        merge("Employee.removed"),
        merge(employments=[{"job_title": "a", "effective_date": "2026-01-01T00:00:00Z"}], team={"id": "t"}),
    ],
}  # fmt: skip

JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, 10**30, 1e300, -0.0, 0.1, "", " ", "0", "-1", "1e9", "NaN", "Infinity",
    "2026-02-30", "2026-03-05", "2026-03-05T02:11:09Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
    "\x00", "\u2028", "龍", "x" * 300, "x" * 5000, "*", "006*", "0x1F", "4-0x10", [], {}, [[]], [None], {"": None},
    {"value": 1}, {"id": 1}, 1772676669, 1772676669120, 1772676669120000, 4102444800000, 253402300800000, "005",
    "٣", "1_000", "AQTsYA==", "__debezium_unavailable_value", "TWD", "twd", "unknown", "DELETE", "GAP_OVERFLOW",
]  # fmt: skip


def outcome(name: str, body: bytes, key: bytes = b"") -> list[Outgoing]:
    """The events of a delivery, each good; none if it was refused."""
    try:
        events = TRANSLATORS[name].translate(body, key)
    except BadEventError as refused:
        if str(refused) and refused.reason in REASONS:
            return []
        raise
    for one in events:
        assert read(one.value, one.topic).subject == one.subject
    return events


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each of its keys or indices."""
    keys: Any = (
        value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in list(keys):
        yield value, key
        yield from places(value[key])


def damaged(document: Any, random: Random) -> bytes:
    """A good delivery with up to four things changed, taken away or doubled; sometimes cut or flipped."""
    document = json.loads(json.dumps(document))
    for _ in range(random.randint(1, 4)):
        found = list(places(document))
        if not found:
            break
        holder, key = random.choice(found)
        match random.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(deepcopy(holder[key]))
            case 2 if isinstance(holder, dict):
                holder[random.choice(JUNK[16:20])] = deepcopy(holder[key])
            case _:
                holder[key] = deepcopy(random.choice(JUNK))  # the next damage may be done to it
    body = json.dumps(document, ensure_ascii=random.random() < 0.5).encode()
    match random.randrange(12):
        case 0:
            return body[: random.randrange(len(body) + 1)]
        case 1:
            at = random.randrange(len(body))
            return body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
    return body


def any_json(random: Random, depth: int = 3) -> Any:
    """A JSON value of any shape, made of what adapters look for and of what nobody expects."""
    kind = random.randrange(6) if depth else 5
    if kind == 0:
        return [any_json(random, depth - 1) for _ in range(random.randrange(4))]
    if kind <= 2:
        keys = [
            "id",
            "data",
            "event",
            "after",
            "op",
            "meta",
            "payload",
            "type",
            "employees",
            "value",
            "",
            "龍",
        ]
        return {random.choice(keys): any_json(random, depth - 1) for _ in range(random.randrange(4))}
    return random.choice(JUNK)


def arbitrary(document: Any, random: Random) -> bytes:
    """A delivery: mostly a good one damaged; one in eight any JSON, one in eight any bytes."""
    match random.randrange(8):
        case 0:
            return json.dumps(any_json(random), ensure_ascii=random.random() < 0.5).encode()
        case 1:
            return random.randbytes(random.randrange(200))
    return damaged(document, random)


def fuzz(cases: int, seed: int) -> int:
    """How many events `cases` deliveries of any kind gave."""
    random = Random(seed)
    names = list(ADAPTERS)
    given_ = 0
    for number in range(cases):
        name = names[number % len(names)]
        key = random.choice([b"", b"", b'{"id": 1}', b"\xff", b"null", b"[1]"])
        given_ += len(outcome(name, arbitrary(random.choice(GOOD[name]), random), key))
    return given_


def test_damaged_deliveries_give_good_events_or_a_refusal() -> None:
    assert fuzz(10_000, seed=20261124) > 3_000


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_hundred_thousand_damaged_deliveries_give_good_events_or_a_refusal() -> None:
    assert fuzz(100_000, seed=7) > 30_000


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(JUNK[16:40]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=150, deadline=None)
@given(document=json_values)
def test_any_json_gives_good_events_or_a_refusal(name: str, document: Any) -> None:
    outcome(name, json.dumps(document).encode())


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=300), key=st.binary(max_size=20))
def test_any_bytes_give_good_events_or_a_refusal(name: str, body: bytes, key: bytes) -> None:
    outcome(name, body, key)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 200_000, b"1" * 100_000, b"1e999999999", b'"\\ud800"']
)
def test_hostile_documents_are_refused(name: str, body: bytes) -> None:
    assert outcome(name, body) == []


@pytest.mark.parametrize(
    "number", ["1e999999", "1e-999999", "1e999999999", "-1e999999999", "1.5e-7", "9" * 4000]
)
def test_numbers_of_any_size_are_read_or_refused(number: str) -> None:
    for name, documents in GOOD.items():
        for document in map(json.loads, map(json.dumps, documents)):
            for holder, key in places(document):
                kept, holder[key] = holder[key], "here"
                outcome(name, json.dumps(document).replace('"here"', number).encode())
                holder[key] = kept


def test_half_a_surrogate_pair_costs_a_letter_and_not_the_delivery() -> None:
    body = json.dumps(
        [property_change("dealname", "cut \ud83d"), property_change("dealname", "whole \ud83d\ude00 \\ud83d")]
    )

    names = [one.event["data"]["name"] for one in outcome("hubspot", body.encode())]

    assert names == ["cut \ufffd", "whole \U0001f600 \\ud83d"]


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_same_delivery_twice_gives_the_same_events(name: str) -> None:
    for document in GOOD[name]:
        body = json.dumps(document).encode()
        assert outcome(name, body) == outcome(name, body)
        assert outcome(name, body), "the fixture is a good one"


@given(st.randoms(use_true_random=False))
def test_one_history_in_any_order_and_any_batches_gives_the_same_set_of_events(random: Random) -> None:
    changes = [
        property_change("amount", str(n), objectId=n % 5, eventId=n, occurredAt=1_772_676_669_120 + n)
        for n in range(20)
    ]
    told_once = {one.value for one in outcome("hubspot", json.dumps(changes).encode())}

    again = changes + random.choices(changes, k=5)
    random.shuffle(again)
    cut = random.randrange(len(again))
    deliveries = [again[:cut], [change | {"attemptNumber": 2} for change in again[cut:]]]
    told = {one.value for part in deliveries for one in outcome("hubspot", json.dumps(part).encode())}

    assert told == told_once

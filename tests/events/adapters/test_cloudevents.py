import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.cloudevents import batch as batched
from events.adapters.cloudevents import binary, structured
from events.errors import BadEventError

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "9f0c",
    "source": "/crm/acme",
    "type": "dealpulse.opportunity.changed",
    "subject": "opp-4711",
    "time": "2026-11-23T09:30:00+08:00",
    "data": {"stage": "Proposal", "amount": "12500.00", "currency": "TWD"},
}


def test_a_structured_event_goes_on_byte_for_byte() -> None:
    body = json.dumps(EVENT, indent=1).encode()
    (event,) = structured(body)

    assert (event.topic, event.subject, event.value) == ("crm.opportunity", "opp-4711", body)


def test_a_batch_keeps_its_order_and_bytes() -> None:
    other = EVENT | {"type": "dealpulse.account.deleted", "subject": "acc-1", "data": None}
    events = batched(json.dumps([EVENT, other]).encode())

    assert [(one.topic, one.subject) for one in events] == [
        ("crm.opportunity", "opp-4711"),
        ("crm.account", "acc-1"),
    ]
    assert json.loads(events[0].value) == EVENT
    assert batched(b"[]") == []


def test_one_bad_event_refuses_the_batch_and_is_named() -> None:
    bad = EVENT | {"data": {"amount": "many"}}

    with pytest.raises(BadEventError, match=r"^\[1\]\.data\.amount: ") as refused:
        batched(json.dumps([EVENT, bad, EVENT]).encode())
    assert (refused.value.reason, refused.value.path) == ("invalid_data", "[1].data.amount")


def test_binary_mode_has_the_attributes_in_headers() -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items() if name != "data"}
    headers |= {"ce-subject": "opp%204711%E9%BE%8D", "content-type": "application/json", "user-agent": "x"}
    (event,) = binary(json.dumps(EVENT["data"]).encode(), headers)

    assert event.subject == "opp 4711龍"
    assert event.event["data"] == EVENT["data"]
    assert event.event["datacontenttype"] == "application/json"


def test_binary_mode_without_a_body_has_no_data() -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items() if name != "data"}
    headers["ce-type"] = "dealpulse.opportunity.deleted"

    assert "data" not in binary(b"", headers)[0].event


def test_a_resync_goes_to_the_topic_that_is_named() -> None:
    body = json.dumps(EVENT | {"type": "dealpulse.resync.completed", "subject": "*", "data": {}}).encode()

    assert structured(body, topic="crm.contract")[0].topic == "crm.contract"
    with pytest.raises(BadEventError, match="topic"):
        structured(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed"),
        (b"[", "malformed"),
        (b"[]", "malformed"),
        (b"{}", "invalid_envelope"),
        (json.dumps(EVENT | {"type": "order.created"}).encode(), "unknown_type"),
        (json.dumps(EVENT | {"time": "2026-11-23"}).encode(), "invalid_envelope"),
        (json.dumps(EVENT | {"data": {"amount": True}}).encode(), "invalid_data"),
        (json.dumps(EVENT | {"pad": "x" * 1_048_576}).encode(), "malformed"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadEventError) as refused:
        structured(body)

    assert refused.value.reason == reason


@given(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["ce-id", "ce-type", "ce-time", "content-type"]), st.text()),
)
def test_any_bytes_are_events_or_a_refusal(body: bytes, headers: dict[str, str]) -> None:
    for read in (structured, batched, partial(binary, headers=headers)):
        try:
            read(body)
        except BadEventError:
            pass

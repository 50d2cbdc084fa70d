"""What is a good event, what is a bad one, and what is said of it: events.md, "Bad input", line by line."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.canonical import canonical, document, encode, order_key
from events.errors import BadEventError
from events.event import Event
from events.examples import EXAMPLES
from events.reader import inspect, read
from events.topics import TYPES, topic_of
from tests.events.documents import Exact, documents, dump, spoiled

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "9f0c",
    "source": "/crm/acme",
    "type": "dealpulse.opportunity.changed",
    "subject": "opp-4711",
    "time": "2026-11-23T09:30:00+08:00",
    "datacontenttype": "application/json",
    "data": {"stage": "Proposal", "amount": "12500.00", "currency": "TWD"},
}


def refused(value: bytes | None, topic: str = "crm.opportunity") -> BadEventError:
    with pytest.raises(BadEventError) as caught:
        read(value, topic)
    return caught.value


def read_or_refuse(value: bytes) -> Event | BadEventError:
    try:
        return read(value)
    except BadEventError as error:
        return error


def with_data(**data: Any) -> bytes:
    return dump(GOOD | {"data": GOOD["data"] | data})


def contract(**data: Any) -> bytes:
    return dump(GOOD | {"type": "dealpulse.contract.changed", "data": data})


def test_the_example_of_the_contract_reads_as_it_says() -> None:
    event = read(dump(GOOD), "crm.opportunity")

    assert (event.entity, event.verb, event.subject) == ("opportunity", "changed", "opp-4711")
    assert (event.source, event.id, event.sequence) == ("/crm/acme", "9f0c", "")
    assert event.time_ns == 848_712_600 * 10**9  # 2026-11-23T01:30:00Z
    assert not event.complete
    assert event.recorded_ms is None
    assert event.data == {"stage": "Proposal", "amount": Decimal(12500), "currency": "TWD"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"\xff", "not UTF-8: byte 0 is 0xff"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{", "not JSON: Expecting property name"),
        (b"{} {}", "not JSON: Extra data"),
        (b"[]", "expected a JSON object"),
        (b'"text"', "expected a JSON object"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": "\n"}', "not JSON: Invalid control character"),
        (b"{" + b" " * 1_048_576, "1048577 bytes; an event has at most 1048576"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "more than 64 deep"),
        (b'{"a":' * 100_000, "more than 64 deep"),
        (b"[" * 100_000, "more than 64 deep"),
    ],
)
def test_what_is_no_json_object_is_malformed(value: bytes | None, said: str) -> None:
    error = refused(value)

    assert error.reason == "malformed"
    assert said in str(error)


def test_brackets_in_texts_do_not_count_as_depth() -> None:
    value = dump(GOOD | {"data": {"name": '\\"{' + "[{" * 100}})

    assert read(value, "crm.opportunity").data["name"].startswith('\\"{[{')


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"specversion": "0.3"}, "specversion", "Input should be '1.0'"),
        ({"specversion": None}, "specversion", "Input should be '1.0'"),
        ({"id": ""}, "id", "at least 1 character"),
        ({"id": "x" * 256}, "id", "at most 255 characters"),
        ({"id": 7}, "id", "valid string"),
        ({"id": "a\x00"}, "id", "control character U+0000"),
        ({"source": "a\x9f"}, "source", "control character U+009F"),
        ({"subject": "a\ufdd0"}, "subject", "U+FDD0"),
        ({"subject": "\ud800"}, "subject", "valid string"),
        ({"subject": None}, "subject", "valid string"),
        ({"sequence": 7}, "sequence", "valid string"),
        ({"sequence": ""}, "sequence", "at least 1 character"),
        ({"type": 7}, "type", "valid string"),
        ({"time": None}, "time", "expected an RFC 3339 instant with offset, as text"),
        ({"time": 1772676669120}, "time", "expected an RFC 3339 instant with offset, as text"),
        ({"time": "2026-11-23T09:30:00"}, "time", "no offset from UTC"),
        ({"time": "2026-11-23"}, "time", "no offset from UTC"),
        ({"time": "2026-11-23T09:30:60Z"}, "time", "leap seconds"),
        ({"time": "2026-11-23T24:00:00Z"}, "time", "no time of day 24:00:00"),
        ({"time": "2026-02-30T00:00:00Z"}, "time", "no day 2026-02-30"),
        ({"time": "2026-11-23T09:30:00+24:00"}, "time", "no offset +24:00"),
        ({"time": "2026-11-23 09:30:00Z"}, "time", "no RFC 3339 instant"),
        ({"time": "1969-12-31T23:59:59Z"}, "time", "outside 1970 to 2099"),
        ({"time": "2100-01-01T00:00:00Z"}, "time", "outside 1970 to 2099"),
        ({"recordedtime": "yesterday"}, "recordedtime", "no RFC 3339 instant"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "application/json"),
        ({"data_base64": "e30="}, "data_base64", "as JSON, in `data`"),
    ],
)
def test_a_wrong_attribute_is_an_invalid_envelope(changes: Any, path: str, said: str) -> None:
    error = refused(dump(GOOD | changes))

    assert (error.reason, error.path) == ("invalid_envelope", path)
    assert said in str(error)


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type", "subject", "time"])
def test_a_missing_attribute_is_an_invalid_envelope(attribute: str) -> None:
    error = refused(dump({name: value for name, value in GOOD.items() if name != attribute}))

    assert (error.reason, error.path) == ("invalid_envelope", attribute)


def test_an_attribute_that_is_null_is_absent() -> None:
    value = dump(
        GOOD | {"sequence": None, "recordedtime": None, "datacontenttype": None, "data_base64": None}
    )

    assert read(value, "crm.opportunity") == read(dump(GOOD), "crm.opportunity")


@pytest.mark.parametrize(
    ("type_", "topic"),
    [
        ("com.example.order", "crm.opportunity"),
        ("opportunity.changed", "crm.opportunity"),
        ("dealpulse.opportunity.completed", "crm.opportunity"),
        ("dealpulse.opportunity.changed", "crm.account"),
        ("dealpulse.contract.merged", "crm.contract"),
        ("dealpulse.target.restored", "sales.target"),
        ("dealpulse.fx_rate.deleted", "finance.fx_rate"),
    ],
)
def test_a_type_that_has_no_place_on_the_topic_is_an_unknown_type(type_: str, topic: str) -> None:
    error = refused(dump(GOOD | {"type": type_}), topic)

    assert (error.reason, error.path) == ("unknown_type", "type")
    assert topic in str(error)


def test_a_wrong_attribute_weighs_more_than_an_unknown_type() -> None:
    assert refused(dump(GOOD | {"type": "x", "time": "now"})).reason == "invalid_envelope"


@pytest.mark.parametrize("topic", [topic_of(entity) for entity in ("opportunity", "fx_rate", "target")])
def test_a_resync_has_its_place_on_every_topic(topic: str) -> None:
    value = dump(GOOD | {"type": "dealpulse.resync.required", "subject": "*", "data": {"reason": "gap"}})

    event = read(value, topic)

    assert (event.entity, event.verb, event.subject, event.data) == (
        "resync",
        "required",
        "*",
        {"reason": "gap"},
    )


@pytest.mark.parametrize(
    ("data", "path", "said"),
    [
        ({"stage": 3}, "data.stage", "valid string"),
        ({"stage": ""}, "data.stage", "at least 1 character"),
        ({"stage": "\ud800"}, "data.stage", "valid string"),
        ({"name": "x" * 256}, "data.name", "at most 255 characters"),
        ({"amount": True}, "data.amount", "expected a number or a decimal text"),
        ({"amount": [1]}, "data.amount", "expected a number or a decimal text"),
        ({"amount": "12,500.00"}, "data.amount", "no finite decimal"),
        ({"amount": "1_000"}, "data.amount", "no finite decimal"),
        ({"amount": "٣"}, "data.amount", "no finite decimal"),
        ({"amount": "NaN"}, "data.amount", "no finite decimal"),
        ({"amount": "1\n"}, "data.amount", "no finite decimal"),
        ({"amount": Exact("1e9999")}, "data.amount", "out of range"),
        ({"amount": Exact("1e99999999999999999999")}, "data.amount", "finite"),
        ({"amount": Exact("1e-101")}, "data.amount", "more than 100 digits"),
        ({"amount": Exact("9" * 5000)}, "data.amount", "out of range"),
        ({"amount": "100000000000.01"}, "data.amount", "at most 100000000000 TWD"),
        ({"amount": 10**13 + 1, "currency": "JPY"}, "data.amount", "at most 10000000000000 JPY"),
        ({"amount": 10**13 + 1, "currency": None}, "data.amount", "no stated currency"),
        ({"currency": "twd"}, "data.currency", "no currency of ISO 4217"),
        ({"currency": "XXX"}, "data.currency", "no currency of ISO 4217"),
        ({"created_at": "2026-11-23"}, "data.created_at", "no offset"),
        ({"close_date": "2026-11-31"}, "data.close_date", "no day 2026-11-31"),
        ({"close_date": "2026-W01-1"}, "data.close_date", "no date"),
        ({"close_date": "2026-11-23T00:00:00Z"}, "data.close_date", "no date"),
        ({"close_date": 20261123}, "data.close_date", "as text"),
        ({"type": "upsell"}, "data.type", "'new', 'expansion', 'cross_sell' or 'renewal'"),
        ({"probability": 1.1}, "data.probability", "from 0 to 1"),
        ({"probability": "40 %"}, "data.probability", "no finite decimal"),
        ({"forecast_category": "upside"}, "data.forecast_category", "best_case"),
        ({"complete": "yes"}, "data.complete", "valid boolean"),
    ],
)
def test_a_field_of_the_wrong_type_is_invalid_data(data: Any, path: str, said: str) -> None:
    error = refused(with_data(**data))

    assert (error.reason, error.path) == ("invalid_data", path)
    assert said in str(error)


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_data_that_is_no_object_is_invalid(data: Any) -> None:
    error = refused(dump(GOOD | {"data": data}))

    assert (error.reason, error.path) == ("invalid_data", "data")
    assert "expected a JSON object" in str(error)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (contract(start_date="2026-02-02", end_date="2026-02-01"), "data.end_date"),
        (
            contract(ramp=[{"start_date": "2026-02-02", "end_date": "2026-02-01", "amount": 1}]),
            "data.ramp.0.end_date",
        ),
        (contract(ramp=[]), "data.ramp"),
        (contract(ramp=[{"start_date": "2026-02-02", "end_date": "2026-02-03"}]), "data.ramp.0.amount"),
        (
            contract(
                currency="JPY",
                ramp=[{"start_date": "2026-02-02", "end_date": "2026-02-03", "amount": "1e14"}],
            ),
            "data.ramp.0.amount",
        ),
        (contract(one_time_amount="1e14"), "data.one_time_amount"),
        (contract(recurring_per="week"), "data.recurring_per"),
        (contract(trial="true"), "data.trial"),
    ],
)
def test_a_contract_that_contradicts_itself_is_invalid_data(value: bytes, path: str) -> None:
    error = refused(value, "crm.contract")

    assert (error.reason, error.path) == ("invalid_data", path)


@pytest.mark.parametrize(
    ("type_", "subject", "data", "reason", "path"),
    [
        ("target.changed", "rep:4/2026-Q5", {}, "invalid_envelope", "subject"),
        ("target.changed", "2026", {}, "invalid_envelope", "subject"),
        ("target.deleted", "nobody", {}, "invalid_envelope", "subject"),
        ("target.changed", "company/2026", {"wins": 2.5}, "invalid_data", "data.wins"),
        ("target.changed", "company/2026", {"wins": -1}, "invalid_data", "data.wins"),
        ("fx_rate.changed", "EUR-USD", {"rate": "1"}, "invalid_envelope", "subject"),
        ("fx_rate.changed", "EUR/EUR/2026-11-23", {"rate": "1"}, "invalid_envelope", "subject"),
        ("fx_rate.changed", "EUR/USD/2026-11-31", {"rate": "1"}, "invalid_envelope", "subject"),
        ("fx_rate.changed", "EUR/USX/2026-11-23", {"rate": "1"}, "invalid_data", "subject"),
        ("fx_rate.changed", "EUR/USD/2026-11-23", {"base": "USD"}, "invalid_data", "data.base"),
        ("fx_rate.changed", "EUR/USD/2026-11-23", {"quote": None}, "invalid_data", "data.quote"),
        ("fx_rate.changed", "EUR/USD/2026-11-23", {"date": "2026-11-24"}, "invalid_data", "data.date"),
        ("fx_rate.changed", "EUR/USD/2026-11-23", {"rate": 0}, "invalid_data", "data.rate"),
        ("fx_rate.changed", "EUR/USD/2026-11-23", {"rate": "1e16"}, "invalid_data", "data.rate"),
        ("account.merged", "a", {}, "invalid_data", "data.into"),
        ("account.merged", "a", {"into": None}, "invalid_data", "data.into"),
        ("activity.completed", "a", {"with": "friend"}, "invalid_data", "data.with"),
        ("employee.changed", "a", {"aliases": ["005B7"]}, "invalid_data", "data.aliases.0"),
        ("employee.changed", "a", {"aliases": "s:005B7"}, "invalid_data", "data.aliases"),
        ("employee.deleted", "a", "text", "invalid_data", "data"),
        ("resync.required", "*", {"reason": 7}, "invalid_data", "data.reason"),
    ],
)
def test_each_type_has_its_own_rules(type_: str, subject: str, data: Any, reason: str, path: str) -> None:
    entity, _, _ = type_.partition(".")
    topic = "crm.account" if entity == "resync" else topic_of(entity)

    error = refused(dump(GOOD | {"type": f"dealpulse.{type_}", "subject": subject, "data": data}), topic)

    assert (error.reason, error.path) == (reason, path)


def test_a_rate_knows_its_currencies_and_day_from_its_subject() -> None:
    said = {
        "type": "dealpulse.fx_rate.changed",
        "subject": "EUR/USD/2026-11-23",
        "data": {"rate": Exact("1.10")},
    }

    event = read(dump(GOOD | said), "finance.fx_rate")

    assert event.data == {"base": "EUR", "quote": "USD", "date": date(2026, 11, 23), "rate": Decimal("1.1")}


def test_absent_null_and_stated_are_three_things() -> None:
    event = read(dump(GOOD | {"data": {"stage": None, "amount": 0}}), "crm.opportunity")

    assert event.data == {"stage": None, "amount": Decimal(0)}


def test_unknown_names_are_ignored_and_told() -> None:
    reading = inspect(with_data(health="good", score={"a": [1]}), "crm.opportunity")

    assert reading.unknown == ("health", "score")
    assert reading.event == read(dump(GOOD), "crm.opportunity")


def test_a_deletion_needs_no_data_and_reads_none() -> None:
    value = dump(GOOD | {"type": "dealpulse.opportunity.deleted", "data": {"stage": 7, "complete": True}})

    reading = inspect(value, "crm.opportunity")

    assert reading.event.data == {}
    assert not reading.event.complete
    assert reading.unknown == ()


def test_a_name_that_stands_twice_counts_with_its_last_value() -> None:
    value = dump(GOOD).replace(b'"stage": "Proposal"', b'"stage": 7, "stage": "Won"')

    assert read(value, "crm.opportunity").data["stage"] == "Won"


@pytest.mark.parametrize(
    ("stated", "read_as"),
    [
        (Exact("12500.10"), "12500.1"),
        (Exact("1.25e4"), "12500"),
        (Exact("-0.0"), "0"),
        ("-0", "0"),
        (Exact("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        ("007.50", "7.5"),
        (12, "12"),
    ],
)
def test_a_number_is_read_to_its_last_digit(stated: Any, read_as: str) -> None:
    amount = read(with_data(amount=stated), "crm.opportunity").data["amount"]

    assert str(amount) == read_as


@pytest.mark.parametrize(
    ("stated", "read_as"), [("0.1234565", "0.123456"), ("0.1234575", "0.123458"), (Exact("0.30"), "0.3")]
)
def test_a_probability_is_read_to_six_decimals(stated: Any, read_as: str) -> None:
    assert str(read(with_data(probability=stated), "crm.opportunity").data["probability"]) == read_as


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2000-01-01T00:00:00Z", 0),
        ("2000-01-01t00:00:00.000000001z", 1),
        ("2000-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1999-12-31T23:59:59.5-00:00", -500_000_000),
        ("2000-01-01T05:30:00+05:30", 0),
        ("1970-01-01T00:00:00Z", -946_684_800 * 10**9),
        ("1969-12-31T19:00:00-05:00", -946_684_800 * 10**9),
        ("2100-01-01T07:59:59.999999999999+08:00", 3_155_760_000 * 10**9 - 1),
    ],
)
def test_time_is_read_in_all_forms_of_rfc_3339(text: str, ns: int) -> None:
    assert read(dump(GOOD | {"time": text}), "crm.opportunity").time_ns == ns


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_of_each_type_is_good(type_: str) -> None:
    reading = inspect(json.dumps(EXAMPLES[type_]).encode())

    assert reading.unknown == ()
    assert (reading.event.entity, reading.event.verb) == TYPES[type_]


@given(documents())
def test_a_good_event_is_good_on_its_topic_and_reads_equal_when_written_again(said: Any) -> None:
    entity, _ = TYPES[said["type"]]

    event = read(dump(said), "crm.contract" if entity == "resync" else topic_of(entity))

    assert read(encode(event)) == event
    assert canonical(read(encode(event))) == canonical(event)
    assert document(read(encode(event))) == document(event)


@given(spoiled())
def test_a_spoiled_event_is_read_or_refused_with_a_reason(said: Any) -> None:
    outcome = read_or_refuse(dump(said))

    if isinstance(outcome, BadEventError):
        assert outcome.reason in ("invalid_envelope", "unknown_type", "invalid_data")
        assert str(outcome).encode()
    else:
        assert read(encode(outcome)) == outcome


@given(documents(), st.permutations(range(6)))
def test_the_order_of_names_and_the_spaces_between_mean_nothing(said: Any, order: list[int]) -> None:
    names = list(said)
    shuffled = {names[i]: said[names[i]] for i in order} | said
    value = dump(shuffled).replace(b'{"', b' {\n\t"', 1)

    assert canonical(read(value)) == canonical(read(dump(said)))


@given(documents(), documents())
def test_two_events_of_equal_place_in_the_order_say_the_same(one: Any, other: Any) -> None:
    first, second = read(dump(one)), read(dump(other | {key: one[key] for key in ("id", "source", "time")}))

    if order_key(first) == order_key(second):
        assert (first.verb, first.complete, first.data) == (second.verb, second.complete, second.data)

"""What a publisher sends, without a broker: the values of Python become good events, bad ones are named."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_type_hints

import pytest
from hypothesis import given

from events import statements
from events.canonical import canonical
from events.errors import BadEventError, UsageError
from events.event import Event
from events.models import data_model
from events.reader import read
from events.statements import Record, Statements, record_of
from tests.events.documents import documents, dump

TAIPEI = timezone(timedelta(hours=8))
AT = datetime(2026, 11, 23, 9, 30, tzinfo=TAIPEI)


class Told(Statements[Record]):
    """A publisher that gives back what Kafka would get."""

    source = "/crm/acme"

    def publish(self, said: Mapping[str, Any] | Event, *, topic: str | None = None) -> Record:
        return record_of(said, topic)


crm = Told()


def test_an_opportunity_is_sent_to_its_topic_under_its_subject() -> None:
    record = crm.opportunity(
        "opp-4711",
        time=AT,
        stage="Proposal",
        amount=Decimal("12500.00"),
        currency="TWD",
        close_date=date(2026, 12, 18),
    )

    assert (record.topic, record.key) == ("crm.opportunity", b"opp-4711")
    assert record.headers == [("content-type", b"application/cloudevents+json")]
    said = json.loads(record.value)
    assert said.pop("id")
    assert said == {
        "specversion": "1.0",
        "source": "/crm/acme",
        "type": "dealpulse.opportunity.changed",
        "subject": "opp-4711",
        "time": "2026-11-23T09:30:00+08:00",
        "datacontenttype": "application/json",
        "data": {"stage": "Proposal", "amount": "12500.00", "currency": "TWD", "close_date": "2026-12-18"},
    }


def test_a_field_not_given_is_unchanged_and_none_clears_it() -> None:
    assert crm.opportunity("o", time=AT, stage=None).event.data == {"stage": None}


def test_saying_the_same_again_is_the_same_event() -> None:
    once = crm.account("a", time=AT, name="Kestrel Books")
    again = crm.account("a", time=AT.astimezone(UTC), name="Kestrel Books")
    other = crm.account("a", time=AT, name="Kestrel")

    assert once.event.id == again.event.id != other.event.id


def test_what_is_said_of_two_entities_is_two_events() -> None:
    ids = {crm.deleted(entity, "x", time=AT).event.id for entity in ("opportunity", "contract", "account")}

    assert len(ids) == 3


def test_attributes_can_be_given() -> None:
    record = crm.opportunity(
        "o",
        time="2026-11-23T09:30:00Z",
        id="7",
        source="/other",
        sequence="00000000000000000012",
        recordedtime=AT,
    )

    event = record.event
    assert (event.id, event.source, event.sequence) == ("7", "/other", "00000000000000000012")
    assert event.recorded_ms == event.time_ms - 8 * 3_600_000


def test_every_entity_has_its_method() -> None:
    records = [
        crm.contract(
            "c",
            time=AT,
            currency="TWD",
            ramp=[{"start_date": date(2026, 1, 1), "end_date": date(2026, 6, 30), "amount": 12.5}],
        ),
        crm.activity("a", time=AT, rep_id="emp-7", kind="call", with_="customer", completed_at=AT),
        crm.employee("e", time=AT, aliases=("/crm/acme:005B7",), hired_on=date(2025, 9, 1), on_leave=False),
        crm.target("rep:emp-7/2026-Q4", time=AT, amount=3_000_000, currency="TWD", wins=12),
        crm.fx_rate("EUR", "USD", date(2026, 11, 23), "1.1524", time=AT),
        crm.restored("account", "a", time=AT),
        crm.merged("account", "a", into="b", time=AT),
        crm.resync_required("contract", reason="the source was away", time=AT),
        crm.resync_completed("contract", time=AT),
    ]

    assert [record.topic for record in records] == [
        "crm.contract",
        "crm.activity",
        "hr.employee",
        "sales.target",
        "finance.fx_rate",
        "crm.account",
        "crm.account",
        "crm.contract",
        "crm.contract",
    ]
    assert records[1].event.data["with"] == "customer"
    assert records[4].key == b"EUR/USD/2026-11-23"
    assert records[7].key == b"*"


def test_a_bad_event_is_named_before_it_is_sent() -> None:
    with pytest.raises(BadEventError) as caught:
        crm.opportunity("opp-4711", time=AT, id="7", amount="12,500", currency="TWD")

    assert (caught.value.reason, caught.value.path) == ("invalid_data", "data.amount")
    assert "data.amount: '12,500' is no finite decimal" in str(caught.value)
    assert "in dealpulse.opportunity.changed of 'opp-4711' (id '7')" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"time": datetime(2026, 11, 23)}, "time"),
        ({"time": AT, "created_at": datetime(2026, 11, 23)}, "created_at"),
    ],
)
def test_a_datetime_without_a_zone_is_refused(fields: Any, path: str) -> None:
    with pytest.raises(BadEventError, match="has no zone") as caught:
        crm.opportunity("o", **fields)

    assert caught.value.path == path


@pytest.mark.parametrize("value", [object(), float("nan"), b"bytes"])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(BadEventError):
        crm.opportunity("o", time=AT, amount=value)


def test_half_a_surrogate_pair_is_refused_and_not_sent() -> None:
    with pytest.raises(BadEventError, match=r"data\.name"):
        crm.account("a", time=AT, name="\ud800")


def test_a_resync_as_a_document_needs_its_topic() -> None:
    said = json.loads(crm.resync_completed("contract", time=AT).value)

    with pytest.raises(UsageError, match="needs its topic"):
        crm.publish(said)


@given(documents())
def test_a_document_is_sent_as_it_stands_and_an_event_reads_equal(said: Any) -> None:
    event = read(dump(said))
    topic = "crm.account" if event.entity == "resync" else None

    assert canonical(record_of(event, topic).event) == canonical(event)


@pytest.mark.parametrize("entity", statements.FIELDS)
def test_the_methods_take_the_fields_of_the_models(entity: str) -> None:
    verb = "completed" if entity == "activity" else "changed"
    model = data_model(entity, verb)
    assert model is not None
    attributes = get_type_hints(statements.Attributes)
    taken = {
        name.removesuffix("_") for name in get_type_hints(statements.FIELDS[entity]) if name not in attributes
    }

    assert taken == set(model.wire_names())


@pytest.mark.parametrize(
    ("module", "allowed"), [("events.publisher", "kafka"), ("events.aio", ""), ("events.statements", "")]
)
def test_publishing_loads_neither_faust_nor_redis_nor_numpy(module: str, allowed: str) -> None:
    heavy = [
        "faust",
        "redis",
        "numpy",
        "aiokafka",
        "msgspec",
        "aiohttp",
        "prometheus_client",
        "pydantic_settings",
    ]
    code = f"import sys, {module}; print(*[name for name in {heavy!r} + ['kafka'] if name in sys.modules])"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.split() == ([allowed] if allowed else [])

import base64
import json
from typing import Any

import pytest

from events.adapters.settings import DebeziumSettings
from events.errors import BadEventError
from tests.events.adapters.payloads import T, debezium, told, translated

CRM = DebeziumSettings.model_validate(
    {
        "tables": {
            "deals": {
                "entity": "opportunity",
                "columns": {
                    "stage": "stage",
                    "amount": "amount",
                    "cur": "currency",
                    "owner": "owner_id",
                    "account": "account_id",
                    "closes_on": "close_date",
                    "created_at": "created_at",
                },
                "values": {"stage": {"demo": "Qualification", "proposal": "Proposal"}},
                "deleted_column": "deleted_at",
                "merged_into_column": "merged_into",
            },
            "calls.log": {"entity": "activity", "columns": {"who": "rep_id"}},
            "tasks": {
                "entity": "activity",
                "columns": {"who": "rep_id"},
                "shown_column": "state",
                "shown_values": ["done"],
            },
        }
    }
)


def data_of(**columns: Any) -> dict[str, Any]:
    """What is stated of a row that is inserted with these columns."""
    return told(CRM, debezium("c", None, {"id": 5512} | columns))[0][2]


def test_an_update_with_before_states_what_differs() -> None:
    body = debezium(
        "u",
        {"id": 5512, "stage": "demo", "amount": "150000.00", "owner": 3},
        {"id": 5512, "stage": "proposal", "amount": "171000.00", "owner": 3},
    )

    assert told(CRM, body) == [("opportunity.changed", "5512", {"stage": "Proposal", "amount": "171000.00"})]


def test_the_envelope_is_the_one_of_the_table() -> None:
    (event, _) = translated(CRM, debezium("c", None, {"id": 5512, "stage": "demo"}))

    assert event.event["source"] == "/debezium/crm/crm"
    assert event.event["id"] == "deals:5512:00000000000024023128.00000000000000000811"
    assert event.event["time"] == T
    assert event.event["sequence"] == "00000000000024023128.00000000000000000811"


def test_an_update_without_before_states_all() -> None:
    assert told(CRM, debezium("u", None, {"id": 5512, "stage": "demo", "owner": 3}))[0][2] == {
        "stage": "Qualification",
        "owner_id": "3",
    }


def test_an_update_of_nothing_that_is_mapped_says_nothing() -> None:
    assert told(CRM, debezium("u", {"id": 5512, "note": "a"}, {"id": 5512, "note": "b"})) == []


def test_a_column_that_became_null_was_cleared() -> None:
    assert told(CRM, debezium("u", {"id": 5512, "amount": "5"}, {"id": 5512, "amount": None}))[0][2] == {
        "amount": None
    }


def test_a_snapshot_read_is_a_full_statement() -> None:
    body = debezium("r", None, {"id": 5512, "stage": "demo", "amount": None}, snapshot="first")

    assert told(CRM, body) == [
        ("opportunity.changed", "5512", {"stage": "Qualification", "amount": None, "complete": True})
    ]


def test_a_row_deleted_in_its_own_column_stays_dead_behind_a_snapshot() -> None:
    events = translated(CRM, debezium("r", None, {"id": 5512, "stage": "demo", "deleted_at": 1772676669120}))

    assert [one.event["type"] for one in events] == [
        "dealpulse.opportunity.changed",
        "dealpulse.opportunity.deleted",
    ]
    assert events[0].event["id"] < events[1].event["id"]


def test_a_truncation_asks_for_a_resync_of_everything() -> None:
    prefixed = CRM.model_copy(update={"id_prefix": "db-"})
    (event,) = translated(prefixed, debezium("t", None, None))

    assert (event.topic, event.subject, event.resync) == ("crm.opportunity", "*", True)


def test_a_deletion_and_the_tombstone_behind_it() -> None:
    assert told(CRM, debezium("d", {"id": 5512, "stage": None}, None)) == [
        ("opportunity.deleted", "5512", {})
    ]
    assert translated(CRM, b"") == []
    assert translated(CRM, b"null") == []
    assert translated(CRM, {"schema": None, "payload": None}) == []


@pytest.mark.parametrize(
    "key", [b'{"id":5512}', b'{"schema":{"type":"struct"},"payload":{"id":5512}}', b"5512"]
)
def test_a_deletion_without_before_takes_the_key_of_the_record(key: bytes) -> None:
    assert told(CRM, debezium("d", None, None), key=key) == [("opportunity.deleted", "5512", {})]


def test_marks_of_deletion_and_merging_in_columns() -> None:
    row = {"id": 1, "deleted_at": None, "merged_into": None}

    assert told(CRM, debezium("u", row, row | {"deleted_at": "2026-03-05"})) == [
        ("opportunity.deleted", "1", {})
    ]
    assert told(CRM, debezium("u", row | {"deleted_at": "2026-03-05"}, row)) == [
        ("opportunity.restored", "1", {})
    ]
    assert told(CRM, debezium("u", row, row | {"merged_into": 2})) == [
        ("opportunity.merged", "1", {"into": "2"})
    ]
    assert told(CRM, debezium("u", row | {"merged_into": 2}, row)) == [("opportunity.restored", "1", {})]


def test_an_insertion_revives_since_a_replaced_row_is_deleted_and_inserted_anew() -> None:
    row = {"id": 1, "stage": "demo", "deleted_at": None}

    assert told(CRM, debezium("c", None, row)) == [
        ("opportunity.changed", "1", {"stage": "Qualification"}),
        ("opportunity.restored", "1", {}),
    ]
    assert [kind for kind, _, _ in told(CRM, debezium("c", None, row | {"deleted_at": 5}))] == [
        "opportunity.changed",
        "opportunity.deleted",
    ]
    assert [kind for kind, _, _ in told(CRM, debezium("c", None, row | {"merged_into": 2}))] == [
        "opportunity.changed",
        "opportunity.merged",
    ]


def test_a_row_that_does_not_count_yet_is_hidden() -> None:
    planned, done = {"id": 1, "who": 7, "state": "planned"}, {"id": 1, "who": 7, "state": "done"}

    assert told(CRM, debezium("c", None, planned, table="tasks")) == [
        ("activity.completed", "1", {"rep_id": "7"}),
        ("activity.deleted", "1", {}),
    ]
    assert told(CRM, debezium("u", planned, done, table="tasks")) == [("activity.restored", "1", {})]


def test_an_unchanged_toast_column_is_absent() -> None:
    mark = "__debezium_unavailable_value"
    body = debezium(
        "u",
        None,
        {"id": 5512, "stage": mark, "owner": base64.b64encode(mark.encode()).decode(), "amount": "5"},
    )

    assert told(CRM, body)[0][2] == {"amount": "5"}
    listed = debezium("u", None, {"id": 5512, "stage": [mark], "amount": "5"})
    assert told(CRM, listed)[0][2] == {"amount": "5"}


def test_decimals_as_text_numbers_structs_and_bytes() -> None:
    assert data_of(amount="171000.00") == {"amount": "171000.00"}
    assert data_of(amount=171000) == {"amount": "171000"}
    assert data_of(
        amount={"scale": 2, "value": base64.b64encode((17_100_000).to_bytes(4, "big")).decode()}
    ) == {"amount": "171000.00"}
    with pytest.raises(BadEventError, match=r"decimal\.handling\.mode=string"):
        data_of(amount="AQTsYA==")


def test_bytes_are_read_with_the_scale_of_the_schema() -> None:
    schema = {
        "type": "struct",
        "fields": [
            {
                "field": "after",
                "type": "struct",
                "fields": [
                    {"field": "id", "type": "int64"},
                    {
                        "field": "amount",
                        "type": "bytes",
                        "name": "org.apache.kafka.connect.data.Decimal",
                        "parameters": {"scale": "2", "connect.decimal.precision": "12"},
                    },
                    {"field": "closes_on", "type": "int32", "name": "io.debezium.time.Date"},
                    {"field": "created_at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
                ],
            }
        ],
    }
    # -1500.00 in two's complement; it would also pass for text, and "1234" would for a number
    row = {"id": 5512, "amount": "/bYQ", "closes_on": 20548, "created_at": 1772676669120000}

    (_, _, data) = told(CRM, {"schema": schema, "payload": debezium("c", None, row)})[0]

    assert data == {"amount": "-1500.00", "close_date": "2026-04-05", "created_at": T}
    digits = {"id": 5512, "amount": "1234"}
    assert told(CRM, {"schema": schema, "payload": debezium("c", None, digits)})[0][2]["amount"] == str(
        int.from_bytes(base64.b64decode("1234"), "big", signed=True) / 100
    )


def test_dates_come_as_days_text_or_instants() -> None:
    assert data_of(closes_on=20548) == {"close_date": "2026-04-05"}
    assert data_of(closes_on="2026-04-05") == {"close_date": "2026-04-05"}
    assert data_of(closes_on=1772726400000) == {"close_date": "2026-03-06"}  # the zone's day
    assert data_of(closes_on=1772726400000000) == {"close_date": "2026-03-06"}


def test_instants_come_in_any_unit() -> None:
    for value in (
        1772676669120,
        1772676669120000,
        1772676669120000000,
        "2026-03-05T02:11:09.120Z",
        "2026-03-05T10:11:09.12+08:00",
    ):
        assert data_of(created_at=value) == {"created_at": T}


@pytest.mark.parametrize(
    ("source", "sequence"),
    [
        ({"lsn": None, "file": "mysql-bin.000003", "pos": 154, "row": 2},
         "mysql-bin.00000000000000000003:00000000000000000154:00000000000000000002"),
        ({"lsn": None, "change_lsn": "0000002A:00000758:0003", "event_serial_no": 2},
         "0000002a:00000758:0003:00000000000000000002"),
        ({"lsn": None, "scn": "2122184", "ssn": 7}, "00000000000002122184.00000000000000000007"),
    ],
)  # fmt: skip
def test_positions_of_other_databases(source: dict[str, Any], sequence: str) -> None:
    (event, _) = translated(CRM, debezium("c", None, {"id": 1, "stage": "demo"}, **source))

    assert event.event["sequence"] == sequence


def test_positions_compare_as_text_in_the_order_of_the_log() -> None:
    def sequence(lsn: int) -> str:
        text: str = translated(CRM, debezium("c", None, {"id": 1, "stage": "x"}, lsn=lsn))[0].event[
            "sequence"
        ]
        return text

    assert sequence(999) < sequence(1000) < sequence(2**63)


def test_tables_may_be_named_with_their_schema() -> None:
    assert (
        told(CRM, debezium("c", None, {"id": 1, "who": 7}, table="log", schema="calls"))[0][0]
        == "activity.completed"
    )
    assert told(CRM, debezium("c", None, {"id": 1, "who": 7}, table="log")) == []


def test_a_repeat_after_a_crash_has_the_same_ids() -> None:
    body = debezium("u", {"id": 1, "stage": "a"}, {"id": 1, "stage": "b"})

    assert translated(CRM, body) == translated(CRM, body | {"ts_ms": 99})


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"source": {}},
        debezium("x", None, {"id": 1}),
        debezium("c", None, None),
        debezium("c", None, {"id": None}),
        debezium("c", None, {"id": 1, "amount": True}),
        debezium("c", None, {"id": 1}, lsn=None),
        debezium("c", None, {"id": 1}, at=-1),
        debezium("u", None, {"id": 1}) | {"before": []},
    ],
)
def test_what_cannot_be_read_is_refused(body: object) -> None:
    with pytest.raises(BadEventError):
        translated(CRM, json.dumps(body).encode())

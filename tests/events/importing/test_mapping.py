"""Mappings: what a row becomes, and what is said of a mapping or a cell that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.errors import ConfigurationError, UsageError
from events.importing import SHIPPED, Import, ImportMapping, Refusal, parse_mapping, shipped_mapping
from events.importing.mapping import Condition, EventSpec, FileSpec, Lookup
from events.importing.values import Number, Period, PlusMonths, Value
from events.reader import read

HEAD = """
source = "/import/test"
zone = "Asia/Taipei"
[formats]
us = ["%m/%d/%Y", "iso"]
[values.stage]
W = "Closed Won"
L = "Closed Lost"
[lookups.owner]
file = "people.csv"
key = "id"
value = "name"
[[files]]
path = "people.csv"
[[files]]
path = "deals.csv"
"""
EVENT = """
[[files.events]]
type = "opportunity.changed"
subject = "id"
time = { column = "day", instant = "us", at = "12:00" }
"""


def run(
    folder: Path, mapping: str, deals: str, people: str = "id,name\n7,Ada\n"
) -> tuple[list[Any], list[Refusal]]:
    (folder / "people.csv").write_text(people)
    (folder / "deals.csv").write_text(deals)
    steps = list(Import(folder, parse_mapping(HEAD + mapping, "test.toml")).steps())
    for step in steps:
        for event in step.events:
            assert read(event.value, event.topic).subject == event.key
    events = [json.loads(event.value) for step in steps for event in step.events]
    return events, [step.refusal for step in steps if step.refusal is not None]


def data(folder: Path, fields: str, deals: str) -> Any:
    """The data of the one event that one row gives."""
    events, refused = run(folder, f"{EVENT}[files.events.data]\n{fields}", deals)
    assert refused == []
    assert len(events) == 1
    return events[0]["data"]


def reason(folder: Path, fields: str, deals: str) -> str:
    events, refused = run(folder, f"{EVENT}[files.events.data]\n{fields}", deals)
    assert events == []
    return refused[0].reason


def test_an_event_says_what_its_row_says(tmp_path: Path) -> None:
    events, _ = run(
        tmp_path, EVENT + '[files.events.data]\nname = "what"\n', "id,day,what\nd1,3/1/2026,Dolls\n"
    )

    assert events == [
        {
            "specversion": "1.0",
            "id": events[0]["id"],
            "source": "/import/test",
            "type": "dealpulse.opportunity.changed",
            "subject": "d1",
            "time": "2026-03-01T12:00:00.000+08:00",
            "recordedtime": "2026-03-01T12:00:00.000+08:00",
            "datacontenttype": "application/json",
            "data": {"name": "Dolls"},
        }
    ]


@pytest.mark.parametrize(
    ("field", "cell", "expected"),
    [
        ('name = "x"', "", {}),
        ('name = { column = "x", empty = "null" }', "", {"name": None}),
        ("created_at = { null = true }", "", {"created_at": None}),
        ('name = { constant = "fixed" }', "", {"name": "fixed"}),
        ('name = { template = "{x} of {id}" }', "a", {"name": "a of d1"}),
        ('name = { first_of = [{ template = "{x} of {id}" }, "id"] }', "", {"name": "d1"}),
        ('stage = { column = "x", values = "stage" }', "W", {"stage": "Closed Won"}),
        ('stage = { column = "x", values = "stage" }', "Other", {"stage": "Other"}),
        ('type = { column = "x", values = { N = "new" }, otherwise = "absent" }', "?", {}),
        ('type = { column = "x", values = { N = "new" }, otherwise = "null" }', "?", {"type": None}),
        ('owner_id = { column = "x", lookup = "owner" }', "7", {"owner_id": "Ada"}),
        ('amount = { column = "x", number = true }', '"1,234.50"', {"amount": "1234.50"}),
        (
            'amount = { column = "x", number = { point = ",", thousands = "." } }',
            '"1.234,5"',
            {"amount": "1234.5"},
        ),
        ('probability = { column = "x", percent = true }', "75", {"probability": "0.75"}),
        ('close_date = { column = "x", date = "us" }', "02/28/2026", {"close_date": "2026-02-28"}),
        ('close_date = { column = "x", date = "us" }', "2026-02-28", {"close_date": "2026-02-28"}),
        (
            'close_date = { column = "x", date = "iso", plus_months = { column = "day", less_days = 1 } }',
            "2026-01-31",
            None,
        ),
        (
            'created_at = { column = "x", instant = "iso" }',
            "2026-01-01T00:00:00Z",
            {"created_at": "2026-01-01T00:00:00.000+00:00"},
        ),
        (
            'created_at = { column = "x", instant = "epoch_ms" }',
            "1772676669120",
            {"created_at": "2026-03-05T02:11:09.120+00:00"},
        ),
        ('name = { column = "x", after = "/" }', "a/b/c", {"name": "c"}),
        ('account_id = { column = "x", starts_with = "001" }', "006A", {}),
    ],
)
def test_a_cell_becomes_a_field(
    tmp_path: Path, field: str, cell: str, expected: dict[str, Any] | None
) -> None:
    deals = f"id,day,x\nd1,3/1/2026,{cell}\n"
    if expected is None:
        assert "is no number of months" in reason(tmp_path, field, deals)
    else:
        assert data(tmp_path, field, deals) == expected


def test_months_are_added_and_the_last_day_is_inside(tmp_path: Path) -> None:
    field = 'close_date = { column = "x", date = "iso", plus_months = { column = "term", less_days = 1 } }'

    said = data(tmp_path, field, "id,day,x,term\nd1,3/1/2026,2026-03-15,12\n")

    assert said == {"close_date": "2027-03-14"}


@pytest.mark.parametrize(
    ("field", "row", "told"),
    [
        ('name = "x"', ",3/1/2026,a", "subject is empty (column id)"),
        ('name = "x"', "d1,yesterday,a", "time (column day): 'yesterday' is not written as %m/%d/%Y or iso"),
        ('name = { column = "x", empty = "reject" }', "d1,3/1/2026,", "name (column x): is empty"),
        (
            'stage = { column = "x", values = "stage", otherwise = "reject" }',
            "d1,3/1/2026,Z",
            "stage (column x): 'Z' is not among",
        ),
        (
            'amount = { column = "x", number = true }',
            "d1,3/1/2026,lots",
            "amount (column x): 'lots' is no number",
        ),
        (
            'amount = { column = "x", number = true }',
            "d1,3/1/2026,NaN",
            "amount (column x): 'NaN' is no number",
        ),
        ('close_date = "x"', "d1,3/1/2026,2026-02-30", "opportunity.changed: data.close_date"),
    ],
)
def test_a_bad_cell_is_named_with_its_column(tmp_path: Path, field: str, row: str, told: str) -> None:
    assert told in reason(tmp_path, field, f"id,day,x\n{row}\n")


def test_a_bad_row_costs_all_its_events_and_no_other_row(tmp_path: Path) -> None:
    twice = EVENT + '[files.events.data]\nname = "x"\n' + EVENT + '[files.events.data]\nclose_date = "x"\n'

    events, refused = run(
        tmp_path, twice, "id,day,x\nd1,3/1/2026,2026-01-01\nd2,3/1/2026,never\nd3,3/1/2026,2026-01-03\n"
    )

    assert [event["subject"] for event in events] == ["d1", "d1", "d3", "d3"]
    assert [refusal.line for refusal in refused] == [3]
    assert refused[0].text == "d2,3/1/2026,never"


def test_conditions_choose_the_events_of_a_row(tmp_path: Path) -> None:
    chosen = EVENT + 'when = [{ column = "x", present = true }, { column = "x", none_of = ["no"] }]\n'

    events, refused = run(tmp_path, chosen, "id,day,x\nd1,3/1/2026,\nd2,3/1/2026,no\nd3,3/1/2026,yes\n")

    assert [event["subject"] for event in events] == ["d3"]
    assert refused == []


def test_an_id_depends_on_what_is_said_alone(tmp_path: Path) -> None:
    deals = "id,day,x\nd1,3/1/2026,a\nd1,3/1/2026,a\nd1,3/1/2026,b\n"

    events, _ = run(tmp_path, EVENT + '[files.events.data]\nname = "x"\n', deals)

    assert events[0]["id"] == events[1]["id"] != events[2]["id"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("surce = 1\n" + HEAD, "unknown key surce; did you mean 'source'?"),
        (
            HEAD + EVENT.replace("opportunity.changed", "oportunity.changed"),
            "did you mean 'opportunity.changed'?",
        ),
        (HEAD + EVENT + '[files.events.data]\nstge = "x"', "has no field 'stge'; did you mean 'stage'?"),
        (
            HEAD + EVENT + '[files.events.data]\nstage = { colum = "x" }',
            "unknown key files.1.events.0.data.stage.colum",
        ),
        (
            HEAD + EVENT + '[files.events.data]\nstage = { column = "x", constant = "y" }',
            "give exactly one of column",
        ),
        (
            HEAD + EVENT + '[files.events.data]\nstage = { column = "x", values = "stages" }',
            "no [values.stages]; did you mean 'stage'?",
        ),
        (HEAD.replace("Asia/Taipei", "Asia/Taipeh"), "zone: 'Asia/Taipeh' is no IANA time zone"),
        (
            HEAD.replace('"people.csv"', '"persons.csv"', 1),
            "'persons.csv' is no path of [[files]]; did you mean 'people.csv'?",
        ),
        ('source = "/x"', "key files is missing"),
        ("source = ", "is no TOML"),
    ],
)
def test_a_wrong_mapping_names_file_key_found_and_allowed(wrong: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_mapping(wrong, "test.toml")
    assert "mapping test.toml" in str(error.value)
    assert told in str(error.value)


def test_a_column_that_the_file_has_not_is_a_fault_of_the_mapping(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"deals.csv: there is no column 'day'; did you mean 'days'\?"
    ):
        run(tmp_path, EVENT, "id,days,x\n")


def test_missing_files_are_told_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a\n")
    mapping = parse_mapping(HEAD + EVENT, "test.toml")

    with pytest.raises(UsageError, match=r"has no people.csv; it holds other.csv"):
        Import(tmp_path, mapping)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_mappings_are_good(name: str) -> None:
    mapping = shipped_mapping(name, source="/given", zone="Asia/Taipei")

    assert isinstance(mapping, ImportMapping)
    assert (mapping.source, mapping.zone) == ("/given", "Asia/Taipei")


def test_every_key_of_a_mapping_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "importing.md").read_text(encoding="utf-8")
    for model in (ImportMapping, FileSpec, EventSpec, Lookup, Condition, Value, Period, Number, PlusMonths):
        for name, field in model.model_fields.items():
            key = field.alias or name
            places = (f"`{key}`", f"[{key}", f"[{key}]", f"files.{key}]", f"{key} = ", f"`{key},")
            assert any(place in page for place in places), f"{model.__name__}.{key}"

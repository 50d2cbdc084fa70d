import json
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from events import schema
from events.examples import EXAMPLES
from events.topics import TOPICS, TYPES
from tests.events.documents import documents, dump
from tests.events.test_reader import GOOD

VALIDATORS = {type_: Draft202012Validator(schema.schema_of(type_)) for type_ in TYPES}


def test_the_files_are_what_the_models_say() -> None:
    assert schema.stale() == [], "run python -m events.schema"


@pytest.mark.parametrize("type_", TYPES)
def test_each_schema_is_one_and_takes_its_example(type_: str) -> None:
    Draft202012Validator.check_schema(schema.schema_of(type_))
    VALIDATORS[type_].validate(EXAMPLES[type_])


@given(documents())
def test_what_the_reader_takes_the_schema_takes(said: Any) -> None:
    VALIDATORS[said["type"]].validate(json.loads(dump(said)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"subject": "a\x00"},
        {"type": "dealpulse.contract.changed"},
        {"data": None},
        {"data": {"amount": "12,500"}},
        {"data": {"currency": "XXX"}},
        {"data": {"type": "upsell"}},
        {"data": {"probability": 2}},
        {"data": {"stage": 7}},
    ],
)
def test_what_a_schema_can_see_it_refuses(wrong: Any) -> None:
    assert not VALIDATORS["dealpulse.opportunity.changed"].is_valid(GOOD | wrong)


def test_null_is_no_default_and_titles_are_not_repeated() -> None:
    text = json.dumps(schema.schema_of("dealpulse.opportunity.changed"))

    assert '"default": null' not in text
    assert text.count('"title"') == 1


def test_a_field_named_title_would_stay() -> None:
    assert schema._clean({"properties": {"title": {"title": "Title", "type": "string"}}}) == {
        "properties": {"title": {"type": "string"}}
    }


def test_asyncapi_has_a_channel_per_topic_and_every_reference_leads_somewhere() -> None:
    document = schema.asyncapi()

    assert {channel["address"] for channel in document["channels"].values()} == set(TOPICS)
    assert {message["name"] for message in document["components"]["messages"].values()} == set(TYPES)
    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


@pytest.mark.parametrize("type_", TYPES)
def test_each_payload_in_asyncapi_takes_its_example(type_: str) -> None:
    document = schema.asyncapi()
    name = type_.removeprefix("dealpulse.").replace(".", "_")
    payload = document["components"]["messages"][name]["payload"]

    Draft202012Validator({**document, "$ref": f"#/components/messages/{name}/payload"}).validate(
        EXAMPLES[type_]
    )
    assert payload["title"] == type_


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for part in value.values() for each in references(part)]
    return [each for part in value for each in references(part)] if isinstance(value, list) else []


def test_the_command_writes_and_checks(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(schema, "FOLDER", tmp_path)
    assert schema.main(["--check"]) == 1
    assert "opportunity.changed.json is not current: run python -m events.schema" in capsys.readouterr().err

    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0

    (tmp_path / "stray.json").write_text("{}")
    assert schema.main(["--check"]) == 1
    assert schema.main(["--nonsense"]) == 2

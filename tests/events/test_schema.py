import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft7Validator, Draft202012Validator

from events import schema
from events.examples import EXAMPLES
from events.topics import TOPICS, TYPES
from tests.events.documents import documents, dump
from tests.events.test_reader import GOOD

# The meta-schema as the AsyncAPI initiative publishes it; a test fetches it once, into .cache/asyncapi.
SPECS = "@asyncapi/specs@6.11.1"
SPECS_SHA256 = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"
CACHE = Path(__file__).parents[2] / ".cache" / "asyncapi"
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


@pytest.fixture
def meta_schema() -> Any:
    """The official JSON Schema of AsyncAPI 3.0.0 documents."""
    archive = CACHE / "asyncapi-specs-6.11.1.tgz"
    if not archive.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"npm is not on PATH to fetch {SPECS}")
        CACHE.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(
            ["npm", "pack", SPECS, "--pack-destination", str(CACHE)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert fetched.returncode == 0, fetched.stderr[-500:]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SPECS_SHA256
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/schemas/3.0.0.json")
        assert member is not None
        return json.load(member)


@pytest.mark.e2e
def test_the_asyncapi_document_is_one_by_the_official_meta_schema(meta_schema: Any) -> None:
    validator = Draft7Validator(meta_schema)

    assert [(list(error.path), error.message) for error in validator.iter_errors(schema.asyncapi())] == []
    broken = schema.asyncapi()
    broken["operations"]["publish_opportunity"]["action"] = "publish"
    assert not validator.is_valid(broken), "it can refuse"


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

"""JSON Schemas of every type of event, and the AsyncAPI document, written from the models.

python -m events.schema            # writes events/schema/
python -m events.schema --check    # exit code 1 if a file there is not what the models say
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from .examples import EXAMPLES
from .models import MODELS
from .topics import ENTITIES, PREFIX, RESYNC, RESYNC_VERBS, TYPES, VERBS, topic_of, type_of

FOLDER: Final = Path(__file__).with_name("schema")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(type_: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one type's whole record, an example in it.

    It says what a schema can say; ranges of amounts and of times, agreement of fields and the calendar
    are the reader's.
    """
    schema = MODELS[type_].model_json_schema(mode="validation")
    schema = _clean(schema)
    return {
        "$schema": DIALECT,
        "$id": f"urn:dealpulse:event:{type_.removeprefix(PREFIX)}",
        "title": type_,
        **schema,
        "examples": [EXAMPLES[type_]],
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: a channel per topic, a message per type, the key beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dealpulse events",
            "version": "1.0.0",
            "description": "What CRM and HR systems publish to dealpulse: CloudEvents 1.0 in structured JSON, "
            "one per Kafka record. Each is a partial, dated statement about one entity: an absent field is "
            "unchanged, an explicit null clears it, and the order of arrival means nothing. The record's key "
            "is the subject, in UTF-8, and its partition that key's (murmur2, unless configured otherwise).",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {entity: _channel(entity) for entity in ENTITIES},
        "operations": {
            f"publish_{entity}": {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{entity}"},
                "summary": f"dealpulse reads what is published about each {entity.replace('_', ' ')}.",
            }
            for entity in ENTITIES
        },
        "components": {"messages": {_name(type_): _message(type_) for type_ in TYPES}},
    }


def files() -> dict[str, str]:
    """File name -> its text, for everything in the folder `schema`."""
    named = {f"{type_.removeprefix(PREFIX)}.json": schema_of(type_) for type_ in TYPES}
    named["asyncapi.json"] = asyncapi()
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in named.items()}


def stale() -> list[str]:
    """Names of files that are missing, differ, or do not belong in the folder `schema`."""
    wanted = files()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write() -> None:
    """Write the folder `schema` anew."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _channel(entity: str) -> dict[str, Any]:
    types = [type_of(entity, verb) for verb in VERBS[entity]]
    types += [type_of(RESYNC, verb) for verb in RESYNC_VERBS]
    return {
        "address": topic_of(entity),
        "messages": {_name(type_): {"$ref": f"#/components/messages/{_name(type_)}"} for type_ in types},
    }


def _message(type_: str) -> dict[str, Any]:
    schema = {
        key: value for key, value in schema_of(type_).items() if key not in ("$schema", "$id", "examples")
    }
    name = _name(type_)
    return {
        "name": type_,
        "contentType": "application/cloudevents+json",
        "payload": _moved(schema, f"#/components/messages/{name}/payload/$defs/"),
        "bindings": {"kafka": {"key": {"type": "string", "description": "The subject."}}},
        "examples": [{"payload": EXAMPLES[type_]}],
    }


def _name(type_: str) -> str:
    """A type as AsyncAPI allows names: `opportunity_changed`."""
    return type_.removeprefix(PREFIX).replace(".", "_")


def _moved(schema: Any, definitions: str) -> Any:
    """The schema with its references pointed to where its definitions now stand."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", definitions) if key == "$ref" else _moved(value, definitions)
            for key, value in schema.items()
        }
    return [_moved(each, definitions) for each in schema] if isinstance(schema, list) else schema


def _clean(schema: Any, *, names: bool = False) -> Any:
    """The schema without pydantic's titles, which repeat the names, and without `default: null`.

    Null is no default here: it clears, absence leaves unchanged. `names`: the keys are names of fields.
    """
    if isinstance(schema, dict):
        return {
            key: _clean(value, names=key in ("properties", "$defs") and not names)
            for key, value in schema.items()
            if names or not (key == "title" or (key == "default" and value is None))
        }
    return [_clean(each) for each in schema] if isinstance(schema, list) else schema


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    if arguments == ["--check"]:
        for name in (wrong := stale()):
            sys.stderr.write(f"events/schema/{name} is not current: run python -m events.schema\n")
        return 1 if wrong else 0
    if arguments:
        sys.stderr.write("usage: python -m events.schema [--check]\n")
        return 2
    write()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

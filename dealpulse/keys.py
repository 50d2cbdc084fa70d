"""Every key that the settings have: its place, what it may be, its default and its meaning.

Read from the JSON Schema of the settings' models, so that the errors, the environment variables and
the documentation cannot differ from what the models accept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True)
class Key:
    """One key. `path` holds `<name>` where the user chooses a name, and `[]` for entries of a list."""

    path: tuple[str, ...]
    allowed: str
    default: object
    description: str
    secret: bool

    @property
    def dotted(self) -> str:
        """As messages write it: `kafka.brokers`, `pipelines.<name>.stages[].kind`."""
        return ".".join(self.path).replace(".[]", "[]")

    @property
    def variable(self) -> str | None:
        """The environment variable; None for keys of entries of a list, which have none."""
        return None if "[]" in self.path else variable_of(self.path)


def variable_of(path: tuple[str, ...]) -> str:
    """The environment variable of a key.

    >>> variable_of(("kafka", "brokers"))
    'DEALPULSE_KAFKA__BROKERS'
    """
    return "DEALPULSE_" + "__".join(part if part == "<name>" else part.upper() for part in path)


class Schema:
    """One node of a JSON Schema, with its references resolved when asked."""

    def __init__(self, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
        self.node, self._definitions = node, definitions

    @classmethod
    def of(cls, model: type[BaseModel]) -> "Schema":
        """The schema of a model, with the names that the file uses."""
        root = model.model_json_schema(by_alias=True)
        return cls(root, root.get("$defs", {}))

    def _sibling(self, node: Mapping[str, Any]) -> "Schema":
        return Schema(node, self._definitions)

    @property
    def variants(self) -> list["Schema"]:
        """This node with its reference followed, or each of its alternatives; without null."""
        reference = self.node.get("$ref")
        if reference:
            return self._sibling(self._definitions[reference.rpartition("/")[2]]).variants
        alternatives = self.node.get("anyOf") or self.node.get("oneOf")
        if alternatives:
            found = [variant for node in alternatives for variant in self._sibling(node).variants]
            return [variant for variant in found if variant.node.get("type") != "null"]
        return [self]

    @property
    def fields(self) -> dict[str, "Schema"]:
        """The named keys of a section, those of all variants together."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for variant in self.variants:
            for name, node in variant.node.get("properties", {}).items():
                if node not in found.setdefault(name, []):
                    found[name].append(node)
        return {name: self._sibling(_either(nodes)) for name, nodes in found.items()}

    @property
    def entries(self) -> "Schema | None":
        """What stands under names of the user's choice, if this is a table of such."""
        for variant in self.variants:
            patterns = variant.node.get("patternProperties")
            if patterns:
                return self._sibling(next(iter(patterns.values())))
            entries = variant.node.get("additionalProperties")
            if isinstance(entries, dict):
                return self._sibling(entries)
        return None

    @property
    def items(self) -> "Schema | None":
        """What a list holds, if this is one."""
        for variant in self.variants:
            if isinstance(variant.node.get("items"), dict):
                return self._sibling(variant.node["items"])
        return None

    @property
    def is_table(self) -> bool:
        """Whether keys stand under it."""
        return bool(self.fields) or self.entries is not None

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return bool(self.node.get("writeOnly") or self.node.get("secret"))

    @property
    def allowed(self) -> str:
        """In words, what it may be."""
        if self.node.get("secret"):
            return f"an address such as {self.node.get('default')}"
        return " or ".join(dict.fromkeys(_in_words(variant) for variant in self.variants))

    def under(self, name: str) -> "Schema | None":
        """What stands under a name, or None where nothing can."""
        return self.fields.get(name) or self.entries


def _either(nodes: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One node for a key that several alternatives have, each in its own way."""
    if len(nodes) == 1:
        return nodes[0]
    first, *others = nodes
    same = {
        name: first[name]
        for name in ("default", "description", "writeOnly")
        if name in first and all(first[name] == other.get(name) for other in others)
    }
    described = {"description": first["description"]} if "description" in first else {}
    return {"anyOf": nodes} | described | same


def keys_of(schema: Schema, path: tuple[str, ...] = (), described: str = "") -> Iterator[Key]:
    """Every key under a node, in the order of the models. Entries of a table are described by the table."""
    for name, child in schema.fields.items():
        yield from _at(child, (*path, name), "")
    if schema.entries is not None:
        yield from _at(schema.entries, (*path, "<name>"), described)


def _at(schema: Schema, path: tuple[str, ...], described: str) -> Iterator[Key]:
    description = str(schema.node.get("description", described))
    if schema.is_table:
        yield from keys_of(schema, path, description)
        return
    items = schema.items
    if items is not None and items.is_table:
        yield from keys_of(items, (*path, "[]"))
        return
    yield Key(path, schema.allowed, schema.node.get("default"), description, secret=schema.secret)


def _in_words(schema: Schema) -> str:
    node = schema.node
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if node.get("format") == "duration":
        return "a length of time (seconds, or 250ms, 30s, 10m, 4h, 30d)"
    if node.get("format") == "date":
        return "a date (YYYY-MM-DD)"
    if schema.is_table:
        return "a section"
    if schema.items is not None:
        return f"a list of {schema.items.allowed}"
    words = _TYPES.get(str(node.get("type")), "text")
    if "pattern" in node:
        words += f" matching `{node['pattern']}`"
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    if "exclusiveMinimum" in node:
        return f"{words} greater than {node['exclusiveMinimum']}"
    if low is not None:
        return f"{words} of at least {low}"
    return words if high is None else f"{words} of at most {high}"

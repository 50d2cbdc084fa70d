"""The page docs/configuration.md: every key of the settings in one table."""

from collections.abc import Mapping
from itertools import groupby

from dealpulse.config import DEFAULT_FILE, OTHER_VARIABLES, Settings, all_adapters, all_keys
from dealpulse.keys import Key

_INTRODUCTION = f"""# Configuration

<!-- Written by `dealpulse config table`; `make docs` brings it up to date. -->

One TOML file. It is the one that `--config` names, else the one that `DEALPULSE_CONFIG` names, else
`{DEFAULT_FILE}` in the working folder; without any, the defaults below hold, which serve the demo, the
simulator and a plain Salesforce set-up.

Every key is also an environment variable: `DEALPULSE_<SECTION>__<KEY>`, in capitals, with two underscores
between the parts. Lists are written with commas or as JSON. Of a secret the variable may also name a file,
with `_FILE` behind it: `DEALPULSE_REDIS__PASSWORD_FILE=/run/secrets/redis`.

Options on the command line go before variables, variables before the file, the file before defaults.
`dealpulse config show` prints what holds and where each value comes from, with secrets masked. An unknown
key or variable is an error that names the nearest known one.

Two more variables are no settings: `DEALPULSE_CONFIG`, and `DEALPULSE_CLOCK`, which shifts and speeds up
the clock of all commands for tests and demos (`offset=<seconds or instant>,speed=<factor>`).

`<name>` stands for a name of your choice, `[]` for each entry of a list. Lengths of time are seconds, or
text with a unit: `250ms`, `30s`, `10m`, `4h`, `30d`.
"""


def page() -> str:
    """The whole page, in Markdown."""
    defaults = Settings().model_dump(mode="json", by_alias=True)
    assert {"DEALPULSE_CONFIG", "DEALPULSE_CLOCK"} == OTHER_VARIABLES
    parts = [_INTRODUCTION]
    for section, keys in groupby(all_keys(), key=lambda key: key.path[0]):
        parts.append(f"\n## [{section}]\n\n{_about(section)}\n")
        parts.append("| key | allowed | default | meaning |\n|---|---|---|---|")
        parts += [_row(key, defaults) for key in keys]
    return "\n".join(parts) + "\n"


def _about(section: str) -> str:
    model = Settings.model_fields[section].annotation
    if isinstance(model, type) and not section.startswith("log") and model.__doc__:
        return " ".join(model.__doc__.split())
    return {
        "pipelines": "The ordered stages of each pipeline. A file that has any pipeline replaces the built-in one.",
        "adapters": "Each system that publishes in its own shape, by a name of your own; `kind` decides which of "
        "the keys it has.",
        "log": "What goes to stderr.",
    }.get(section, "")


def _row(key: Key, defaults: Mapping[str, object]) -> str:
    name = ".".join(key.path[1:]).replace(".[]", "[]")
    cells = [f"`{name}`", key.allowed, _default(key, defaults), _meaning(key)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _meaning(key: Key) -> str:
    """What the key means; for one that only some kinds of adapter have, with these kinds."""
    if key.path[0] != "adapters":
        return key.description
    if key.path[-1] == "kind":
        return "Whose shape it sends; decides which of the other keys there are."
    variants = {
        variant.fields["kind"].allowed: variant.fields
        for variant in all_adapters()
        if "kind" in variant.fields
    }
    having = [kind for kind, fields in variants.items() if key.path[2] in fields]
    only = f" ({', '.join(having)})" if len(having) < len(variants) else ""
    return f"{key.description}{only}".strip()


def _default(key: Key, defaults: Mapping[str, object]) -> str:
    value: object = defaults
    for part in key.path:
        if not isinstance(value, dict) or part not in value:
            value = key.default
            break
        value = value[part]
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | dict):
        return "`" + str(value).replace("'", '"') + "`"
    return f"`{value}`"

"""`dealpulse config`: the settings in force."""

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json


@click.group()
def config() -> None:
    """Show the settings in force, and where each comes from."""


@config.command()
@format_option("text", "json")
@click.option("--changed", is_flag=True, help="Only what differs from the built-in defaults.")
@pass_invocation
def show(invocation: Invocation, *, format_: str, changed: bool) -> None:
    """Print each setting, its value and where it comes from; secrets are masked.

    Flags go before DEALPULSE_ variables, these before the file, the file before defaults.

    \b
    dealpulse config show --changed
    DEALPULSE_KAFKA__BROKERS=kafka:9092 dealpulse config show --json
    """
    configuration = invocation.configuration()
    found = [entry for entry in configuration.effective() if not changed or entry[2] != "default"]
    if format_ == "json":
        rows = [{"key": key, "value": value, "from": origin} for key, value, origin in found]
        file = None if configuration.file is None else str(configuration.file)
        print_json({"file": file, "settings": rows})
        return
    invocation.say(f"Configuration file: {configuration.file or 'none, built-in defaults'}")
    width = max((len(key) for key, _, _ in found), default=0)
    for key, value, origin in found:
        suffix = "" if origin == "default" else click.style(f"  # {origin}", dim=True)
        click.echo(f"{key:<{width}} = {_as_toml(value)}{suffix}")


@config.command()
def table() -> None:
    """Print the table of all keys in Markdown: the page docs/configuration.md."""
    from dealpulse.config_page import page

    click.echo(page(), nl=False)


def _as_toml(value: object) -> str:
    """A value as the file would hold it; an absent one has no form in TOML.

    >>> _as_toml([{"name": "A", "probability": 0.1, "stalled_after_days": None}])
    '[{ name = "A", probability = 0.1 }]'
    """
    import json

    if value is None:
        return "(absent)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_as_toml(each)}" for key, each in value.items() if each is not None)
        return f"{{ {inner} }}" if inner else "{}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)

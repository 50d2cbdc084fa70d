"""`--format`, with `--json` as its short form, for every command whose output a program may read."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from streams.rebuild import Rebuilt

Decorated = Callable[..., Any]


def format_option(*formats: str) -> Callable[[Decorated], Decorated]:
    """Give a command `--format` (the first is the default) and `--json`, as the argument `format_`."""

    def decorate(command: Decorated) -> Decorated:
        command = click.option("--json", "format_", flag_value="json", help="Short for --format json.")(
            command
        )
        return click.option(
            "--format",
            "format_",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How the output is written.",
        )(command)

    return decorate


def print_json(value: object) -> None:
    """One JSON value on stdout, indented, with keys in the order given."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def built(shard: "Rebuilt", **more: object) -> dict[str, object]:
    """What became of a shard that was built from the log, as JSON."""
    return {
        "shard": shard.shard,
        "offset": shard.offset,
        "entities": shard.entities,
        **more,
        "seconds": round(shard.seconds, 3),
    }

"""`--format`, with `--json` as its short form, for every command whose output a program may read."""

import json
from collections.abc import Callable
from typing import Any

import click

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

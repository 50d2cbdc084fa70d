"""The command line: one file per command, loaded only when it is used."""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from dealpulse import __version__
from dealpulse.cli.invocation import Invocation
from events.errors import DealpulseError

COMMANDS = {
    "demo": ("dealpulse.cli.demo", "Play a whole company on this machine, servers included."),
    "worker": ("dealpulse.cli.worker", "Fold events from Kafka into the shards in Redis."),
    "exporter": ("dealpulse.cli.exporter", "Serve metrics, answers and boards."),
    "gateway": ("dealpulse.cli.gateway", "Take events and webhooks over HTTP into Kafka."),
    "import": ("dealpulse.cli.import_", "Turn history (CSV, exports, JSON Lines) into events."),
    "simulate": ("dealpulse.cli.simulate", "Invent a company's events, repeatable by seed."),
    "kpi": ("dealpulse.cli.kpi", "Answer a question about a KPI."),
    "explain": ("dealpulse.cli.explain", "Show the records and the arithmetic behind a figure."),
    "verify": ("dealpulse.cli.verify", "Recompute everything from the log and compare."),
    "rebuild": ("dealpulse.cli.rebuild", "Build shards anew from the log."),
    "freeze": ("dealpulse.cli.freeze", "Keep the as-reported figures of a period that is due."),
    "doctor": ("dealpulse.cli.doctor", "Check configuration, Kafka, Redis, clock; tell the fix."),
    "dlq": ("dealpulse.cli.dlq", "List, show, replay or drop dead letters."),
    "topics": ("dealpulse.cli.topics", "List the topics, or make them as they should be."),
    "repartition": ("dealpulse.cli.repartition", "Move to another number of partitions."),
    "config": ("dealpulse.cli.config", "Show the settings in force, and where each comes from."),
}
"""Command -> the module that holds it (a click command of that name) and its line of help."""

GLOBAL_FLAGS = ("--debug", "--no-color", "--quiet", "-q")
"""May stand anywhere on the line, as `--config FILE` may."""


class LazyGroup(click.Group):
    """Imports a command's module when it is run; shows its line of help without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """The commands whose modules are installed."""
        return [name for name, (module, _) in COMMANDS.items() if find_spec(module) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now; None for a name that is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(COMMANDS[cmd_name][0])
        found = [each for each in vars(module).values() if isinstance(each, click.Command)]
        for command in found:
            if command.name == cmd_name:
                return command
        raise LookupError(f"{module.__name__} holds no click command named {cmd_name!r}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, without importing every command to look for a similar name."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            ctx.fail(_no_such_command(name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Global options count wherever they stand: `dealpulse worker --config FILE` works too."""
        return super().parse_args(ctx, _global_first(args))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run. Faults become one line on stderr and the exit code of their kind."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted.", err=True)
            sys.exit(130)
        except DealpulseError as error:
            _raise_if_asked(error, given)
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        except Exception as error:  # noqa: BLE001 - a person gets one line, whatever went wrong
            _raise_if_asked(error, given)
            click.echo(
                f"Error: a fault in dealpulse itself, {_in_words(error)}. "
                "Run it again with --debug and report what it prints.",
                err=True,
            )
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _raise_if_asked(error: Exception, given: Sequence[str]) -> None:
    if "--debug" in given:
        raise error


def _in_words(error: Exception) -> str:
    """What went wrong and where, so that the line alone tells it: a fault at night may not come again."""
    while isinstance(error, ExceptionGroup):  # what a group of tasks raises hides what one of them met
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _no_such_command(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
    return f"No such command {name!r}. {hint}"


def _global_first(args: list[str]) -> list[str]:
    first: list[str] = []
    others: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--":
            others += [arg, *remaining]
        elif arg in GLOBAL_FLAGS or arg.startswith("--config="):
            first.append(arg)
        elif arg == "--config":
            first += [arg, *([value] if (value := next(remaining, None)) is not None else [])]
        else:
            others.append(arg)
    return first + others


_EPILOG = """Exit codes: 0 done; 1 ran and found a fault; 2 usage or configuration; 3 a server does not
answer; 130 interrupted. Data goes to stdout, talk to stderr.

Shell completion: eval "$(_DEALPULSE_COMPLETE=bash_source dealpulse)" (or zsh_source, fish_source).
"""


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file. Default: DEALPULSE_CONFIG, else ./dealpulse.toml, else built-in values.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of a fault.")
@click.option("--no-color", is_flag=True, help="No colours; the variable NO_COLOR does the same.")
@click.option("-q", "--quiet", is_flag=True, help="Only data and errors: no talk on stderr.")
@click.version_option(__version__, "--version", prog_name="dealpulse", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, *, config: Path | None, debug: bool, no_color: bool, quiet: bool) -> None:
    """Keep a company's sales KPIs live: events from Kafka, folded by Faust workers, shown by Prometheus.

    `dealpulse demo` shows all of it on this machine. Options given here may also stand after the
    command.
    """
    invocation = Invocation(config=config, debug=debug, quiet=quiet, no_color=no_color)
    ctx.color = None if invocation.colour is None else invocation.colour
    ctx.obj = invocation

"""`dealpulse doctor`: is all well, and if not, what to do."""

from typing import TYPE_CHECKING

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json

if TYPE_CHECKING:
    from dealpulse.doctor import Check

_COLOURS = {
    "ok": "green",
    "warning": "yellow",
    "failed": "red",
    "unreachable": "red",
    "skipped": "bright_black",
}


@click.command()
@format_option("text", "json")
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@pass_invocation
def doctor(invocation: Invocation, *, format_: str, brokers: str | None, redis_url: str | None) -> None:
    """Check configuration, codecs, Kafka, topics, Redis, clock and exporter.

    One line each, with the fix behind what is not well. Nothing is changed. Exit code 0: all well, or
    warnings alone; 1: a check failed; 2: the configuration is wrong; 3: a server does not answer.

    \b
    dealpulse doctor
    dealpulse doctor --json --brokers kafka:9092
    """
    configuration = invocation.configuration({"kafka.brokers": brokers, "redis.url": redis_url})

    from dealpulse.doctor import checks, exit_code
    from events.clock import Clock

    found: list[Check] = []
    # The real clock, whatever DEALPULSE_CLOCK says: it is compared with the one of Redis.
    for check in checks(configuration, Clock()):
        found.append(check)
        if format_ == "text":
            click.echo(_line(check))
    code = exit_code(found)
    if format_ == "json":
        print_json({"exit_code": code, "checks": [check.as_dict() for check in found]})
    elif code == 0:
        invocation.say(
            "All well." if all(check.state != "warning" for check in found) else "Well, with warnings."
        )
    click.get_current_context().exit(code)


def _line(check: "Check") -> str:
    state = click.style(f"{check.state:<11}", fg=_COLOURS[check.state])
    fix = f" Fix: {check.fix}." if check.fix else ""
    return f"{state} {check.name}: {check.found.rstrip('.')}.{fix}"

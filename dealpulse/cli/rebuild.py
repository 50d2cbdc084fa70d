"""`dealpulse rebuild`: build shards anew from the log."""

import asyncio
import sys
from typing import Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import built, format_option, print_json
from events.errors import UsageError


@click.command()
@click.option(
    "--partition", "partitions", multiple=True, metavar="TOPIC/N", help="This one; may be repeated."
)
@click.option("--all", "every", is_flag=True, help="All partitions of all topics.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@format_option("text", "json")
@pass_invocation
def rebuild(
    invocation: Invocation,
    /,
    *,
    partitions: tuple[str, ...],
    every: bool,
    yes: bool,
    format_: str,
    **options: Any,
) -> None:
    """Build shards anew from the log, and put each in the place of the one in Redis.

    Online: workers and exporters go on. A shard is replaced in one step when it is complete; its
    worker then loads it and continues at its offset, and exporters keep the last good state until then.
    The log must be whole: what it no longer holds is gone. Exit code 0: done; 1: a shard could not be
    replaced, which changes nothing; 2: usage; 3: Kafka or Redis does not answer.

    \b
    dealpulse rebuild --partition crm.opportunity/3
    dealpulse rebuild --all --yes
    """
    if bool(partitions) == every:
        raise UsageError("which shards? Name them (--partition crm.opportunity/3) or say --all")
    settings = invocation.settings({"kafka.brokers": options["brokers"], "redis.url": options["redis_url"]})

    from dealpulse.progress import Progress, over_shards
    from events.clock import Clock
    from streams.rebuild import Rebuild
    from streams.verify import place_of

    places = [place_of(text) for text in partitions]
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to be asked: say --yes")
        click.confirm(f"Rebuild {', '.join(partitions) or 'all shards'}?", abort=True, err=True)
    progress = Progress(1, quiet=invocation.quiet)
    show = over_shards(progress)
    work = Rebuild(settings.kafka, settings.redis, settings.meaning, Clock.from_env(), show=show)
    try:
        done = asyncio.run(work.run(places))
    finally:
        progress.end()
    if format_ == "json":
        print_json([built(each, offset_before=each.was) for each in done])
        return
    for each in done:
        click.echo(f"{each.shard}: {each.entities:,} entities, offset {each.offset:,}, {each.seconds:.1f} s")

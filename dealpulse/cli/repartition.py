"""`dealpulse repartition`: another number of partitions."""

import asyncio
from typing import Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import built, format_option, print_json


@click.command()
@click.option(
    "--partitions", type=click.IntRange(min=1), help="So many per topic; default: kafka.partitions."
)
@click.option("--yes", is_flag=True, help="Do it; without, the plan is shown and nothing changes.")
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@format_option("text", "json")
@pass_invocation
def repartition(
    invocation: Invocation, /, *, partitions: int | None, yes: bool, format_: str, **options: Any
) -> None:
    """Move to another number of partitions: topics, records and shards.

    Shows the plan; `--yes` applies it. Also after somebody has given a topic more partitions with Kafka's
    own tools: then workers leave its shards alone, and this puts every record and shard where it belongs. And
    to another kafka.partitioner, once it is set.
    Online: exporters keep the last good state, marked stale, until it is done. Interrupted, it is run
    again and does the rest. Afterwards set kafka.partitions to the new number everywhere and restart
    exporters and gateways. Exit code 0: done, or planned; 1: a shard could not be moved; 2: usage; 3: Kafka or Redis
    does not answer.

    \b
    dealpulse repartition --partitions 8
    dealpulse repartition --partitions 8 --yes
    """
    settings = invocation.settings({"kafka.brokers": options["brokers"], "redis.url": options["redis_url"]})

    from dealpulse.progress import Progress, over_shards
    from events.clock import Clock
    from streams.repartition import plans
    from streams.repartition import repartition as moved

    wanted = settings.kafka.partitions if partitions is None else partitions
    plan = asyncio.run(plans(settings.kafka, settings.redis, wanted))
    todo = [each for each in plan if not each.is_done]
    done = []
    if todo and yes:
        progress = Progress(1, quiet=invocation.quiet)
        show = over_shards(progress, sum(each.records for each in todo))
        try:
            done = asyncio.run(
                moved(settings.kafka, settings.redis, settings.meaning, Clock.from_env(), todo, show=show)
            )
        finally:
            progress.end()
    if format_ == "json":
        print_json(
            {
                "partitions": wanted,
                "plan": [
                    {
                        "topic": each.topic,
                        "partitions_before": each.there,
                        "partitions": each.wanted,
                        "shards_to_move": list(each.stale),
                        "records_to_read": each.records,
                    }
                    for each in plan
                ],
                "applied": bool(todo and yes),
                "done": [built(each, records_moved=each.moved) for each in done],
            }
        )
        return
    if not todo:
        click.echo(f"Every topic and shard has {wanted} partitions: nothing to do.")
        _say_where(invocation, wanted)
        return
    if not yes:
        for each in todo:
            click.echo(
                f"{each.topic}: {each.there} -> {each.wanted} partitions, {len(each.stale)} shards to build, "
                f"{each.records:,} records to read"
            )
        invocation.say("Nothing has changed. Say --yes to do it.")
        return
    for one in done:
        click.echo(
            f"{one.shard}: {one.entities:,} entities, offset {one.offset:,}, "
            f"{one.moved:,} records moved, {one.seconds:.1f} s"
        )
    _say_where(invocation, wanted)


def _say_where(invocation: Invocation, partitions: int) -> None:
    invocation.say(
        f"Set kafka.partitions = {partitions} wherever it is set, and restart exporters and gateways."
    )

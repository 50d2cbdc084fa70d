"""`dealpulse topics`: the topics that dealpulse needs."""

from typing import Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json

brokers_option = click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")


@click.group()
def topics() -> None:
    """List the topics, or make them as they should be."""


@topics.command("list")
@format_option("text", "json")
@brokers_option
@pass_invocation
def list_(invocation: Invocation, *, format_: str, brokers: str | None) -> None:
    """Show each topic, its partitions, and what is not as it must be.

    Those of dead letters of the configured Kafka Connect topics are among them. Exit code 0: all as they
    must be; 1: something is not (`dealpulse topics ensure` mends it); 3: Kafka does not answer, or does not
    let this user see them.

    \b
    dealpulse topics list --brokers kafka:9092
    """
    settings = invocation.settings({"kafka.brokers": brokers})

    from events.adapters.settings import connect_topics
    from streams.topics import needed
    from streams.topics import topics as described

    found = described(settings.kafka, needed(connect_topics(settings.adapters)))
    if format_ == "json":
        print_json(
            [{"topic": each.name, "partitions": each.partitions, "faults": each.faults} for each in found]
        )
    else:
        width = max(len(each.name) for each in found)
        for each in found:
            state = click.style("; ".join(each.faults), fg="yellow") if each.faults else "ok"
            click.echo(f"{each.name:<{width}}  {each.partitions:>4} partitions  {state}")
    click.get_current_context().exit(1 if any(each.faults for each in found) else 0)


@topics.command()
@format_option("text", "json")
@brokers_option
@pass_invocation
def ensure(invocation: Invocation, *, format_: str, brokers: str | None) -> None:
    """Make topics that are missing, and set what is not as it must be.

    Missing ones get kafka.partitions partitions and kafka.replication_factor copies. Records are kept
    for good (retention.ms=-1) and stamped by the broker (message.timestamp.type=LogAppendTime). The
    number of partitions of a topic that is there stays (`dealpulse repartition` changes it). Doing it
    twice changes nothing. Exit code 3: Kafka does not answer, or denies this user a right that it takes.

    \b
    DEALPULSE_KAFKA__PARTITIONS=12 dealpulse topics ensure
    """
    settings = invocation.settings({"kafka.brokers": brokers})

    from events.adapters.settings import connect_topics
    from streams.topics import ensure as made
    from streams.topics import needed

    done = made(settings.kafka, needed(connect_topics(settings.adapters)))
    if format_ == "json":
        changed: dict[str, Any] = {topic: dict(keys) for topic, keys in done.changed.items()}
        print_json({"created": list(done.created), "changed": changed})
        return
    for topic in done.created:
        click.echo(f"created {topic}")
    for topic, keys in done.changed.items():
        click.echo(f"changed {topic}: " + ", ".join(f"{key}={value}" for key, value in keys.items()))
    if not done.created and not done.changed:
        invocation.say("All topics are as they must be.")

"""`dealpulse worker`: fold events from Kafka into the shards in Redis."""

import click

from dealpulse.cli.invocation import Invocation, pass_invocation


@click.command()
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@click.option("--listen", help="Where to serve /metrics, /healthz, /readyz; default: worker.listen.")
@pass_invocation
def worker(invocation: Invocation, *, brokers: str | None, redis_url: str | None, listen: str | None) -> None:
    """Fold events from Kafka into the shards in Redis, until told to stop.

    Any number of workers share the partitions; one that dies is replaced by the others. Missing topics
    are made. A Kafka or Redis that is away is waited for. SIGTERM or Ctrl-C stops without loss (a last
    checkpoint, a clean leave, at most 20 s); a second one ends at once. Exit code 0: stopped as told;
    1: a fault, see the log; 2: the configuration is wrong.

    \b
    dealpulse worker
    dealpulse worker --brokers kafka:9092 --redis redis://store:6379/0 --listen 127.0.0.1:0
    """
    settings = invocation.settings(
        {"kafka.brokers": brokers, "redis.url": redis_url, "worker.listen": listen}
    )

    from dealpulse import __version__
    from events.clock import Clock
    from streams.worker import WorkerConfig, run_worker

    config = WorkerConfig(
        kafka=settings.kafka,
        redis=settings.redis,
        worker=settings.worker,
        meaning=settings.meaning,
        version=__version__,
        adapters=settings.adapters,
    )
    code = run_worker(
        config,
        Clock.from_env(),
        listening=lambda address: invocation.say(f"worker: http://{address}/metrics"),
    )
    click.get_current_context().exit(code)

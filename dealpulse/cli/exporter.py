"""`dealpulse exporter`: serve metrics and answers from the shards in Redis."""

import click

from dealpulse.cli.invocation import Invocation, pass_invocation


@click.command()
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@click.option("--listen", help="Where to serve; default: exporter.listen.")
@pass_invocation
def exporter(invocation: Invocation, *, redis_url: str | None, listen: str | None) -> None:
    """Serve /metrics, /api/kpi and /api/explain from the shards in Redis, until told to stop.

    Any number of exporters may run; none holds truth. One that is started before anything else waits,
    and says so at /readyz. SIGTERM or Ctrl-C stops it. Exit code 0: stopped as told; 2: the
    configuration is wrong, or the address is taken.

    \b
    dealpulse exporter
    dealpulse exporter --redis redis://store:6379/0 --listen 0.0.0.0:8402
    """
    settings = invocation.settings({"redis.url": redis_url, "exporter.listen": listen})

    from dealpulse import __version__
    from events.clock import Clock
    from exporters.exporter import ExporterConfig, run_exporter

    config = ExporterConfig(
        kafka=settings.kafka,
        redis=settings.redis,
        exporter=settings.exporter,
        alerts=settings.alerts,
        meaning=settings.meaning,
        version=__version__,
    )
    code = run_exporter(
        config,
        Clock.from_env(),
        listening=lambda address: invocation.say(f"exporter: http://{address}/"),
    )
    click.get_current_context().exit(code)

"""`dealpulse gateway`: take events and webhooks over HTTP into Kafka."""

import click

from dealpulse.cli.invocation import Invocation, pass_invocation


@click.command()
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--listen", help="Where to take requests; default: gateway.listen.")
@pass_invocation
def gateway(invocation: Invocation, *, brokers: str | None, listen: str | None) -> None:
    """Take events and webhooks over HTTP into Kafka, until told to stop.

    POST /events takes canonical events (CloudEvents: structured, batch, binary); POST
    /hooks/<adapter>/<name> the webhooks of each [adapters.<name>] with a secret. Answered 2xx only once
    Kafka has acknowledged; a Kafka that is away is waited for, with 503 until then. SIGTERM or Ctrl-C
    stops without loss; a second one ends at once. Exit code 0: stopped as told; 2: the configuration is
    wrong.

    \b
    dealpulse gateway
    dealpulse gateway --brokers kafka:9092 --listen 0.0.0.0:8401
    """
    settings = invocation.settings({"kafka.brokers": brokers, "gateway.listen": listen})

    from dealpulse import __version__
    from dealpulse.gateway_metrics import GatewayMetrics
    from events.adapters.settings import HookSettings
    from events.clock import Clock
    from events.gateway.server import GatewayConfig, run_gateway

    config = GatewayConfig(
        gateway=settings.gateway,
        kafka=settings.kafka,
        adapters=settings.adapters,
        zone=settings.company.zone,
    )
    names = [name for name, adapter in settings.adapters.items() if isinstance(adapter, HookSettings)]
    code = run_gateway(
        config,
        Clock.from_env(),
        GatewayMetrics(names, version=__version__),
        listening=lambda address: invocation.say(f"gateway: http://{address}/events"),
    )
    click.get_current_context().exit(code)

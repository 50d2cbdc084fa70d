"""The gateway as a process: listen, take requests until told to stop, finish them, leave."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo

from aiohttp import web

from ..adapters.settings import Adapter
from ..clock import Clock
from ..errors import UsageError
from ..listen import host_and_port
from ..log import get_logger
from ..settings import KafkaSettings
from .app import Gateway
from .hooks import hooks
from .meter import Meter
from .settings import GatewaySettings
from .sink import Sink

_LOG = get_logger("gateway")


@dataclass(frozen=True)
class GatewayConfig:
    """Everything a gateway needs. `zone` is the company's."""

    gateway: GatewaySettings
    kafka: KafkaSettings
    adapters: Mapping[str, Adapter]
    zone: tzinfo


def run_gateway(
    config: GatewayConfig, clock: Clock, meter: Meter, *, listening: Callable[[str], None] = lambda _: None
) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends at once. Returns the exit code.

    `listening` is told the address. Raises `ConfigurationError` for a webhook without a secret,
    `UsageError` for an address that is taken.
    """
    return asyncio.run(_serve(config, clock, meter, listening))


async def _serve(config: GatewayConfig, clock: Clock, meter: Meter, listening: Callable[[str], None]) -> int:
    gateway = Gateway(
        settings=config.gateway,
        hooks=hooks(config.adapters, zone=config.zone),
        sink=Sink(
            config.kafka,
            clock,
            answer_within=config.gateway.answer_within,
            idempotence=config.gateway.idempotence,
        ),
        meter=meter,
        clock=clock,
    )
    stop = _until_told()
    runner = await listen(gateway)
    gateway.sink.start()
    address = address_of(runner)
    _LOG.info("gateway.listens", address=address, hooks=sorted(hook.name for hook in gateway.hooks.values()))
    listening(address)
    # What was imported and configured lives as long as the process: the collector need not look at it.
    gc.collect()
    gc.freeze()
    try:
        await stop
        await close(gateway)
    finally:
        await runner.cleanup()
        await gateway.sink.stop()
    _LOG.info("gateway.closed")
    return 0


async def listen(gateway: Gateway) -> web.AppRunner:
    """Serve the gateway's routes at `gateway.settings.listen`. Raises `UsageError` if it is taken."""
    runner = web.AppRunner(
        gateway.application(),
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=75,
        handle_signals=False,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    host, port = host_and_port(gateway.settings.listen)
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(
            f"gateway.listen: {gateway.settings.listen} cannot be used ({error.strerror or error}). Stop what "
            "listens there, or set another port (0: any free one)"
        ) from error
    return runner


async def close(gateway: Gateway) -> None:
    """Answer new requests with 503, and wait for those in flight."""
    gateway.closing = True
    _LOG.info("gateway.closing", in_flight=gateway.in_flight)
    try:
        async with asyncio.timeout(gateway.settings.close_within):
            await gateway.finished()
    except TimeoutError:
        _LOG.warning("gateway.cut_off", in_flight=gateway.in_flight)


def address_of(runner: web.AppRunner) -> str:
    """host:port, with the port in use."""
    host, port = runner.addresses[0][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _until_told() -> "asyncio.Future[None]":
    """Done at the first SIGTERM or SIGINT; the second one ends the process."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if told.done():
            os._exit(130)
        told.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    return told

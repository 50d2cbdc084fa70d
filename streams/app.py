"""The Faust app: one agent over the topics of all entities, fed by the batching transport."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import faust
from faust.types import TP

from events.settings import KafkaSettings
from events.topics import MAX_DEAD_LETTER_BYTES
from streams.settings import WorkerSettings
from streams.shards import Shards
from streams.transport import Owner

SCHEME: Final = "kafka-batches"
"""The entry point `faust.transports` in pyproject.toml; the producer keeps Faust's own."""
_BATCHES_AHEAD: Final = 8
"""Batches that wait in the agent's queue before fetching pauses: more would only fill memory."""

_METADATA_MS: Final = 10_000
"""A topic that was given more partitions is noticed after at most so long."""
_POLL_INTERVAL_S: Final = 2_000_000.0
"""Faust does not poll while no partition is active (shards that wait for Redis or a repartition, spare workers), and
aiokafka takes a consumer that does not poll for so long out of its group, for good. `/healthz` tells who is stuck.
"""


class App(faust.App):
    """Faust's app, with the owners of partitions that its transport asks for."""

    owners: Sequence[Owner]

    def _create_directories(self) -> None:
        """None: Faust's are for tables, and a worker that keeps no state may run where nothing can be written."""


def make_app(kafka: KafkaSettings, worker: WorkerSettings, shards: Shards, *others: Owner) -> App:
    """The app of one worker: started and stopped as a service, without Faust's web and tables."""
    request_timeout_s = max(15.0, 2 * worker.session_timeout)
    app = App(
        worker.group,
        broker=[f"{SCHEME}://{address}" for address in kafka.bootstrap_servers],
        broker_consumer=[f"{SCHEME}://{address}" for address in kafka.bootstrap_servers],
        broker_producer=[f"kafka://{address}" for address in kafka.bootstrap_servers],
        broker_credentials=credentials(kafka),
        broker_session_timeout=worker.session_timeout,
        broker_heartbeat_interval=worker.session_timeout / 4,
        broker_rebalance_timeout=max(20.0, 2 * worker.session_timeout),
        broker_request_timeout=request_timeout_s,
        broker_max_poll_interval=_POLL_INTERVAL_S,
        broker_commit_interval=1.0,
        broker_max_poll_records=worker.fetch_max_records,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=_METADATA_MS,
        producer_metadata_max_age_ms=_METADATA_MS,
        producer_request_timeout=request_timeout_s,  # 20 minutes by default: what is late is sent again
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_max_request_size=2 * MAX_DEAD_LETTER_BYTES,
        stream_buffer_maxsize=_BATCHES_AHEAD,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        loghandlers=[],
        autodiscover=False,
    )
    app.owners = (shards, *others)
    topic = app.topic(*sorted(shards.topics), key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="fold")
    async def fold(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            message = event.message
            await shards.fold(TP(message.topic, message.partition), event.value, event)
            event.value = message.value = None  # Faust keeps it until it is acknowledged: not the records
            yield

    return app


def credentials(kafka: KafkaSettings) -> Any:
    """How to log in, in Faust's words; None for a plain connection."""
    encrypted = kafka.security_protocol.endswith("SSL")
    context = kafka.ssl_context() if encrypted else None
    if kafka.security_protocol.startswith("SASL_"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None

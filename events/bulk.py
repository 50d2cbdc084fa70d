"""Bulk publishing over aiokafka: many prepared records, each acknowledged by all replicas.

The publishers of `events.publisher` and `events.aio` check each event and give a receipt for each; here
records are already checked (an import) or wrong on purpose (the simulator's mess), and only the first
failure matters: everything may be sent again.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

from .delivery import why
from .errors import UnreachableError
from .headers import CONTENT_TYPE
from .producer import start_producer
from .settings import KafkaSettings

_ON_THE_WAY = 20_000


class Bulk:
    """Sends records in batches; `send` waits while too many are on the way.

    Raises UnreachableError when Kafka does not answer, or has not acknowledged something in time.
    """

    def __init__(
        self, kafka: KafkaSettings, *, client_id: str, timeout_s: float = 60.0, linger_ms: int = 5
    ) -> None:
        self._settings, self._timeout_s = kafka, timeout_s
        self._options: dict[str, Any] = {
            "client_id": client_id,
            "linger_ms": linger_ms,
            "max_batch_size": 131_072,
            "request_timeout_ms": int(timeout_s / 2 * 1000),
        }
        self._producer: Any = None
        self._places = asyncio.Semaphore(_ON_THE_WAY)
        self._error: UnreachableError | None = None
        self.sent = 0
        """Records given to Kafka's client so far."""
        self._unsettled = 0
        self._settled = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._producer = await start_producer(self._settings, **self._options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            producer, self._producer = self._producer, None
            try:
                async with asyncio.timeout(10):
                    await producer.stop()
            except TimeoutError:
                pass  # what is not acknowledged by now was told above, or the caller gave up on it

    async def send(self, topic: str, key: str | None, value: bytes) -> None:
        """Send one record; without a key it goes to any partition."""
        from aiokafka.errors import KafkaError

        if self._error is not None:
            raise self._error
        await self._places.acquire()
        try:
            async with asyncio.timeout(self._timeout_s):
                future = await self._producer.send(
                    topic, value=value, key=None if key is None else key.encode(), headers=[CONTENT_TYPE]
                )
        except (KafkaError, TimeoutError, OSError) as error:
            self._places.release()
            raise self._failed(error, topic) from error
        self.sent += 1
        self._unsettled += 1
        future.add_done_callback(lambda done: self._acknowledged(done, topic))

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while self._unsettled and self._error is None:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError as error:
            raise self._failed(error, "") from error
        if self._error is not None:
            raise self._error

    def _acknowledged(self, done: "asyncio.Future[Any]", topic: str) -> None:
        self._places.release()
        self._unsettled -= 1
        error = None if done.cancelled() else done.exception()
        if error is not None and self._error is None:
            self._error = self._failed(error, topic)
        if not self._unsettled or error is not None:
            self._settled.set()

    def _failed(self, error: BaseException, topic: str) -> UnreachableError:
        reason = "nothing came back in time" if isinstance(error, TimeoutError) else why(error, topic)
        return UnreachableError(
            f"Kafka at {self._settings.brokers} did not take everything: {reason}. Run it again when Kafka is "
            "back: the ids are the same, so nothing counts twice"
        )

"""The publisher of a chaos run, as a process of its own: `python -m tests.chaos.publishing`.

Sends the mess at a steady rate until SIGTERM, then what is left of what every run sends. What Kafka does
not acknowledge is sent again, without end, so records may come twice, and overtake each other: that is part
of the mess. SIGUSR1 tells it that partitions have grown. On stdout: how many are acknowledged, once a second, and what they were, at the end.
"""

import asyncio
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dealpulse.child import Child
from events.clock import Clock
from tests.chaos.mess import GROWN, Mess, Sent
from tests.integration.servers import PROJECT

_STEPS_PER_S = 50
_ON_THE_WAY = 20_000


class Publishing(Child):
    """That process, as a child of the run."""

    def __init__(self, brokers: str, *, rate: int, seed: int) -> None:
        super().__init__("publishing")
        self._arguments = ["--brokers", brokers, "--rate", str(rate), "--seed", str(seed)]

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "tests.chaos.publishing", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        return environment_of_tests()

    def ready(self) -> bool:
        return self.running and self.acknowledged() > 0

    def acknowledged(self) -> int:
        """How many records Kafka has acknowledged."""
        return int(self._last().get("acknowledged", 0))

    def hear_of_growth(self) -> None:
        """Place what comes from now on by the partitions that there are by now."""
        self.signal(signal.SIGUSR1)

    def end(self) -> dict[str, int]:
        """Stop it; what it has made, by kind."""
        self.signal(signal.SIGTERM)
        code = self.wait(90)
        assert code == 0, self.output()[-2_000:]
        return dict(self._last())

    def _last(self) -> dict[str, Any]:
        lines = [line for line in self.output().splitlines() if line.startswith("{") and line.endswith("}")]
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return found


def environment_of_tests() -> dict[str, str]:
    """This process's environment, with which a child in another folder finds `tests`."""
    import os

    return {**os.environ, "PYTHONPATH": str(PROJECT)}


@click.command()
@click.option("--brokers", required=True)
@click.option("--rate", type=int, required=True, help="Records a second.")
@click.option("--seed", type=int, required=True)
def main(brokers: str, rate: int, seed: int) -> None:
    """Publish the mess of a seed until told to stop."""
    asyncio.run(_Publisher(brokers, rate=rate, seed=seed).run())


class _Publisher:
    def __init__(self, brokers: str, *, rate: int, seed: int) -> None:
        self._brokers, self._rate = brokers, rate
        self._mess = Mess(seed=seed, end_ms=Clock().now_ms())
        self._again: deque[Sent] = deque()
        self._on_the_way = self._acknowledged = self._sent_again = 0
        self._stop = asyncio.Event()

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._hear_of_growth)
        async with AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            linger_ms=5,
            compression_type="lz4",
            max_request_size=4_000_000,
            request_timeout_ms=10_000,
            metadata_max_age_ms=5_000,
        ) as producer:
            await self._publish(producer)
        self._tell(**self._mess.counts)

    def _hear_of_growth(self) -> None:
        self._mess.partitions = GROWN

    async def _publish(self, producer: Any) -> None:
        records, began, given, told_at = self._records(), time.monotonic(), 0, 0.0
        upcoming = next(records, None)
        while upcoming or self._again or self._on_the_way:
            now = time.monotonic()
            if now - told_at > 1.0:
                self._tell()
                told_at = now
            due = int((now - began) * self._rate) - given
            if due > self._rate:  # an outage lasted: it is not made up for, or all would come at once
                began, given, due = now, 0, self._rate // _STEPS_PER_S
            while due > 0 and self._on_the_way < _ON_THE_WAY:
                if self._again:
                    sent = self._again.popleft()
                elif upcoming:
                    sent, upcoming = upcoming, next(records, None)
                else:
                    break
                await self._send(producer, sent)
                due, given = due - 1, given + 1
            await asyncio.sleep(1 / _STEPS_PER_S)

    def _records(self) -> Iterator[Sent]:
        for sent in self._mess:
            yield sent
            if self._stop.is_set():
                break
        yield from self._mess.rest()

    async def _send(self, producer: Any, sent: Sent) -> None:
        stamp = None if not sent.skew_ms else int(time.time() * 1000) + sent.skew_ms
        try:
            done = await producer.send(
                sent.topic, sent.value, key=sent.key, partition=sent.partition, timestamp_ms=stamp
            )
        except KafkaError:
            self._again.append(sent)
            self._sent_again += 1
            return
        self._on_the_way += 1
        done.add_done_callback(lambda future: self._settled(future, sent))

    def _settled(self, future: "asyncio.Future[Any]", sent: Sent) -> None:
        self._on_the_way -= 1
        if future.cancelled() or future.exception() is not None:
            self._again.append(sent)
            self._sent_again += 1
        else:
            self._acknowledged += 1

    def _tell(self, **more: int) -> None:
        print(
            json.dumps({"acknowledged": self._acknowledged, "sent_again": self._sent_again, **more}),
            flush=True,
        )


if __name__ == "__main__":
    main()

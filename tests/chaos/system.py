"""The world of a chaos run: Kafka, Redis behind proxies, workers, an exporter, Prometheus, and a watch on freshness."""

import json
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis

from dealpulse.child import free_port
from dealpulse.embedded import RedisServer
from events.topics import TOPICS
from tests.chaos import launcher
from tests.chaos.proxy import Proxy
from tests.chaos.publishing import Publishing, environment_of_tests
from tests.integration.monitoring import ExporterProcess, Prometheus
from tests.integration.servers import ApacheKafka
from tests.integration.traffic import PARTITIONS, make_topics
from tests.integration.worker import Worker

ALL = len(TOPICS) * PARTITIONS
CURRENT_WITHIN_S = 5.0
"""A figure that is true for an instant no further back is current, on a machine that does everything at once."""
_WATCH_EVERY_S = 0.1


class ChaosWorker(Worker):
    """A worker with fault points."""

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "tests.chaos.launcher", "worker"]

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **environment_of_tests(), **self.settings()}

    def settings(self) -> Mapping[str, str]:
        """Its settings as variables."""
        return {f"DEALPULSE_{key}": value for key, value in self._settings.items()}

    def owned(self) -> int:
        """How many partitions it has, as far as it knows."""
        return int(self.metric("dealpulse_worker_assigned_partitions"))


class Early(ExporterProcess):
    """An exporter that counts as started once it listens, ready or not."""

    def ready(self) -> bool:
        return self.running and bool(self.address) and self.get("/healthz")[0] == 200

    def checks(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """Status of `/readyz`, and its checks by name."""
        status, body = self.get("/readyz")
        if not status:
            return 0, {}
        return status, {check["name"]: check for check in json.loads(body)["checks"]}

    def sample(self, series: str) -> float | None:
        """The value of a series in `/metrics`; None if it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None


class Look(NamedTuple):
    """What the exporter said at an instant (monotonic): ready or not, and how old its figures are."""

    at: float
    ready: bool
    age_s: float | None


class Watch:
    """Asks `/readyz` ten times a second, on a thread of its own."""

    def __init__(self, exporter: Early) -> None:
        self._exporter = exporter
        self.looks: list[Look] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_WATCH_EVERY_S):
            asked = time.monotonic()
            try:
                status, checks = self._exporter.checks()
            except (ValueError, OSError):  # cut off in the middle of an answer
                status, checks = 0, {}
            found = re.search(r"true as of ([0-9.]+) s ago", checks.get("fresh", {}).get("detail", ""))
            self.looks.append(Look(asked, status == 200, float(found[1]) if found else None))

    def recovery_s(self, since: float, *, seconds: float) -> float:
        """How long after an instant the exporter showed figures that are current and of after it."""
        deadline, at = time.monotonic() + seconds, 0
        while True:
            for look in self.looks[at:]:
                at += 1
                if look.at < since or not look.ready or look.age_s is None or look.age_s > CURRENT_WITHIN_S:
                    continue
                if look.at - look.age_s > since:
                    return look.at - since
            if time.monotonic() > deadline:
                raise TimeoutError(f"not current again within {seconds:g} s: {self.looks[-1:]}")
            time.sleep(_WATCH_EVERY_S / 2)

    def ages_s(self, since: float) -> list[float]:
        """The ages of the figures since an instant, in order of size."""
        return sorted(look.age_s for look in self.looks if look.at >= since and look.age_s is not None)


class System:
    """Everything that a run starts. A context manager: entering starts it all, the exporter first."""

    def __init__(self, *, rate: int, seed: int, workers: int = 2, scrape_s: int = 5, **settings: str) -> None:
        self.rate, self.seed, self._scrape_s = rate, seed, scrape_s
        self._settings, self._count = settings, workers
        self._stack = ExitStack()
        self.partitions = PARTITIONS
        """Of each topic."""
        self.workers: list[ChaosWorker] = []
        self.gone: list[ChaosWorker] = []
        """Workers that were taken out of service; their logs are looked at in the end."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.broker = ApacheKafka(free_port(), heap_megabytes=1024)
            self.store = RedisServer(free_port())
            self.to_store = stack.enter_context(Proxy(self.store.port))
            self.view = stack.enter_context(Proxy(self.store.port))
            listen = f"127.0.0.1:{free_port()}"
            self.exporter = Early(
                self.view.url,
                **{
                    "EXPORTER__LISTEN": listen,
                    "KAFKA__BROKERS": self.broker.brokers,
                    "REDIS__REQUEST_TIMEOUT": "2s",
                    "REDIS__CONNECT_TIMEOUT": "2s",
                    **self._settings,
                },
            )
            stack.enter_context(self.exporter)
            self.watch = stack.enter_context(Watch(self.exporter))
            assert self.exporter.checks()[0] == 503, "an exporter without anything is not ready"
            self.prometheus = stack.enter_context(Prometheus(_scraping(listen, self._scrape_s), {}))
            stack.enter_context(self.store)
            stack.enter_context(self.broker)
            make_topics(self.broker.brokers)
            self.redis: Any = redis.Redis.from_url(self.store.url)
            stack.callback(self.redis.close)
            self._stack = stack
            self.add_workers(self._count)
            self.publishing = Publishing(self.broker.brokers, rate=self.rate, seed=self.seed)
            stack.enter_context(self.publishing)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_workers(self, count: int) -> None:
        """Start so many more workers, at the same time."""
        fresh = [
            ChaosWorker(self.broker.brokers, self.to_store.url, group="chaos", **self._settings)
            for _ in range(count)
        ]
        for worker in fresh:
            self._stack.callback(worker.stop)
        self.start(fresh)
        self.workers += fresh

    def start(self, workers: Sequence[ChaosWorker]) -> None:
        """Start these at the same time."""
        with ThreadPoolExecutor() as pool:
            for worker in workers:
                worker.kill()  # of one that has ended by itself, its keeper is left
            list(pool.map(ChaosWorker.start, workers))

    def regrown(self, partitions: int) -> None:
        """The topics have so many partitions now: set that, and restart who goes by it, as an operator does."""
        self.partitions = partitions
        self.exporter.stop()
        self.exporter.configure(KAFKA__PARTITIONS=str(partitions))
        self.exporter.start()

    def dealpulse_environment(self) -> dict[str, str]:
        """The variables with which a command finds this system."""
        return {
            **environment_of_tests(),
            "DEALPULSE_KAFKA__BROKERS": self.broker.brokers,
            "DEALPULSE_KAFKA__PARTITIONS": str(self.partitions),
            "DEALPULSE_REDIS__URL": self.store.url,
            "DEALPULSE_EXPORTER__LISTEN": self.exporter.address,
        }

    def heal(self) -> None:
        """End every fault, whatever it was: all run again, and nothing is held back."""
        self.view.accept()
        for server in (self.store, self.broker):
            server.resume() if server.running else server.start()
        self.redis.config_set("maxmemory", 0)
        for worker in self.workers:
            worker.resume()
            if worker.folder is not None:
                launcher.disarm(worker.folder)
        self.start([worker for worker in self.workers if not worker.running])
        if not self.exporter.running:
            self.exporter.start()

    def rest(self) -> None:
        """End everything: what it has written stays to be read."""
        for child in (*self.workers, self.exporter, self.prometheus, self.store, self.broker):
            child.kill()

    def last_words(self) -> str:
        """What everybody said last, for whoever has to find out why."""
        said = [f"exporter: {self.exporter.checks()}"]
        for child in (self.broker, self.store, self.publishing, self.exporter, *self.workers):
            lines = child.output().splitlines()[-15:]
            said.append(f"--- {child.name}, running: {child.running}")
            said += [line[:400] for line in lines]
            if isinstance(child, ChaosWorker):
                said.append(child.get("/readyz")[1])
        return "\n".join(said)

    def faults_in_logs(self) -> list[str]:
        """What no worker may ever say, and the exporter neither."""
        found = []
        for child in (*self.workers, *self.gone, self.exporter):
            output = child.output()
            found += [
                line[:500]
                for line in output.splitlines()
                if "Traceback" in line or '"worker.failed"' in line or '"figures.failed"' in line
            ]
        return found


def _scraping(address: str, every_s: int) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": f"{every_s}s", "scrape_timeout": f"{every_s}s"},
        "scrape_configs": [{"job_name": "dealpulse-exporter", "static_configs": [{"targets": [address]}]}],
    }

"""A worker as a process of its own, as an operator starts it."""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from dealpulse.child import Child

GROUP_TIMEOUT_S = 3.0
"""The session timeout under test: a killed worker is missed after it."""


class Worker(Child):
    """`dealpulse worker` on any free port."""

    start_seconds = 45.0

    def __init__(
        self, brokers: str, redis_url: str, *, group: str = "dealpulse", says: str = "", **settings: str
    ) -> None:
        """`says`: it counts as started once it has logged that event, whether it is ready or not."""
        super().__init__("worker")
        self._says = says
        self._settings = {
            "KAFKA__BROKERS": brokers,
            "REDIS__URL": redis_url,
            "WORKER__LISTEN": "127.0.0.1:0",
            "WORKER__GROUP": group,
            "WORKER__SESSION_TIMEOUT": str(GROUP_TIMEOUT_S),
            "LOG__FORMAT": "json",
            **settings,
        }

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "dealpulse", "worker"]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **{f"DEALPULSE_{key}": value for key, value in self._settings.items()}}

    def ready(self) -> bool:
        if self._says:
            return self.running and bool(self.said(self._says))
        return self.running and self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; status 0 if nothing answers."""
        found = re.findall(r"http://(127\.0\.0\.1:\d+)/metrics", self.output())
        if not found:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{found[-1]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if re.match(rf"{name}(\{{|$)", series) and all(
                f'{key}="{text}"' in series for key, text in labels.items()
            ):
                total += float(value)
        return total

    def said(self, event: str) -> list[dict[str, object]]:
        """The log lines of an event."""
        lines = [line for line in self.output().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == event]

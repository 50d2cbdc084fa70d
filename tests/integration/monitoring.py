"""Real Prometheus and Alertmanager, an exporter as a process, and a receiver of alerts."""

import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

from dealpulse.child import Child
from dealpulse.embedded import Server


class ExporterProcess(Child):
    """`dealpulse exporter` on any free port."""

    start_seconds = 60.0

    def __init__(self, redis_url: str, **settings: str) -> None:
        super().__init__("exporter")
        self._settings = {
            "REDIS__URL": redis_url,
            "EXPORTER__LISTEN": "127.0.0.1:0",
            "LOG__FORMAT": "json",
            **settings,
        }

    def configure(self, **settings: str) -> None:
        """Set these from its next start on."""
        self._settings |= settings

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "dealpulse", "exporter"]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **{f"DEALPULSE_{key}": value for key, value in self._settings.items()}}

    @property
    def address(self) -> str:
        """`host:port` it listens on; empty until it does."""
        found = re.findall(r"exporter: http://(127\.0\.0\.1:\d+)/", self.output())
        return found[-1] if found else ""

    def ready(self) -> bool:
        return self.running and bool(self.address) and self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; status 0 if nothing answers."""
        return fetch(f"http://{self.address}{path}")


class Prometheus(Server):
    """Prometheus with a configuration of its own, as a document; rules are files of `rules`."""

    def __init__(self, configuration: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__("prometheus")
        self._configuration, self._rules = configuration, rules

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        for name, document in self._rules.items():
            (folder / name).write_text(yaml.safe_dump(dict(document)))
        document = {**self._configuration, "rule_files": list(self._rules)}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(document))

    def command(self, folder: Path) -> Sequence[str]:
        return [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        return self.running and fetch(f"http://127.0.0.1:{self.port}/-/ready")[0] == 200

    def api(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of the HTTP API. Raises AssertionError with what it says is wrong."""
        query = urllib.parse.urlencode(parameters)
        status, body = fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}")
        found = json.loads(body)
        assert status == 200, f"{parameters}: {found.get('error', body)}"
        return found["data"]

    def series(self, query: str) -> list[dict[str, Any]]:
        """What an instant query gives."""
        found: list[dict[str, Any]] = self.api("query", query=query)["result"]
        return found

    def firing(self, alert: str) -> list[dict[str, Any]]:
        """The firing alerts of a name."""
        return [
            one
            for one in self.api("alerts")["alerts"]
            if one["labels"]["alertname"] == alert and one["state"] == "firing"
        ]


class Alertmanager(Server):
    """Alertmanager with a configuration of its own and the templates that ship."""

    def __init__(self, configuration: Mapping[str, Any], template: str) -> None:
        super().__init__("alertmanager")
        self._configuration, self._template = configuration, template

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        (folder / "templates").mkdir(exist_ok=True)
        (folder / "templates/dealpulse.tmpl").write_text(self._template)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(self._configuration)))

    def command(self, folder: Path) -> Sequence[str]:
        return [
            "prometheus-alertmanager",
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        return self.running and fetch(f"http://127.0.0.1:{self.port}/-/ready")[0] == 200

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts it holds, with their state."""
        status, body = fetch(f"http://127.0.0.1:{self.port}/api/v2/alerts")
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found


class Receiver:
    """A webhook that keeps what it is sent, by path."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def alerts(self, path: str, alert: str, status: str = "firing") -> list[dict[str, Any]]:
        """The alerts of a name and status that came to a path."""
        return [
            one
            for found, message in list(self.received)
            if found == path
            for one in message["alerts"]
            if one["labels"]["alertname"] == alert and one["status"] == status
        ]


def fetch(address: str) -> tuple[int, str]:
    """Status and body; status 0 if nothing answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_until(condition: Callable[[], object], what: str, *, seconds: float) -> None:
    """Wait for a condition, asked ten times a second. Fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"over {seconds:g} s: {what}"
        time.sleep(0.1)

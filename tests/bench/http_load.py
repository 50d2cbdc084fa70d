"""A load of HTTP requests over raw sockets: it costs so little that the server under it is what is measured."""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_ANSWERED_WITHIN_S = 20.0


@dataclass
class Load:
    """What a load found: seconds that each answer took, in order of arrival, and how long all of it lasted."""

    taken: list[float] = field(default_factory=list)
    spent_s: float = 0.0

    def percentile_ms(self, share: float) -> float:
        """The time within which this share of the requests was answered."""
        ordered = sorted(self.taken)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)


def prepared(host: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """One whole request, made before the clock runs."""
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def load(address: str, requests: Sequence[bytes], *, seconds: float, at_once: int) -> Load:
    """Send for so long, over `at_once` connections, each with one request under way.

    Raises AssertionError for an answer that is not 200, TimeoutError if answers stay out.
    """
    host, _, port = address.rpartition(":")
    loop, found = asyncio.get_running_loop(), Load()
    waiting = itertools.cycle(requests)
    began = time.monotonic()
    ended = [loop.create_future() for _ in range(at_once)]
    for end in ended:
        await loop.create_connection(
            lambda end=end: _Sender(waiting, found.taken, began + seconds, end),  # type: ignore[misc]  # mypy cannot infer a lambda's default
            host,
            int(port),
        )
    async with asyncio.timeout(seconds + _ANSWERED_WITHIN_S):
        await asyncio.gather(*ended)
    found.spent_s = time.monotonic() - began
    return found


class _Sender(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until the time is over."""

    def __init__(
        self, requests: Iterator[bytes], taken: list[float], until: float, ended: "asyncio.Future[None]"
    ) -> None:
        self._requests, self._taken, self._until, self._ended = requests, taken, until, ended
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if blank else None
        if length is None or len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._end(AssertionError(self._answer.decode(errors="replace")))
            return
        self._answer = b""
        self._taken.append(time.monotonic() - self._sent)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.monotonic()
        if self._sent >= self._until:
            self._end(None)
        else:
            self._transport.write(next(self._requests))

    def _end(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
        self._transport.close()

"""A TCP proxy that resets connections in the middle of a request or of an answer, or refuses them all."""

import asyncio
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, Self

_CHUNK = 65_536
Cut = Literal["request", "answer"]
"""Where a connection breaks: half of a request has arrived, or all of it and no answer comes back."""


class Proxy:
    """Forwards to a port of 127.0.0.1, on a thread of its own, until left."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.resets = 0
        """Connections reset so far."""
        self._to_cut = 0
        self._where: Cut = "request"
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """For `redis.url`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self, where: Cut, connections: int = 1) -> None:
        """Reset the next so many requests, wherever they come from."""
        self._where, self._to_cut = where, connections

    def refuse(self) -> None:
        """Reset every connection, and each new one, until `accept`."""
        self._refuses = True
        self._loop.call_soon_threadsafe(self._reset_all)

    def accept(self) -> None:
        """Forward again."""
        self._refuses = False

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop
        )
        self._server = starting.result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reset_all()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, upstream[1]}
        try:
            await asyncio.gather(
                self._requests(reader, upstream[1], writer), self._answers(upstream[0], writer)
            )
        except OSError:
            pass  # either side has gone: so does the other
        finally:
            self._writers -= {writer, upstream[1]}
            for end in (writer, upstream[1]):
                _reset(end)

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._to_cut > 0:
                self._to_cut -= 1
                self.resets += 1
                upstream.write(chunk[: len(chunk) // 2] if self._where == "request" else chunk)
                await upstream.drain()
                if self._where == "request":
                    _reset(client)
                    raise ConnectionResetError
                _reset(client)  # the server works on, and tells nobody
                await asyncio.sleep(0.2)
                raise ConnectionResetError
            upstream.write(chunk)
            await upstream.drain()
        raise ConnectionResetError

    async def _answers(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            client.write(chunk)
            await client.drain()
        raise ConnectionResetError

    def _reset_all(self) -> None:
        for writer in self._writers:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: nothing that waits to be sent is sent."""
    peer: socket.socket | None = writer.get_extra_info("socket")
    if peer is not None and not writer.transport.is_closing():
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

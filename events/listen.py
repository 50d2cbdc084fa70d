"""An address to listen on: `host:port`; port 0 is any free one."""

from typing import Annotated

from pydantic import AfterValidator


def host_and_port(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host stands in brackets. Raises ValueError.

    >>> host_and_port("127.0.0.1:8402"), host_and_port("[::1]:0")
    (('127.0.0.1', 8402), ('::1', 0))
    """
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise ValueError(f"{listen!r} is no address to listen on: write host:port, port 0 for any free one")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _checked(listen: str) -> str:
    host_and_port(listen)
    return listen


Listen = Annotated[str, AfterValidator(_checked)]
"""`host:port`, checked."""

"""A client of Redis as the settings say, asyncio's or a blocking one: they log in in one way."""

from collections.abc import Callable
from typing import Any

from streams.settings import RedisSettings


def connected(
    from_url: Callable[..., Any], settings: RedisSettings, *, connect_s: float, request_s: float
) -> Any:
    """What `from_url` of redis-py makes of the address. It connects at the first request."""
    client = from_url(settings.url, socket_connect_timeout=connect_s, socket_timeout=request_s)
    if password := settings.password.get_secret_value():
        # As an argument of from_url it would lose against one in the address.
        client.connection_pool.connection_kwargs["password"] = password
    return client

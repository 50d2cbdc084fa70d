"""Logging in to Redis: the password of the settings, and users who may not do everything."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
from pydantic import SecretStr

from dealpulse import doctor
from events.clock import Clock
from streams.follower import connect
from streams.settings import RedisSettings
from tests.integration.servers import RedisServer


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A Redis that asks for a password: `new` of everybody; `plain` is a user without @dangerous."""
    with RedisServer() as server:
        with redis.Redis.from_url(server.url) as client:
            client.acl_setuser("plain", enabled=True, passwords=["+new"], keys="*", categories=["+@all"])
            client.execute_command("ACL", "SETUSER", "plain", "-@dangerous")
            client.config_set("requirepass", "new")
        yield server


def settings(server: RedisServer, login: str, password: str = "") -> RedisSettings:
    url = f"redis://{login}@127.0.0.1:{server.port}/0"
    return RedisSettings(url=url, password=SecretStr(password))


def found(redis_settings: RedisSettings) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor._redis(redis_settings, Clock())}


async def pinged(redis_settings: RedisSettings) -> bool:
    client = connect(redis_settings)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


@pytest.mark.parametrize("login", [":old", "default:old", "plain:old", ":"])
def test_the_password_of_the_settings_goes_before_the_one_in_the_address(
    guarded: RedisServer, login: str
) -> None:
    rotated = settings(guarded, login, "new")

    assert asyncio.run(pinged(rotated))
    assert found(rotated)["redis"].state in ("ok", "warning")


def test_a_password_in_the_address_alone_still_logs_in(guarded: RedisServer) -> None:
    assert asyncio.run(pinged(settings(guarded, ":new")))
    assert found(settings(guarded, ":new"))["redis"].state == "ok"


def test_a_user_who_may_not_ask_redis_about_itself_is_told_so_and_the_clock_is_still_looked_at(
    guarded: RedisServer,
) -> None:
    checks = found(settings(guarded, "plain:new"))

    assert {name: check.state for name, check in checks.items()} == {"redis": "warning", "clock": "ok"}
    assert "may not be seen by this user" in checks["redis"].found
    assert checks["redis"].fix == "ACL SETUSER <user> +info"


def test_a_user_who_may_ask_nothing_is_no_redis_that_is_down(guarded: RedisServer) -> None:
    with redis.Redis.from_url(guarded.url, password="new") as client:
        client.execute_command("ACL", "SETUSER", "nobody", "on", ">new", "-@all")

    check = found(settings(guarded, "nobody:new"))["redis"]

    assert (check.state, "ACL SETUSER" in check.fix) == ("failed", True)

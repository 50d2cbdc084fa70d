"""The one reader of the time: real, shifted, sped up or standing still, and the same in every process.

`DEALPULSE_CLOCK` holds comma-separated parts, all optional:

    offset=<seconds>     shows that many seconds more than the real time (negative: less)
    offset=<instant>     shows that instant (RFC 3339 with offset) at the anchor
    speed=<factor>       one real second counts that many; 0 stands still, 1 is the default
    anchor=<instant>     the real instant from which speed counts; default: when this process started

Without an anchor two processes that start apart disagree as soon as `speed` is not 1 or `offset` is an
instant. With one they agree for ever: whoever starts several (the demo, a test) gives them `Clock.spec`
of its own clock, which always names the anchor.

    DEALPULSE_CLOCK=offset=2026-11-23T09:00:00+08:00,speed=60,anchor=2026-11-24T03:30:00Z
"""

import os
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, Self

from .errors import ConfigurationError
from .event import EPOCH_UNIX_S
from .instants import instant_text, time_ns

VARIABLE: Final = "DEALPULSE_CLOCK"
_EPOCH_UNIX_NS = EPOCH_UNIX_S * 10**9
_WALL = time.time_ns  # noqa: TID251 - this is the one reader of the time


class Clock:
    """Shows `anchor + shift` at the real instant `anchor`, and runs `speed` times as fast from there.

    `anchor_ns` and `shift_ns` are nanoseconds (since 2000-01-01 UTC, and a difference). `wall` gives
    Unix nanoseconds; tests may bring their own.
    """

    def __init__(
        self,
        *,
        anchor_ns: int | None = None,
        shift_ns: int = 0,
        speed: Fraction | int = 1,
        wall: Callable[[], int] = _WALL,
    ) -> None:
        self._wall = wall
        self.ahead_ms = 0
        """By how much this machine is ahead of the clock that is gone by, in real ms: it is taken off."""
        self.anchor_ns = self._real_ns() if anchor_ns is None else anchor_ns
        self.shift_ns = shift_ns
        self.speed = Fraction(speed)

    @classmethod
    def parse(cls, text: str, *, wall: Callable[[], int] = _WALL) -> Self:
        """The clock that a text like that of `DEALPULSE_CLOCK` describes. Raises ConfigurationError."""
        parts: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = part.partition("=")
            if name not in ("offset", "speed", "anchor"):
                raise ConfigurationError(
                    f"{VARIABLE}: unknown part {part!r}. Allowed: offset=<seconds or instant>, "
                    "speed=<factor>, anchor=<instant>, separated by commas"
                )
            parts[name] = value
        anchor = _instant("anchor", parts["anchor"]) if "anchor" in parts else None
        clock = cls(anchor_ns=anchor, speed=_factor(parts.get("speed", "1")), wall=wall)
        clock.shift_ns = _shift(parts.get("offset", "0"), clock.anchor_ns)
        return clock

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The clock that the environment asks for; the real time if it is silent."""
        return cls.parse(environ.get(VARIABLE, ""))

    @classmethod
    def standing(cls, at_ms: int) -> Self:
        """A clock that shows `at_ms` (ms since 2000-01-01 UTC) until `move` is called."""
        return cls(anchor_ns=at_ms * 1_000_000, speed=0)

    def now_ns(self) -> int:
        """Now, in ns since 2000-01-01 UTC."""
        return self._shown_ns(self._real_ns())

    def now_ms(self) -> int:
        """Now, in ms since 2000-01-01 UTC."""
        return self.now_ns() // 1_000_000

    def unix_ms(self) -> int:
        """Now, in Unix ms: what Kafka and Prometheus write."""
        return self.now_ms() + EPOCH_UNIX_S * 1000

    def machine_ms(self) -> int:
        """The time of this machine as it is, in Unix ms: to be compared with another machine's."""
        return self._wall() // 1_000_000

    def shown_ms(self, real_ms: int) -> int:
        """What this clock showed at a real instant, such as Kafka's append time; both ms since 2000."""
        return self._shown_ns(real_ms * 1_000_000) // 1_000_000

    def real_ms(self, shown_ms: int) -> int:
        """The real instant at which this clock shows `shown_ms`; both ms since 2000.

        One that stands still shows an instant never or for ever: it is told as it is shown.
        """
        if not self.speed:
            return shown_ms
        run = shown_ms * 1_000_000 - self.anchor_ns - self.shift_ns
        real_ns = self.anchor_ns + run * self.speed.denominator // self.speed.numerator
        return real_ns // 1_000_000

    def move(self, *, ms: int) -> None:
        """Put the clock forward (negative: back). For tests that hold time in their hands."""
        self.shift_ns += ms * 1_000_000

    def real_seconds(self, seconds: float) -> float:
        """How long really to wait for `seconds` of this clock; infinity if it stands still."""
        return seconds / float(self.speed) if self.speed else float("inf")

    @property
    def spec(self) -> str:
        """The text that makes another process's clock agree with this one, anchor included."""
        shift = f"{self.shift_ns // 10**9}.{self.shift_ns % 10**9:09d}"
        if self.shift_ns < 0 and self.shift_ns % 10**9:
            below = -self.shift_ns
            shift = f"-{below // 10**9}.{below % 10**9:09d}"
        speed = str(self.speed) if self.speed.denominator != 1 else str(self.speed.numerator)
        return f"offset={shift},speed={speed},anchor={instant_text(self.anchor_ns)}"

    def _shown_ns(self, real_ns: int) -> int:
        if self.speed == 1:
            return real_ns + self.shift_ns
        run = (real_ns - self.anchor_ns) * self.speed.numerator // self.speed.denominator
        return self.anchor_ns + self.shift_ns + run

    def _real_ns(self) -> int:
        return self._wall() - _EPOCH_UNIX_NS - self.ahead_ms * 1_000_000


def _instant(name: str, text: str) -> int:
    try:
        return time_ns(text)
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE}: {name}={text!r}: {error}") from None


def _factor(text: str) -> Fraction:
    try:
        speed = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ConfigurationError(f"{VARIABLE}: speed={text!r} is no number. Example: speed=60") from None
    if speed < 0:
        raise ConfigurationError(f"{VARIABLE}: speed={text} runs backwards. Allowed: 0 or more")
    return speed


def _shift(text: str, anchor_ns: int) -> int:
    try:
        return int(Fraction(text) * 10**9)
    except (ValueError, ZeroDivisionError):
        return _instant("offset", text) - anchor_ns

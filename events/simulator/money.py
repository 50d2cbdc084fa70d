"""Amounts and exchange rates of the simulated companies."""

from random import Random

from .agenda import Agenda
from .days import HOUR_MS, day_start, day_text, is_weekday, local_day
from .outbox import Outbox

_USD_COSTS = {"USD": 1.0, "TWD": 31.5, "EUR": 0.92, "JPY": 148.0}
_PAIRS = ("TWD", "EUR", "JPY")
_PAST_WEEKS = 160


def price(usd: float, currency: str) -> str:
    """An amount in a currency, rounded as a salesperson rounds, as decimal text.

    >>> price(12_340.0, "USD"), price(12_340.0, "JPY")
    ('12300.00', '1830000')
    """
    amount = usd * _USD_COSTS[currency]
    step = 10 ** max(0, len(str(int(amount))) - 3)
    rounded = max(step, round(amount / step) * step)
    return str(rounded) if currency == "JPY" else f"{rounded}.00"


class Rates:
    """Each working day at 16:00 UTC the rates of the currencies in use against the dollar."""

    def __init__(self, *, agenda: Agenda, outbox: Outbox, random: Random) -> None:
        self._agenda, self._outbox, self._random = agenda, outbox, random
        self._rates = {currency: 1 / _USD_COSTS[currency] for currency in _PAIRS}
        today = local_day(agenda.now_ms)
        # Contracts signed before the first day need rates too; a weekly one is never over 7 days old.
        for weeks in range(_PAST_WEEKS, 0, -1):
            self._fix(today - 7 * weeks, recorded_ms=agenda.now_ms)
        self._plan(today)

    def _plan(self, day: int) -> None:
        while not is_weekday(day):
            day += 1
        self._agenda.at(day_start(day) + 24 * HOUR_MS, self._fix_today, day)

    def _fix_today(self, day: int) -> None:
        self._fix(day, recorded_ms=None)
        self._plan(day + 1)

    def _fix(self, day: int, *, recorded_ms: int | None) -> None:
        for currency in _PAIRS:
            normal = 1 / _USD_COSTS[currency]
            pull = (normal - self._rates[currency]) * 0.01
            self._rates[currency] += pull + normal * self._random.gauss(0, 0.003)
            text = f"{self._rates[currency]:.8f}"
            data = {"base": currency, "quote": "USD", "date": day_text(day), "rate": text}
            subject = f"{currency}/USD/{day_text(day)}"
            time_ms = day_start(day) + 24 * HOUR_MS
            self._outbox.tell("fx_rate.changed", subject, data, time_ms=time_ms, recorded_ms=recorded_ms)

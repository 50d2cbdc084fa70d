"""The plans: what the company, its teams and its reps should win, quarter by quarter."""

from random import Random

from .agenda import Agenda
from .companies import Company
from .days import HOUR_MS, date_of, day_start, local_day, quarter_name, quarter_start
from .outbox import Outbox
from .staff import Staff

_WON_OF_CREATED = 0.26
_MEAN_OF_MEDIAN = 1.9  # of a deal's amount: segments and spread


class Plans:
    """Targets and goals, told ten days before their quarter; a rep's ramps up with him."""

    def __init__(
        self, company: Company, *, agenda: Agenda, outbox: Outbox, staff: Staff, random: Random
    ) -> None:
        self._company, self._agenda, self._outbox = company, agenda, outbox
        self._staff, self._random = staff, random
        today = local_day(agenda.now_ms)
        self._announce(quarter_start(today))
        self._plan(quarter_start(today, later=1))

    def _plan(self, quarter: int) -> None:
        self._agenda.at(day_start(quarter - 10) + 10 * HOUR_MS, self._announce_and_plan, quarter)

    def _announce_and_plan(self, quarter: int) -> None:
        self._announce(quarter)
        self._plan(quarter_start(quarter, later=1))

    def _announce(self, quarter: int) -> None:
        period, stretch = quarter_name(quarter), 1.05 + 0.1 * self._random.random()
        per_rep_wins = self._company.created_per_rep_28d * 3.25 * _WON_OF_CREATED
        per_rep_usd = per_rep_wins * self._company.deal_amount * _MEAN_OF_MEDIAN * stretch
        whole = 0.0
        for team in self._staff.teams:
            for rep in team.reps:
                usd = per_rep_usd * (0.5 if quarter - rep.hired_day < 90 else 1.0)
                self._tell(f"rep:{rep.id}/{period}", {"amount": _thousands(usd), "currency": "USD"})
            usd = per_rep_usd * team.planned
            whole += usd
            self._tell(f"team:{team.name}/{period}", {"amount": _thousands(usd), "currency": "USD"})
        wins = round(whole / per_rep_usd * per_rep_wins)
        self._tell(f"company/{period}", {"amount": _thousands(whole), "currency": "USD", "wins": wins})
        self._tell(f"company/{period}/win_rate/closed_count", {"value": "0.33"})
        if date_of(quarter).month == 1:
            year = f"company/{date_of(quarter).year}"
            self._tell(year, {"amount": _thousands(whole * 4.2), "currency": "USD"})

    def _tell(self, subject: str, data: dict[str, object]) -> None:
        self._outbox.tell("target.changed", subject, data, time_ms=self._agenda.now_ms)


def _thousands(usd: float) -> str:
    return f"{round(usd / 1000) * 1000}.00"

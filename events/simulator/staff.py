"""The people: reps who come, ramp up, change teams, go on leave and leave, and their managers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from . import names
from .agenda import Agenda
from .companies import Company
from .days import DAY_MS, HOUR_MS, day_start, day_text, instant_text, is_weekday, local_day
from .outbox import Outbox

if TYPE_CHECKING:
    from .opportunities import Opportunity

RAMP_DAYS = 90
"""How long a new rep takes to work as well as the others."""


@dataclass(eq=False, slots=True)
class Team:
    """A team with its manager and the reps who work in it today."""

    name: str
    manager_id: str
    planned: float
    """How many reps it should have; grows with the company."""
    reps: "list[Rep]" = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Rep:
    """A rep at work, and the open deals that are his."""

    id: str
    owner_id: str
    """The id under which the CRM knows him: the employee's own, or one of its aliases."""
    name: str
    team: Team
    hired_day: int
    skill: float
    away: bool = False
    leaving: bool = False
    open_deals: "dict[str, Opportunity]" = field(default_factory=dict)

    def effect(self, day: int) -> float:
        """How much of a full rep's work he does on a day: 0 (away) to 1."""
        if self.away or day < self.hired_day:
            return 0.0
        return min(1.0, max(0.1, (day - self.hired_day) / RAMP_DAYS))


class Staff:
    """Hires, transfers, leaves and departures, each told by the HR system."""

    def __init__(
        self, company: Company, reps: int, *, agenda: Agenda, outbox: Outbox, random: Random
    ) -> None:
        self._company, self._agenda, self._outbox, self._random = company, agenda, outbox, random
        self._hired = 0
        self.teams: list[Team] = []
        self.day_zero = local_day(agenda.now_ms)
        self._employ_the_first(reps)
        agenda.at(self._morning(self.day_zero + 1), self._live_a_day, self.day_zero + 1)

    def present(self, team: Team) -> list[Rep]:
        """The reps of a team who are at work today; never empty as long as somebody is employed."""
        day = local_day(self._agenda.now_ms)
        there = [rep for rep in team.reps if rep.effect(day) > 0]
        return there or [rep for rep in team.reps if day >= rep.hired_day] or team.reps

    def pick(self, team: Team) -> Rep:
        """A rep of the team, the more likely the more he can carry today."""
        day = local_day(self._agenda.now_ms)
        reps = self.present(team)
        return self._random.choices(reps, [rep.effect(day) + 0.01 for rep in reps])[0]

    def strength(self, team: Team) -> float:
        """How many full reps' work the team can do today."""
        day = local_day(self._agenda.now_ms)
        return sum(rep.effect(day) for rep in team.reps)

    # --- the first day -----------------------------------------------------------------------------

    def _employ_the_first(self, reps: int) -> None:
        per_team = 6 if reps <= 24 else 12
        count = max(1, reps // per_team)
        director = self._employ_manager("Sales", role="director", manager_id=None)
        for index in range(count):
            name = names.team(index)
            manager = self._employ_manager(name, role="sales_manager", manager_id=director)
            self.teams.append(Team(name, manager, planned=reps / count))
        for index in range(reps):
            age = int(self._random.triangular(40, 2_200, 400))
            self._employ(self.teams[index % count], self.day_zero - age, known_days_before=0)

    def _employ_manager(self, team: str, *, role: str, manager_id: str | None) -> str:
        self._hired += 1
        employee = f"E{self._hired:04}"
        hired = self.day_zero - self._random.randint(800, 3_000)
        data = {
            "name": names.person(self._random),
            "hired_on": day_text(hired),
            "role": role,
            "team": team,
            "effective_on": day_text(hired),
        }
        if manager_id:
            data["manager_id"] = manager_id
        self._tell(employee, data, time_ms=self._morning(hired), recorded_ms=self._agenda.now_ms)
        return employee

    # --- coming and going --------------------------------------------------------------------------

    def _employ(self, team: Team, hired_day: int, *, known_days_before: int) -> Rep:
        self._hired += 1
        number = self._hired
        # Every fourth rep has a CRM user id of his own; the HR system knows it as an alias.
        user_id = f"005{number:06}" if number % 4 == 0 else ""
        rep = Rep(
            id=f"E{number:04}",
            owner_id=user_id or f"E{number:04}",
            name=names.person(self._random),
            team=team,
            hired_day=hired_day,
            skill=min(1.12, max(0.86, self._random.gauss(1.0, 0.07))),
        )
        data: dict[str, object] = {
            "name": rep.name,
            "hired_on": day_text(hired_day),
            "role": "sales",
            "team": team.name,
            "manager_id": team.manager_id,
            "effective_on": day_text(hired_day),
        }
        if user_id:
            data["aliases"] = [f"{self._outbox.crm_source}:{user_id}"]
        time_ms = self._morning(hired_day - known_days_before)
        self._tell(rep.id, data, time_ms=time_ms, recorded_ms=max(time_ms, self._agenda.now_ms))
        team.reps.append(rep)
        # Not everybody makes a first call in his first week.
        for days in (self._random.randint(3, 24), self._random.randint(25, 45)):
            self._agenda.at(self._morning(hired_day + days) + 5 * HOUR_MS, self._call, rep)
        return rep

    def _call(self, rep: Rep) -> None:
        if rep in rep.team.reps and local_day(self._agenda.now_ms) > self.day_zero:
            subject = f"call-{rep.id}-{local_day(self._agenda.now_ms)}"
            data = {
                "rep_id": rep.owner_id,
                "kind": "call",
                "with": "prospect",
                "completed_at": instant_text(self._agenda.now_ms, utc=True),
            }
            self._outbox.tell("activity.completed", subject, data, time_ms=self._agenda.now_ms)

    def _live_a_day(self, day: int) -> None:
        self._agenda.at(self._morning(day + 1), self._live_a_day, day + 1)
        if not is_weekday(day):
            return
        draw = self._random.random
        per_day = 1 / 260
        for team in self.teams:
            team.planned *= 1 + self._company.yearly_growth * per_day
            for rep in list(team.reps):
                lot = draw()
                if rep.leaving or rep.away or day < rep.hired_day:
                    continue
                # A team is never halved by its own bad luck: HR lets one go at a time.
                present = len(self.present(team))
                thin = present < max(2.0, 0.7 * team.planned) or any(r.leaving for r in team.reps)
                if lot < self._company.yearly_attrition * per_day and not thin:
                    self._give_notice(rep, day)
                elif 0.5 < lot < 0.5 + 0.20 * per_day and not thin:
                    self._go_on_leave(rep, day)
                elif 0.7 < lot < 0.7 + 0.08 * per_day and len(self.teams) > 1 and not thin:
                    self._transfer(rep, day)
            if len(team.reps) < round(team.planned) and draw() < 0.08:
                self._employ(team, day + self._random.randint(7, 30), known_days_before=7)

    def _give_notice(self, rep: Rep, day: int) -> None:
        rep.leaving = True
        last = day + self._random.randint(14, 35)
        kind = self._random.choices(["voluntary", "involuntary", "other"], [7, 2, 1])[0]
        data = {"left_on": day_text(last), "leave_kind": kind}
        self._tell(rep.id, data, time_ms=self._agenda.now_ms)
        self._agenda.at(self._morning(last) + 9 * HOUR_MS, self._depart, rep, last)

    def _depart(self, rep: Rep, last: int) -> None:
        rep.team.reps.remove(rep)
        for deal in list(rep.open_deals.values()):
            deal.hand_over(self.pick(rep.team) if rep.team.reps else None)
        if self._random.random() < 0.08:  # the grass was not greener
            back = last + self._random.randint(10, 80)
            self._agenda.at(self._morning(back), self._return, rep, back)

    def _return(self, rep: Rep, day: int) -> None:
        rep.leaving = False
        rep.team.reps.append(rep)
        data = {
            "hired_on": day_text(day),
            "role": "sales",
            "team": rep.team.name,
            "manager_id": rep.team.manager_id,
            "effective_on": day_text(day),
        }
        self._tell(rep.id, data, time_ms=self._agenda.now_ms)

    def _go_on_leave(self, rep: Rep, day: int) -> None:
        back = day + self._random.randint(10, 70)
        self._tell(rep.id, {"on_leave": True, "effective_on": day_text(day)}, time_ms=self._agenda.now_ms)
        rep.away = True
        self._agenda.at(self._morning(back), self._come_back, rep, back)

    def _come_back(self, rep: Rep, day: int) -> None:
        rep.away = False
        self._tell(rep.id, {"on_leave": False, "effective_on": day_text(day)}, time_ms=self._agenda.now_ms)

    def _transfer(self, rep: Rep, day: int) -> None:
        rep.team.reps.remove(rep)
        rep.team = self._random.choice([team for team in self.teams if team is not rep.team])
        rep.team.reps.append(rep)
        data = {
            "team": rep.team.name,
            "manager_id": rep.team.manager_id,
            "effective_on": day_text(day),
        }
        # HR enters one transfer in three up to two weeks after it happened.
        late_ms = self._random.randint(1, 14) * DAY_MS if self._random.random() < 0.33 else 0
        now = self._agenda.now_ms
        self._tell(rep.id, data, time_ms=now + late_ms, recorded_ms=now + late_ms)

    def _tell(
        self, employee: str, data: Mapping[str, object], *, time_ms: int, recorded_ms: int | None = None
    ) -> None:
        self._outbox.tell("employee.changed", employee, dict(data), time_ms=time_ms, recorded_ms=recorded_ms)

    def _morning(self, day: int) -> int:
        return day_start(day) + 9 * HOUR_MS

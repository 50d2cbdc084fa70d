"""The accounts: prospects and customers, their parents, and the duplicates that get merged."""

from collections import deque
from dataclasses import dataclass
from random import Random

from . import names
from .agenda import Agenda
from .days import DAY_MS
from .outbox import Outbox
from .staff import Rep, Staff, Team

_SEGMENTS = ("SMB", "Mid-Market", "Enterprise")
_REGIONS = ("North", "Central", "South", "East", "Overseas")
_CURRENCIES = ("USD", "TWD", "EUR", "JPY")


@dataclass(eq=False, slots=True)
class Account:
    """One account, as far as what happens next depends on it."""

    id: str
    name: str
    segment: str
    currency: str
    rep: Rep
    contracts: int = 0
    """How many of its contracts run on."""


class Accounts:
    """New accounts, and the ones that a team knows already.

    A team remembers a bounded number of them, so that memory does not grow with the years.
    """

    def __init__(self, *, agenda: Agenda, outbox: Outbox, staff: Staff, random: Random) -> None:
        self._agenda, self._outbox, self._staff, self._random = agenda, outbox, staff, random
        self._opened = 0
        room = 400
        self._known: dict[str, deque[Account]] = {team.name: deque(maxlen=room) for team in staff.teams}
        self._customers: dict[str, deque[Account]] = {team.name: deque(maxlen=room) for team in staff.teams}

    def open(
        self, team: Team, rep: Rep, *, time_ms: int | None = None, recorded_ms: int | None = None
    ) -> Account:
        """A new account of the team, owned by the rep."""
        self._opened += 1
        account = Account(
            id=f"acc-{self._opened:06}",
            name=names.business(self._random),
            segment=self._random.choices(_SEGMENTS, [6, 3, 1])[0],
            currency=self._random.choices(_CURRENCIES, [50, 30, 12, 8])[0],
            rep=rep,
        )
        data: dict[str, object] = {
            "name": account.name,
            "owner_id": rep.owner_id,
            "segment": account.segment,
            "region": self._random.choice(_REGIONS),
        }
        known = self._known[team.name]
        if known and self._random.random() < 0.08:
            data["parent_id"] = self._random.choice(known).id
        now = self._agenda.now_ms if time_ms is None else time_ms
        self._outbox.tell("account.changed", account.id, data, time_ms=now, recorded_ms=recorded_ms)
        if known and self._random.random() < 0.006:
            self._agenda.at(now + self._random.randint(2, 40) * DAY_MS, self._merge, account, known[-1])
        known.append(account)
        return account

    def known(self, team: Team) -> Account | None:
        """An account that the team knows, or None while it knows none."""
        known = self._known[team.name]
        return self._random.choice(known) if known else None

    def customer(self, team: Team) -> Account | None:
        """A customer of the team with a contract running, or None if none comes to mind."""
        customers = self._customers[team.name]
        for _ in range(4):
            if customers:
                account = self._random.choice(customers)
                if account.contracts > 0:
                    return account
        return None

    def has_bought(self, account: Account) -> None:
        """Remember it as a customer of its owner's team."""
        self._customers[account.rep.team.name].append(account)

    def hand_over(self, account: Account, rep: Rep) -> None:
        """Give the account to another rep."""
        account.rep = rep
        data = {"owner_id": rep.owner_id}
        self._outbox.tell("account.changed", account.id, data, time_ms=self._agenda.now_ms)

    def _merge(self, loser: Account, survivor: Account) -> None:
        self._outbox.tell("account.merged", loser.id, {"into": survivor.id}, time_ms=self._agenda.now_ms)

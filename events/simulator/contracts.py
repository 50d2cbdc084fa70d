"""The contracts: signed, renewed, expanded, replaced and cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .accounts import Account, Accounts
from .agenda import Agenda
from .companies import Company
from .days import HOUR_MS, day_start, day_text, local_day, plus_months
from .money import price
from .outbox import Outbox
from .staff import Rep, Staff

RENEWAL_TALKS_DAYS = 50
"""How long before its end a contract's renewal becomes a deal of its own."""


@dataclass(eq=False, slots=True)
class Contract:
    """A contract that runs on, as far as what happens next depends on it."""

    id: str
    account: Account
    kind: str
    yearly_usd: float
    months: int | None
    """Its term; None without an end."""
    end_day: int | None
    running: bool = True


class Contracts:
    """Signs contracts and follows each until it ends, is cancelled or replaced."""

    def __init__(
        self,
        company: Company,
        *,
        agenda: Agenda,
        outbox: Outbox,
        staff: Staff,
        accounts: Accounts,
        random: Random,
        open_renewal: Callable[[Account, Contract], bool],
    ) -> None:
        self._company, self._agenda, self._outbox = company, agenda, outbox
        self._staff, self._accounts, self._random = staff, accounts, random
        self._open_renewal = open_renewal
        self._signed = 0
        self._first_customers()

    def sign(
        self, account: Account, rep: Rep, usd: float, *, kind: str, renewed: Contract | None = None
    ) -> None:
        """A deal was won: its contract is signed today and begins within the next weeks."""
        today = local_day(self._agenda.now_ms)
        start = today + self._random.choice((0, 0, 1, 7, 14, 30))
        if renewed is not None and renewed.end_day is not None:
            # Most renewals join the old term; some are signed late and leave a gap.
            start = max(renewed.end_day + 1, today if self._random.random() < 0.3 else 0)
        supersedes = None
        if kind == "expansion" and renewed is None and self._random.random() < 0.5:
            supersedes = self._running.get(account.id)
            if supersedes is not None:
                usd += supersedes.yearly_usd
        self._write(
            account,
            rep,
            usd,
            kind=kind,
            signed=today,
            start=start,
            time_ms=self._agenda.now_ms,
            recorded_ms=None,
            supersedes=supersedes,
        )
        if supersedes is not None:
            self._end(supersedes)

    # --- writing one down --------------------------------------------------------------------------

    def _write(
        self,
        account: Account,
        rep: Rep,
        usd: float,
        *,
        kind: str,
        signed: int,
        start: int,
        time_ms: int,
        recorded_ms: int | None,
        supersedes: Contract | None = None,
    ) -> Contract:
        random, self._signed = self._random, self._signed + 1
        months = random.choices([12, 24, 36, None], [60, 15, 12, 13])[0]
        end = None if months is None else plus_months(start, months) - 1
        contract = Contract(f"con-{self._signed:06}", account, kind, usd, months, end)
        data: dict[str, object] = {
            "account_id": account.id,
            "owner_id": rep.owner_id,
            "signed_on": day_text(signed),
            "start_date": day_text(start),
            "end_date": None if end is None else day_text(end),
            "currency": account.currency,
            "kind": kind,
        }
        if months is None:
            data |= {"recurring_amount": price(usd / 12, account.currency), "recurring_per": "month"}
        elif months > 12 and random.random() < 0.3:
            years = range(months // 12)
            data["ramp"] = [
                {
                    "start_date": day_text(plus_months(start, 12 * year)),
                    "end_date": day_text(plus_months(start, 12 * year + 12) - 1),
                    "amount": price(usd * (0.9 + 0.1 * year), account.currency),
                }
                for year in years
            ]
        elif random.random() < 0.5:
            data |= {"recurring_amount": price(usd, account.currency), "recurring_per": "year"}
        else:
            data["recurring_amount"] = price(usd * months / 12, account.currency)
        if random.random() < 0.3:
            data["one_time_amount"] = price(usd * 0.15, account.currency)
        if random.random() < 0.02:
            data |= {"trial": True, "recurring_amount": "0"}
            data.pop("ramp", None)
        if supersedes is not None:
            data["supersedes"] = supersedes.id
        self._outbox.tell("contract.changed", contract.id, data, time_ms=time_ms, recorded_ms=recorded_ms)
        account.contracts += 1
        if account.contracts == 1:
            self._accounts.has_bought(account)
        self._running[account.id] = contract
        self._follow(contract, start)
        return contract

    def _first_customers(self) -> None:
        """The book of business on the first day: contracts signed in the two years before."""
        self._running: dict[str, Contract] = {}
        random, now = self._random, self._agenda.now_ms
        today = local_day(now)
        for team in self._staff.teams:
            for _ in range(round(team.planned * 5)):
                rep = self._staff.pick(team)
                signed = today - random.randint(5, 720)
                time_ms = day_start(signed) + 15 * HOUR_MS
                account = self._accounts.open(team, rep, time_ms=time_ms - HOUR_MS, recorded_ms=now)
                usd = self._company.deal_amount * random.lognormvariate(0, 0.6)
                self._write(
                    account,
                    rep,
                    usd,
                    kind="new",
                    signed=signed,
                    start=signed,
                    time_ms=time_ms,
                    recorded_ms=now,
                )

    # --- what becomes of it ------------------------------------------------------------------------

    def _follow(self, contract: Contract, start: int) -> None:
        today, random = local_day(self._agenda.now_ms), self._random
        if contract.end_day is None:
            stops = start + int(random.expovariate(1.0) * 365 / max(0.05, 1.6 * self._company.yearly_churn))
            if stops > today:
                self._agenda.at(self._noon(stops - 20), self._cancel, contract, stops)
            return
        if contract.end_day < today:
            self._end(contract)
            return
        if random.random() < 0.03:
            stops = max(today + 20, start + random.randint(30, contract.end_day - start + 1))
            if stops < contract.end_day:
                self._agenda.at(self._noon(stops - random.randint(5, 20)), self._cancel, contract, stops)
        talks = max(today + 1, contract.end_day - RENEWAL_TALKS_DAYS)
        self._agenda.at(self._noon(talks), self._decide, contract)
        self._agenda.at(self._noon(contract.end_day + 1), self._end, contract)

    def _decide(self, contract: Contract) -> None:
        """Weeks before the end: a renewal is negotiated, signed without a word, or nothing comes of it."""
        if not contract.running:
            return
        account = contract.account
        if self._random.random() < self._company.yearly_churn:
            return
        if self._random.random() < 0.35 and self._open_renewal(account, contract):
            return
        days = self._random.randint(1, RENEWAL_TALKS_DAYS + 20)
        self._agenda.at(self._noon(local_day(self._agenda.now_ms) + days), self._renew, contract)

    def _renew(self, contract: Contract) -> None:
        usd = contract.yearly_usd * self._random.choice((0.9, 1.0, 1.0, 1.03, 1.05, 1.1))
        rep = contract.account.rep
        if rep not in rep.team.reps and rep.team.reps:
            rep = self._staff.pick(rep.team)
            self._accounts.hand_over(contract.account, rep)
        self.sign(contract.account, rep, usd, kind="renewal", renewed=contract)

    def _cancel(self, contract: Contract, stops: int) -> None:
        if not contract.running:
            return
        data = {"cancelled_on": day_text(stops)}
        self._outbox.tell("contract.changed", contract.id, data, time_ms=self._agenda.now_ms)
        self._end(contract)

    def _end(self, contract: Contract) -> None:
        if contract.running:
            contract.running = False
            contract.account.contracts -= 1
            if self._running.get(contract.account.id) is contract:
                del self._running[contract.account.id]

    def _noon(self, day: int) -> int:
        return max(day_start(day) + 12 * HOUR_MS, self._agenda.now_ms)

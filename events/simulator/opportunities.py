"""The opportunities: created, worked on stage by stage, edited, closed, and sometimes not the end of it."""

from dataclasses import dataclass
from random import Random

from .accounts import Account, Accounts
from .agenda import Agenda
from .companies import DRYING_DAYS, Company
from .contracts import Contract, Contracts
from .days import DAY_MS, HOUR_MS, day_text, instant_text, local_day
from .money import price
from .names import goods
from .outbox import Outbox
from .staff import Rep, Staff, Team


@dataclass(frozen=True, slots=True)
class _Step:
    """A stage: how many days a deal stays (median), and the chances of going on or being lost from it."""

    stage: str
    days: float
    on: float
    lost: float  # what is left of 1 is disqualified


_STEPS = (
    _Step("Prospecting", 6.0, 0.67, 0.21),
    _Step("Qualification", 7.0, 0.76, 0.20),
    _Step("Needs Analysis", 9.0, 0.77, 0.23),
    _Step("Proposal", 9.0, 0.73, 0.27),
    _Step("Negotiation", 7.0, 0.75, 0.25),
)
_PROPOSAL = 3
_SPREAD = 0.65  # of the log of the days in a stage
_LONGEST_STAY_DAYS = 45.0
_PATIENCE_DAYS = 150  # at the next review after it, a deal is given up
_SEGMENT_FACTOR = {"SMB": 0.7, "Mid-Market": 2.0, "Enterprise": 6.0}
_SOURCES = ("Web", "Trade Show", "Outbound", "Partner", "Advertising")
_LOST_REASONS = ("price", "no decision", "competitor", "timing", "features")
_OPENING_DAYS = 45


@dataclass(eq=False, slots=True)
class Opportunity:
    """An open deal, as far as what happens next depends on it."""

    id: str
    account: Account
    rep: Rep
    kind: str
    usd: float
    created_day: int
    expected_day: int
    step: int
    opportunities: "Opportunities"
    renews: Contract | None = None
    hidden: bool = False
    """Deleted or merged: nothing moves it until it is restored."""

    def hand_over(self, rep: Rep | None) -> None:
        """Its owner leaves: a colleague takes it on, or nobody does."""
        self.opportunities.hand_over(self, rep)


class Opportunities:
    """Creates each team's deals at its pace and works on each until it is closed."""

    def __init__(
        self,
        company: Company,
        *,
        agenda: Agenda,
        outbox: Outbox,
        staff: Staff,
        accounts: Accounts,
        random: Random,
        dry_from_ms: int | None,
    ) -> None:
        self._company, self._agenda, self._outbox = company, agenda, outbox
        self._staff, self._accounts, self._random = staff, accounts, random
        self._dry_from_ms = dry_from_ms if company.dries_up else None
        self._created = self._acted = 0
        self.contracts: Contracts | None = None

    def start(self, contracts: Contracts) -> None:
        """Take over the deals that are open on the first day, and begin to create new ones."""
        self.contracts = contracts
        for team in self._staff.teams:
            days = 0.0
            while (days := days + self._gap_days(team)) < _OPENING_DAYS:
                self._create(team, days_ago=days)
            self._plan_creation(team)

    def open_renewal(self, account: Account, contract: Contract) -> bool:
        """Make the renewal of a contract a deal of its own; False when nobody starts new deals now."""
        if self._random.random() >= self._appetite():
            return False
        rep = account.rep
        if rep not in rep.team.reps:
            rep = self._staff.pick(rep.team)
        self._tell_creation(account, rep, "renewal", contract.yearly_usd, step=_PROPOSAL, renews=contract)
        return True

    def hand_over(self, deal: Opportunity, rep: Rep | None) -> None:
        """Another owner for an open deal; with None it is orphaned, and lost."""
        deal.rep.open_deals.pop(deal.id, None)
        if rep is None:
            self._close(deal, "Closed Lost")
            return
        deal.rep = rep
        rep.open_deals[deal.id] = deal
        self._tell(deal, {"owner_id": rep.owner_id})

    # --- creation ----------------------------------------------------------------------------------

    def _appetite(self) -> float:
        """1, or less and less from the day on from which new opportunities dry up."""
        if self._dry_from_ms is None:
            return 1.0
        return min(1.0, max(0.0, 1 - (self._agenda.now_ms - self._dry_from_ms) / (DRYING_DAYS * DAY_MS)))

    def _gap_days(self, team: Team) -> float:
        """Days until the team's next deal.

        More than half of them come in by themselves, as many as the team was planned for; the rest its
        reps find. Both are steadier than chance alone: campaigns and call lists have a plan.
        """
        planned = 0.6 * team.planned + 0.4 * self._staff.strength(team)
        mean = 28 / (self._company.created_per_rep_28d * max(0.5, planned))
        return self._random.gammavariate(3.0, mean / 3.0)

    def _plan_creation(self, team: Team) -> None:
        self._agenda.after(self._gap_days(team) * DAY_MS, self._create_next, team)

    def _create_next(self, team: Team) -> None:
        appetite = self._appetite()
        if appetite == 0.0:
            return  # for good: a well that has dried up is not asked again
        self._plan_creation(team)
        if self._random.random() < appetite and team.reps:
            # Nobody types deals in at night: the morning after is early enough.
            self._agenda.after(0, self._create, team, share=self._random.random())

    def _create(self, team: Team, *, days_ago: float = 0.0) -> None:
        random = self._random
        rep, lot = self._staff.pick(team), self._random.random()
        account, kind = None, "new"
        if lot < 0.16:
            account = self._accounts.customer(team)
            kind = random.choice(("expansion", "cross_sell")) if account else "new"
        elif lot < 0.40:
            account = self._accounts.known(team)
        if account is None:
            account = self._accounts.open(team, rep)
        usd = self._company.deal_amount * _SEGMENT_FACTOR[account.segment] * random.lognormvariate(0, 0.55)
        if kind != "new":
            usd *= 0.5
        step = min(len(_STEPS) - 1, int(days_ago / 10))
        self._tell_creation(account, rep, kind, usd, step=step, days_ago=days_ago)

    def _tell_creation(
        self,
        account: Account,
        rep: Rep,
        kind: str,
        usd: float,
        *,
        step: int,
        days_ago: float = 0.0,
        renews: Contract | None = None,
    ) -> None:
        random, now, self._created = self._random, self._agenda.now_ms, self._created + 1
        created_ms = now - int(days_ago * DAY_MS)
        today = local_day(now)
        deal = Opportunity(
            id=f"opp-{self._created:06}",
            account=account,
            rep=rep,
            kind=kind,
            usd=usd,
            created_day=local_day(created_ms),
            expected_day=today + random.randint(30, 90) - 10 * step,
            step=step,
            opportunities=self,
            renews=renews,
        )
        rep.open_deals[deal.id] = deal
        data: dict[str, object] = {
            "name": f"{account.name} – {goods(random)}",
            "account_id": account.id,
            "owner_id": rep.owner_id,
            "stage": _STEPS[step].stage,
            "created_at": instant_text(created_ms),
            "close_date": day_text(deal.expected_day),
        }
        if step or random.random() < 0.8:  # the amount may come later, with the needs
            data |= {"amount": price(usd, account.currency), "currency": account.currency}
        if kind != "new":
            data["type"] = kind
        referrer = self._accounts.customer(rep.team) if kind == "new" and random.random() < 0.09 else None
        if referrer is not None and referrer is not account:
            data |= {"lead_source": "Referral", "referred_by": referrer.id}
            if random.random() < 0.08:
                data["referred_by"] = "unknown"
        else:
            data["lead_source"] = "Customer" if kind != "new" else random.choice(_SOURCES)
        self._tell(deal, data)
        self._plan_step(deal)
        self._plan_mishaps(deal)

    def _plan_mishaps(self, deal: Opportunity) -> None:
        lot, days = self._random.random(), self._random.uniform(1, 25)
        deed = None
        if lot < 0.012:
            deed = self._delete
        elif lot < 0.020:
            deed = self._merge
        elif lot < 0.040:
            deed = self._pass_on
        elif lot < 0.130:
            deed = self._reprice
        elif lot < 0.200:
            deed = self._push_out
        if deed is not None:
            self._agenda.after(days * DAY_MS, deed, deal, share=self._random.random())

    # --- work --------------------------------------------------------------------------------------

    def _plan_step(self, deal: Opportunity) -> None:
        random = self._random
        days = _STEPS[deal.step].days * random.lognormvariate(0, _SPREAD)
        if random.random() < 0.10:  # somebody does not call back
            days *= 3
        days = min(days, _LONGEST_STAY_DAYS)
        self._agenda.after(days * DAY_MS, self._move_on, deal, share=random.random())
        if random.random() < 0.75:
            self._agenda.after(days * 0.6 * DAY_MS, self._contact, deal, share=random.random())

    def _move_on(self, deal: Opportunity) -> None:
        if deal.hidden or self._is_gone(deal):
            return
        random, step = self._random, _STEPS[deal.step]
        if local_day(self._agenda.now_ms) - deal.created_day > _PATIENCE_DAYS:
            self._close(deal, "Closed Lost", reason="no decision")
            return
        lot = random.random()
        on = step.on * deal.rep.skill * (1.12 if deal.kind != "new" else 1.0)
        if lot >= on:
            disqualified = lot - on >= step.lost * (1 - on) / (1 - step.on)
            self._close(deal, "Disqualified" if disqualified else "Closed Lost")
            return
        if deal.step == len(_STEPS) - 1:
            self._close(deal, "Closed Won")
            return
        data: dict[str, object] = {}
        if deal.step >= 2 and random.random() < 0.05:
            deal.step -= 1  # back to the drawing board
        elif deal.step <= 1 and random.random() < 0.08:
            deal.step += 2
        else:
            deal.step += 1
        data["stage"] = _STEPS[deal.step].stage
        if deal.step >= 2 and random.random() < 0.45:
            deal.usd *= random.lognormvariate(0, 0.2)
            data |= {
                "amount": price(deal.usd, deal.account.currency),
                "currency": deal.account.currency,
            }
        if random.random() < 0.3:
            data["close_date"] = self._later_close(deal)
        self._tell(deal, data)
        self._plan_step(deal)

    def _close(self, deal: Opportunity, stage: str, *, reason: str | None = None) -> None:
        random, now = self._random, self._agenda.now_ms
        today = local_day(now)
        deal.rep.open_deals.pop(deal.id, None)
        data: dict[str, object] = {"stage": stage, "close_date": day_text(today)}
        if stage == "Closed Won":
            data |= {
                "amount": price(deal.usd, deal.account.currency),
                "currency": deal.account.currency,
            }
            if random.random() < 0.06:  # entered days after the signature
                signed = max(deal.created_day, today - random.randint(1, 6))
                data["close_date"] = day_text(signed)
        elif stage == "Closed Lost":
            data["lost_reason"] = reason or random.choice(_LOST_REASONS)
        lot = random.random()
        if lot < 0.05:
            del data["close_date"]
        recorded_ms = now
        if 0.05 < lot < 0.07:  # an import from the rep's notebook
            recorded_ms = now + random.randint(1, 5) * DAY_MS
        self._outbox.tell("opportunity.changed", deal.id, data, time_ms=now, recorded_ms=recorded_ms)
        if stage == "Disqualified":
            return
        if stage == "Closed Won" and self.contracts is not None:
            self.contracts.sign(deal.account, deal.rep, deal.usd, kind=deal.kind, renewed=deal.renews)
        if random.random() < (0.010 if stage == "Closed Won" else 0.025):
            days = random.uniform(4, 30)
            self._agenda.after(days * DAY_MS, self._reopen, deal, share=random.random())
        elif stage == "Closed Won" and random.random() < 0.015:
            corrected = max(deal.created_day, today - random.randint(1, 9))
            days = random.uniform(2, 12)
            self._agenda.after(days * DAY_MS, self._correct_close, deal, corrected, share=random.random())

    def _reopen(self, deal: Opportunity) -> None:
        rep = deal.rep if deal.rep in deal.rep.team.reps else self._staff.pick(deal.rep.team)
        deal.step, deal.expected_day = len(_STEPS) - 1, local_day(self._agenda.now_ms) + 20
        data: dict[str, object] = {
            "stage": _STEPS[deal.step].stage,
            "close_date": day_text(deal.expected_day),
        }
        if rep is not deal.rep:
            data["owner_id"] = rep.owner_id
            deal.rep = rep
        rep.open_deals[deal.id] = deal
        self._tell(deal, data)
        self._plan_step(deal)

    def _correct_close(self, deal: Opportunity, day: int) -> None:
        if not self._is_open(deal):
            self._tell(deal, {"close_date": day_text(day)})

    def _contact(self, deal: Opportunity) -> None:
        if not self._is_open(deal) or deal.rep.away:
            return
        self._acted += 1
        now, random = self._agenda.now_ms, self._random
        data: dict[str, object] = {
            "rep_id": deal.rep.owner_id,
            "kind": random.choices(("call", "meeting", "email", "demo", "other"), [40, 20, 25, 10, 5])[0],
            "completed_at": instant_text(now),
            "opportunity_id": deal.id,
            "account_id": deal.account.id,
        }
        if deal.account.contracts > 0:
            data["with"] = "customer"
        subject = f"act-{self._acted:06}"
        self._outbox.tell("activity.completed", subject, data, time_ms=now)
        if random.random() < 0.004:
            self._outbox.tell("activity.deleted", subject, None, time_ms=now + HOUR_MS)

    # --- mishaps and second thoughts ---------------------------------------------------------------

    def _reprice(self, deal: Opportunity) -> None:
        if self._is_open(deal):
            deal.usd *= self._random.lognormvariate(-0.05, 0.3)
            amount = price(deal.usd, deal.account.currency)
            self._tell(deal, {"amount": amount, "currency": deal.account.currency})

    def _push_out(self, deal: Opportunity) -> None:
        if self._is_open(deal):
            self._tell(deal, {"close_date": self._later_close(deal)})

    def _pass_on(self, deal: Opportunity) -> None:
        if self._is_open(deal):
            rep = self._staff.pick(deal.rep.team)
            if rep is not deal.rep:
                self.hand_over(deal, rep)

    def _merge(self, deal: Opportunity) -> None:
        others = [other for other in deal.rep.open_deals.values() if other is not deal and not other.hidden]
        if self._is_open(deal) and others:
            self._hide(deal)
            survivor = self._random.choice(others).id
            self._outbox.tell("opportunity.merged", deal.id, {"into": survivor}, time_ms=self._agenda.now_ms)

    def _delete(self, deal: Opportunity) -> None:
        if not self._is_open(deal):
            return
        self._hide(deal)
        self._outbox.tell("opportunity.deleted", deal.id, None, time_ms=self._agenda.now_ms)
        if self._random.random() < 0.3:
            days = self._random.uniform(0.1, 6)
            self._agenda.after(days * DAY_MS, self._restore, deal, share=self._random.random())

    def _restore(self, deal: Opportunity) -> None:
        deal.hidden = False
        if deal.rep not in deal.rep.team.reps:
            deal.rep = self._staff.pick(deal.rep.team)
            self._tell(deal, {"owner_id": deal.rep.owner_id})
        deal.rep.open_deals[deal.id] = deal
        self._outbox.tell("opportunity.restored", deal.id, None, time_ms=self._agenda.now_ms)
        self._plan_step(deal)

    # --- bookkeeping -------------------------------------------------------------------------------

    def _hide(self, deal: Opportunity) -> None:
        deal.hidden = True
        deal.rep.open_deals.pop(deal.id, None)

    def _is_open(self, deal: Opportunity) -> bool:
        return not self._is_gone(deal)

    def _is_gone(self, deal: Opportunity) -> bool:
        return deal.rep.open_deals.get(deal.id) is not deal

    def _later_close(self, deal: Opportunity) -> str:
        today = local_day(self._agenda.now_ms)
        deal.expected_day = max(deal.expected_day, today) + self._random.randint(5, 35)
        return day_text(deal.expected_day)

    def _tell(self, deal: Opportunity, data: dict[str, object]) -> None:
        self._outbox.tell("opportunity.changed", deal.id, data, time_ms=self._agenda.now_ms)

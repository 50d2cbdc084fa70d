"""Companies in which a lot happens in half a year, from one number: nearly every rule has a case in each.

The free events of `everything` seldom add up to a customer with a renewal, a rep with a quota or a referral;
here every record is well-formed, and its days lie close enough to each other to meet.
"""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import Phase, settings

from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import KpiSettings, Meaning, Pipeline
from events.event import Event
from tests.aggregators.histories import PARTNER
from tests.aggregators.told import STAGES, end_of, rate, told

FIRST = date(2026, 1, 1)
REPS = ("ann", "bob", "cid", "dee")
TEAMS = ("North", "South")
ACCOUNTS = ("u", "v", "w", "x", "y", "z")
CURRENCIES = ("USD", "USD", "EUR", "JPY", "KWD")
GOALS = (
    ("won/count", "4"),
    ("created/count", "9"),
    ("won/amount", "1000"),
    ("win_rate/closed_count", "0.6"),
    ("sales_cycle/mean", "864000"),
    ("open/count", "3"),
    ("deal_size/mean", "250.5"),
    ("customer_retention/logo", "0.9"),
    ("velocity/amount", "0.001"),
    ("stagnation/stagnation", "86400"),
    ("customers/active", "4"),
    ("customers/in_grace", "1"),
    ("customers/new", "2"),
    ("contracts_expiring/count", "2"),
    ("contracts_expiring/amount", "40"),
    ("target/wins", "3"),
    ("waterfall/amount", "1"),
    ("no_such/reading", "1"),
)


def some(share: float) -> settings:
    """So many of the usual examples. A company out of one number does not get simpler: it is not tried."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=int(settings().max_examples * share), phases=phases)


def lively(seed: int) -> tuple[Meaning, list[Event], int]:
    """A configuration, what happened, and as of when."""
    return _Lively(Random(seed)).company()


class _Lively:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.events: list[Event] = []

    def one(self, *options: Any) -> Any:
        return self.random.choice(options)

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def day(self, first: int = 0, last: int = 180) -> str:
        return (FIRST + timedelta(self.random.randint(first, last))).isoformat()

    def instant(self, first: int = 0, last: int = 180) -> str:
        hour = self.one("00:00:00", "15:59:59", "16:00:00", "23:30:00", "12:00:00")
        return f"{self.day(first, last)}T{hour}Z"

    def after(self, day: str, days: int) -> str:
        return (date.fromisoformat(day[:10]) + timedelta(days)).isoformat()

    def tell(self, *args: Any, **fields: Any) -> None:
        self.events.append(told(*args, **fields))

    def company(self) -> tuple[Meaning, list[Event], int]:
        meaning = self.meaning()
        for pair, cost in (
            ("EUR/USD", "1.1"),
            ("JPY/USD", "0.0067"),
            ("USD/KWD", "0.31"),
            ("EUR/JPY", "160"),
        ):
            for _ in range(self.random.randint(2, 30)):
                cheaper = None if self.often(0.05) else f"{float(cost) * self.random.uniform(0.9, 1.1):.6f}"
                self.events.append(rate(pair, self.day(), cheaper))
        for rep in REPS:
            self.employee(rep)
        for account in ACCOUNTS:
            self.account(account)
        for number in range(self.random.randint(5, 10)):
            self.contract(f"c{number}")
        for number in range(self.random.randint(6, 14)):
            self.deal(f"o{number}")
        for number in range(self.random.randint(0, 6)):
            self.activity(f"m{number}")
        self.targets()
        self.random.shuffle(self.events)
        as_of = end_of(self.day(75, 200), meaning) - self.one(0, 0, 7 * 3_600_000)
        return meaning, self.events, as_of

    def meaning(self) -> Meaning:
        return Meaning(
            company=CompanySettings(
                timezone=self.one("UTC", "Asia/Taipei", "America/New_York"),
                currency=self.one("USD", "USD", "EUR"),
                fiscal_year_start_month=self.one(1, 1, 2),
                calendar=self.one("gregorian", "gregorian", "4-4-5"),
            ),
            pipelines={"default": Pipeline(stages=STAGES), "partner": Pipeline(stages=PARTNER)},
            kpis=KpiSettings(
                attribution=self.one("at_the_time", "current"),
                customer_basis=self.one("contracts", "contracts", "contracts", "purchases"),
                customer_level=self.one("account", "account", "parent"),
                purchase_active_days=self.one(20, 60),
                renewal_grace_days=self.one(0, 10, 30),
                rehire_grace_days=self.one(0, 30),
                tenure_months=self.one(1, 2),
                clv_min_customers=self.one(1, 2),
                clv_margin=self.one(1.0, 0.35),
                clv_cap_years=self.one(1, 5),
                fx_max_age_days=self.one(7, 60),
                fx_pivot=self.one("", "USD", "EUR"),
            ),
        )

    def employee(self, rep: str) -> None:
        hired = self.day(-60, 60)
        fields: dict[str, Any] = {
            "role": self.one("sales", "sales", "sales", "support"),
            "team": self.one(*TEAMS),
        }
        if self.often(0.3):
            fields["aliases"] = (f"/crm:alias-{rep}", "/crm:shared")
        if self.often(0.7):
            fields["manager_id"] = self.one("ann", "alias-ann", "bob")
        self.tell("employee", rep, "2026-01-01", hired_on=hired, **fields)
        for _ in range(self.random.randint(0, 2)):
            moved = self.one(
                {"team": self.one(*TEAMS)}, {"role": "support"}, {"role": "sales"}, {"manager_id": "bob"}
            )
            dated = {"effective_on": self.day(-30, 170)} if self.often(0.7) else {}
            self.tell("employee", rep, self.instant(1, 170), **moved, **dated)
        if self.often(0.5):
            left = self.after(hired, self.random.randint(20, 120))
            kind = {"leave_kind": self.one("voluntary", "involuntary")} if self.often(0.7) else {}
            said = left if self.often(0.7) else self.after(left, 40)  # perhaps after he was back
            self.tell("employee", rep, f"{said}T12:00:00Z", left_on=left, **kind)
            if self.often(0.2):  # all of it again, but not how he left
                again: dict[str, Any] = {**fields, "hired_on": hired, "left_on": left, "complete": True}
                self.tell("employee", rep, f"{left}T12:30:00Z", **again)
            if self.often(0.6):
                back = self.after(left, self.one(2, 29, 30, 31, 45))
                self.tell("employee", rep, f"{back}T13:00:00Z", hired_on=back)

    def account(self, account: str) -> None:
        for _ in range(self.random.randint(0, 2)):
            self.tell("account", account, self.instant(), owner_id=self.one(*REPS, "alias-ann", "stranger"))
        fields: dict[str, Any] = {
            "segment": self.one("small", "large"),
            "region": self.one("east", "west", None),
        }
        if self.often(0.25):
            fields["parent_id"] = self.one(*ACCOUNTS)
        self.tell("account", account, self.instant(0, 20), **fields)
        if self.often(0.15):
            self.tell("account", account, self.instant(), "merged", into=self.one(*ACCOUNTS))
        elif self.often(0.05):
            self.tell("account", account, self.instant(), "deleted")

    def contract(self, contract: str) -> None:
        account, start = self.one(*ACCOUNTS, "u", "u", None), self.day(-330, 100)
        end = self.after(start, self.random.choice((0, 30, 89, 180, 364, 365, 400)))
        for number in range(self.random.randint(1, 3)):
            fields: dict[str, Any] = {
                "account_id": account,
                "start_date": start,
                "recurring_amount": self.one("0", "100", "1200", "99.995", "36000"),
                "recurring_per": self.one("term", "term", "month", "year"),
                "currency": self.one(*CURRENCIES),
                "kind": self.one("new", "renewal", "expansion"),
                "owner_id": self.one(None, *REPS),
            }
            if self.often(0.85):
                fields["end_date"] = end
            if self.often(0.3):
                fields["signed_on"] = self.after(start, self.random.randint(-40, 10))
            if self.often(0.4):
                fields["one_time_amount"] = "55.5"
            if self.often(0.15):
                fields["cancelled_on"] = self.after(start, self.random.choice((0, 20, 60, 200)))
            if self.often(0.1):
                fields["trial"] = True
            if self.often(0.1):
                fields["supersedes"] = "c0-0"
            elif number and self.often(0.3):
                fields["supersedes"] = f"{contract}-{number - 1}"
            if self.often(0.1):  # in two steps, whatever else is stated
                middle = date.fromisoformat(start) + timedelta(20)
                last = max(date.fromisoformat(end), middle + timedelta(1))
                steps = ((date.fromisoformat(start), middle), (middle + timedelta(1), last))
                fields["ramp"] = tuple((*step, Decimal(self.one("50", "99.995"))) for step in steps)
            self.tell("contract", f"{contract}-{number}", f"{start}T12:00:00Z", **fields)
            start = self.after(end, self.one(1, 1, 9, 10, 11, 29, 30, 31))
            end = self.after(start, self.one(30, 89, 200))
        if self.often(0.1):
            self.tell("contract", f"{contract}-0", self.instant(), "deleted")

    def deal(self, deal: str) -> None:
        created = self.instant(0, 130)
        fields: dict[str, Any] = {
            "stage": "Prospecting",
            "owner_id": self.one(*REPS, *REPS, "alias-ann", "shared", "stranger", None),
            "account_id": self.one(*ACCOUNTS, None),
            "amount": self.one("100", "250.5", "0.005", "1000", None),
            "currency": self.one(*CURRENCIES),
            "close_date": self.day(30, 185),
            "type": self.one("new", "renewal"),
            "lead_source": self.one("web", None),
        }
        if self.often(0.4):
            fields["referred_by"] = self.one(*ACCOUNTS, "unknown")
        if self.often(0.2):
            fields["pipeline"] = "partner"
        if self.often(0.2):
            fields["created_at"] = None if self.often(0.2) else f"{self.after(created, -9)}T23:30:00Z"
        self.tell("opportunity", deal, created, **fields)
        day = created
        for _ in range(self.random.randint(1, 6)):
            day = f"{self.after(day, self.random.choice((0, 1, 6, 13, 15, 22, 30)))}T{self.one('16:30:00', '23:45:00')}Z"
            change = self.one(
                {"stage": self.one("Proposal", "Negotiation", "Prospecting", "Closing", "Unheard of")},
                {
                    "stage": "Proposal",
                    "probability": "0.35",
                    "forecast_category": self.one("commit", "omitted"),
                },
                {"stage": self.one("Won", "Won", "Won", "Lost", "Lost", "Duplicate")},
                {"stage": self.one("Won", "Won", "Lost")},
                {
                    "stage": self.one("Won", "Won", "Lost"),
                    "close_date": self.after(day, self.one(-9, -1, 0, 3)),
                },
                {"amount": self.one("77", "300", None)},
                {"owner_id": self.one(*REPS)},
                {"close_date": self.day(30, 185)},
                {"currency": self.one(*CURRENCIES)},
            )
            self.tell("opportunity", deal, day, **change)
        if self.often(0.15):
            self.tell("opportunity", deal, self.instant(60), **{**fields, "complete": True})
        if self.often(0.06):
            self.tell("opportunity", deal, self.instant(60), self.one("deleted", "merged"), into="o0")
            if self.often(0.3):
                self.tell("opportunity", deal, self.instant(100), "restored")

    def activity(self, activity: str) -> None:
        fields = {"completed_at": self.instant(-20, 150)} if self.often(0.7) else {}
        what = self.one("prospect", "prospect", "customer", None)
        rep = self.one(*REPS, "alias-ann")
        self.tell("activity", activity, self.instant(0, 150), "completed", rep_id=rep, with_=what, **fields)

    def targets(self) -> None:
        periods = ("2026", "2026-Q1", "2026-Q2", "2026-01", "2026-02", "2026-03", "2026-04", "2026-05")
        holders = [
            "company",
            *(f"team:{team}" for team in TEAMS),
            *(f"rep:{rep}" for rep in REPS),
            "rep:alias-ann",
        ]
        for _ in range(self.random.randint(3, 14)):
            holder, period = self.random.choice(holders), self.random.choice(periods)
            amount, wins = self.one(("1000", None), ("450.5", None), (None, 3), ("90", 2))
            currency = self.one(*CURRENCIES)
            self.tell(
                "target", f"{holder}/{period}", self.instant(), amount=amount, wins=wins, currency=currency
            )
        for _ in range(self.random.randint(9, 24)):
            holder, period = self.random.choice(holders), self.random.choice(periods)
            goal, value = self.random.choice(GOALS)
            currency = self.one(*CURRENCIES)
            self.tell("target", f"{holder}/{period}/{goal}", self.instant(), value=value, currency=currency)

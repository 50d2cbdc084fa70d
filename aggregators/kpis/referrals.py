"""Referrals: new opportunities that an existing customer has brought. KPI 8."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, Span
from aggregators.customers import Customers
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.opportunity import Deal

UNKNOWN = "unknown"
"""A referrer that is never a customer (F27)."""


def from_customers(ask: Ask, window: Span) -> Iterator[Contribution]:
    """One for each referral created in the window whose referrer was an active customer on that day."""
    for referral in referrals(ask):
        if referral.by_customer and referral.created_on in window:
            yield referral.contribution(ask, referral.created_on)


def from_others(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Those whose referrer was not one."""
    for referral in referrals(ask):
        if not referral.by_customer and referral.created_on in window:
            yield referral.contribution(ask, referral.created_on)


def won(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Those from customers that are won by the instant, by the day of the win (F12)."""
    for referral in referrals(ask):
        closed_on = referral.deal.closed_on
        if referral.by_customer and referral.deal.outcome == "won" and closed_on and closed_on in window:
            yield referral.contribution(ask, closed_on)


@dataclass(frozen=True, slots=True)
class Referral:
    """The first opportunity of a pair of referrer and referred account, and who gets the credit."""

    deal: Deal
    created_on: date
    by_customer: bool
    credited: str | None

    def contribution(self, ask: Ask, on: date) -> Contribution:
        """It counts once, for the team that the credited rep is in on that day."""
        return Contribution(self.deal.record, ask.by(self.credited, on), 1, on=on)


def referrals(ask: Ask) -> Iterator[Referral]:
    """Every referral by the as-of instant: the earliest created opportunity of each pair (F27).

    Referrer and referred account are the accounts meant after merges, or the tops of their parents
    (F35); they differ, and the referred one was no customer by the day of the creation. An opportunity
    without an account is a pair of its own.
    """
    tabled = ask.company.tabled
    named = ask.deals if tabled is None else tabled.referred(ask)
    created = [deal for deal in named if deal.referred_by and deal.created_on and deal.created_in(ALWAYS)]
    if not created:
        return
    created.sort(key=lambda deal: (deal.created_at or 0, deal.id))
    customers = Customers(ask)
    seen: set[tuple[str | None, str]] = set()
    for deal in created:
        referrer = ask.accounts.customer(deal.referred_by)
        referred = ask.accounts.customer(deal.account_id)
        pair = (referrer, referred or deal.record)
        if deal.created_at is None or deal.created_on is None or referrer == referred or pair in seen:
            continue
        customer = customers.of(deal.account_id)
        if customer is not None and customer.was_active_by(deal.created_on, but_for=deal.record):
            continue
        seen.add(pair)
        source = None if deal.referred_by == UNKNOWN else customers.of(deal.referred_by)
        owner = (
            customers.owner(deal.referred_by, deal.created_at, told_then=True)
            if deal.referred_by != UNKNOWN
            else None
        )
        by_customer = source is not None and source.active_on(deal.created_on)
        yield Referral(deal, deal.created_on, by_customer, owner or deal.creator)


REFERRALS = Kpi(
    name="referrals",
    number=8,
    version=1,
    title=Text("Referrals", "轉介數"),
    definition=Text(
        "Opportunities created in the window, with an account that was no customer yet, referred by another "
        "account that was an active customer on that day (a renewal within the grace included); once per "
        "referrer and referred account, the earliest. Credited to the owner of the referring account at that "
        "time, else to the opportunity's owner at creation. Beside it: those whose referrer was not a "
        "customer, and the referrals from customers won, by the day of the win.",
        "期間內建立的商機,其帳戶當時尚非客戶,且由另一個當日為有效客戶(含寬限期內續約)的帳戶轉介;"
        "同一轉介者與被轉介帳戶僅計最早一筆。歸屬當時轉介帳戶的負責人,無則歸屬商機建立時的負責人。"
        "另列:轉介者並非客戶者,以及客戶轉介而贏單者(依贏單日)。",
    ),
    dimensions=("rep", "team"),
    readings=(
        Reading("from_customers", Text("from customers", "來自客戶"), "count", from_customers),
        Reading("from_others", Text("from others", "來自非客戶"), "count", from_others),
        Reading("won", Text("won", "贏單"), "count", won),
    ),
)

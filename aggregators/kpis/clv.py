"""Customer lifetime value (CLV): what a customer has brought, has signed, or will bring. KPI 2."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import MICRO, Contract
from aggregators.customers import Customers
from aggregators.kpi import Contribution, Figure, Kpi, Reading, Sums, Text
from aggregators.kpis import churn
from aggregators.kpis.acv import NO_PRICE, annual_minor
from aggregators.question import Number

REVENUE, CHURN = "annual value in force / active customers", "churned / customers twelve months ago"


def historic(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Value accrued by the instant from all contracts / customers that ever bought."""
    del window  # a level
    return _per_customer(ask, lambda contract: contract.accrued_micro(ask.as_of_on))


def signed(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Total value signed by the instant, less what was cancelled / customers that ever bought."""
    del window  # a level
    return _per_customer(ask, lambda contract: contract.signed_micro(ask.as_of_on))


def projected(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The parts: annual value in force of each active customer, and the churn of the trailing 12 months.

    By kind there is none: no customer churns from a kind of contract.
    """
    del window  # a level
    if "kind" in ask.question.by:
        return
    customers = Customers(ask)
    for customer in customers:
        if customer.active_on(ask.as_of_on):
            values = [
                annual_minor(ask, contract, ask.as_of_on) for contract in customer.in_force_on(ask.as_of_on)
            ]
            priced = [value for value in values if value is not None]
            note = NO_PRICE if len(priced) < len(values) else ""
            by = customers.by_customer(customer.id, ask.as_of_on)
            revenue = Contribution(customers.record(customer.id), by, sum(priced), 1, note=note)
            yield replace(revenue, part=REVENUE, on=ask.as_of_on)
    for contribution in churn.logo(ask, ask.trailing_12m(ask.as_of_on)):
        yield replace(contribution, part=CHURN)


def lifetime_value(ask: Ask, parts: Mapping[str, Sums]) -> Figure:
    """Revenue per customer and year x margin / churn, capped; none without churn or with too few customers.

    Purchases have no annual value (F34), so that nothing can be projected from them.
    """
    settings = ask.meaning.kpis
    revenue, lost = parts[REVENUE].quotient, parts[CHURN].quotient
    customers = parts[CHURN].samples
    few = customers < settings.clv_min_customers
    if revenue is None or not lost or few or settings.customer_basis == "purchases":
        return Figure(None, customers)
    years = min(1 / Fraction(lost), Fraction(settings.clv_cap_years))
    return Figure(revenue * Fraction(str(settings.clv_margin)) * years, customers)


def _per_customer(ask: Ask, value_micro: Callable[[Contract], int | None]) -> Iterator[Contribution]:
    """One contribution per customer that has bought by now, split by kind where that is asked for."""
    customers, split = Customers(ask), "kind" in ask.question.by
    for customer in customers:
        held: dict[str, list[Contract]] = defaultdict(list)
        for contract in customer.contracts:
            if contract.bought_on <= ask.as_of_on:
                held[contract.kind if split else ""].append(contract)
        for kind in sorted(held):
            by = customers.by_customer(customer.id, ask.as_of_on, kind=kind or None)
            values = [_converted(ask, contract, value_micro(contract)) for contract in held[kind]]
            priced = [value for value in values if value is not None]
            note = NO_PRICE if len(priced) < len(values) else ""
            value, counted = Fraction(sum(priced), MICRO), int(bool(priced))
            yield Contribution(customers.record(customer.id), by, value, counted, counted, None, note)


def _converted(ask: Ask, contract: Contract, micro: int | None) -> Number | None:
    """10^-6 minor units of the reporting currency, at the rate of the as-of day (F28)."""
    return None if micro is None else ask.rates.convert(micro, contract.currency, ask.as_of_on)


CLV = Kpi(
    name="clv",
    number=2,
    version=1,
    title=Text("Customer lifetime value (CLV)", "客戶終身價值"),
    definition=Text(
        "Historic: the value accrued from all of a customer's contracts by the instant, day by day, re-sale, "
        "cross-sell, renewal and one-time fees included, averaged over the customers that ever bought. "
        "Signed: the total value of the contracts signed by the instant, less what cancellations took away; "
        "one without an end counts what has accrued. Projected: annual value in force per active customer x "
        "margin / churn of the trailing 12 months, capped; none where nobody churned or customers are few.",
        "歷史:截至該時點,客戶所有合約逐日累計的價值,含再銷售、交叉銷售、續約與一次性費用,"
        "除以曾購買的客戶數。已簽:截至該時點已簽合約的總值,扣除取消的部分;"
        "無期限合約計其已累計的價值。預估:每位有效客戶的年度有效合約價值 × 毛利率 / "
        "近 12 個月流失率,設有上限;無流失或客戶過少時不計。",
    ),
    dimensions=("team", "rep", "kind", "segment", "region"),
    readings=(
        Reading(
            "historic",
            Text("historic", "歷史"),
            "money",
            historic,
            ("money", "count"),
            level=True,
            overlaps=("kind",),
        ),
        Reading(
            "signed",
            Text("signed", "已簽"),
            "money",
            signed,
            ("money", "count"),
            level=True,
            overlaps=("kind",),
        ),
        Reading(
            "projected",
            Text("projected", "預估"),
            "money",
            projected,
            level=True,
            additive=False,
            compose=lifetime_value,
            part_units={REVENUE: ("money", "count"), CHURN: ("count", "count")},
        ),
    ),
)

"""Every KPI and reading, one definition after the other (kpi-definitions.md)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from functools import cache, partial

from tests.aggregators.naive import windows
from tests.aggregators.naive.contracts import MICRO, Book, Contract, Customer, later
from tests.aggregators.naive.deals import DAY_MS, Deal, Story, Window, cycle_ms
from tests.aggregators.naive.plans import Stated, days_of, share, stated
from tests.aggregators.naive.sums import Figure, Item, Labels, Total, added, divided, totals
from tests.aggregators.naive.world import DAY, Person, Spell, World, unit

Readings = dict[str, dict[Labels, Figure]]
BANDS = {"0_30d": (0, 30), "31_60d": (31, 60), "61_90d": (61, 90)}


SUMS = {
    "count": "new_opportunities/count created/count won/count lost/count "
    "referrals/from_customers referrals/from_others referrals/won ramping_reps/count "
    "customers/new customers/churned "
    "unpriced_contracts/booked unpriced_opportunities/won unpriced_opportunities/lost",
    "money": "new_opportunities/amount created/amount won/amount lost/amount "
    "forecast/commit forecast/best_case forecast/pipeline weighted_forecast/amount",
}
STATES = {
    "count": "open/count stalled/count contracts_expiring/count "
    "customers/active customers/in_grace unpriced_contracts/active unpriced_opportunities/open",
    "money": "open/amount stalled/amount contracts_expiring/amount",
}
PLANS = {"count": "target/wins needed/count", "money": "target/amount"}
QUOTIENTS = {
    "money": "acv/booked_per_contract acv/booked_per_customer acv/active_per_contract acv/active_per_customer "
    "clv/historic clv/signed clv/projected deal_size/mean",
    "seconds": "stagnation/stagnation stagnation/age stagnation/time_in_stage "
    "ramp_up/first_contact ramp_up/first_opportunity ramp_up/first_win ramping_reps/age sales_cycle/mean",
    "ratio": "win_rate/closed_count win_rate/cohort win_rate/cohort_open win_rate/closed_amount "
    "rep_retention/trailing rep_retention/tenured rep_retention/tenure "
    "customer_retention/logo customer_retention/grr customer_retention/nrr churn/logo churn/revenue "
    "attainment/amount attainment/wins pace/amount pace/wins coverage/amount",
    "money_per_second": "velocity/amount",
}


CAN_HAVE_A_GOAL = {
    name: (of, kind)
    for kind, named in (("sum", SUMS), ("state", STATES), ("plan", PLANS), ("quotient", QUOTIENTS))
    for of, names in named.items()
    for name in names.split()
}
"""KPI/reading -> its unit, and what becomes of a goal for a longer period than the window.

A `sum` of what happens in a window, and a `plan` for it, take their days of the goal; a `state` at the
window's end or at the instant, and a `quotient`, the whole of it. Where nothing is, sums and states are 0, the
others have no figure. The bars of a waterfall have no goal.
"""


class Facts:
    """What there is in a company at the instant, whatever is asked of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stories = [Story(world, record) for record in world.records.living("opportunity")]
        self.deals = self.deals_at(world.as_of_ms)
        bought = [deal for deal in self.deals if deal.outcome == "won"]
        known = {deal.record for deal in bought}
        for deal in self.deals_at(LATEST_MS):  # a purchase to come heals a gap, as a renewal does (F7)
            late = deal.outcome == "won" and deal.closed is not None and deal.closed.on > world.as_of
            bought += [deal] if late and deal.record not in known else []
        self.book = Book(world, bought)
        self.stated = stated(world, partial(windows.named, world.meaning.company))
        people = [(person, stint) for person in world.people.values() for stint in world.stints(person)]
        self.stints = [(person, stint) for person, stint in people if stint.start <= world.as_of]
        """Every time in a sales role that has begun."""

    def deals_at(self, instant_ms: int) -> list[Deal]:
        """Every deal that is there at an instant."""
        found = [story.at(instant_ms) for story in self.stories]
        return [deal for deal in found if deal is not None]

    @cache  # noqa: B019 - of one test's company, asked for every day of a window
    def chosen(self, scope: str, name: str, window: Window, measure: str) -> dict[date, Stated]:
        """Which of its targets a holder has on each day of a window."""
        known = [
            one
            for one in self.stated
            if not one.goal
            and (one.scope, one.name) == (scope, name)
            and one.record.last(measure) is not None
        ]
        person = self.world.people.get(name) if scope == "rep" else None
        spells = person.spells if person else []
        return days_of(
            known, window.start, window.end, lambda day: not spells or any(day in one for one in spells)
        )


class Naive:
    """One company at one instant, asked for one split."""

    def __init__(self, facts: Facts, by: tuple[str, ...]) -> None:
        self.facts, self.world, self.by = facts, facts.world, by
        self.deals, self.book, self.stated = facts.deals, facts.book, facts.stated

    def figures(self, kpi: str, window: Window) -> Readings:
        """Every reading of a KPI, group by group; groups without records may be missing."""
        found: Readings = getattr(self, kpi)(window)
        return found

    # Who a deal counts for

    def _closer(self, deal: Deal) -> Labels:
        assert deal.closed is not None
        return self.world.labels(self.by, deal.closed.closer, deal.closed.on, **deal.labels)

    def _creator(self, deal: Deal) -> Labels:
        return self.world.labels(self.by, deal.creator, deal.created, **deal.labels)

    def _owner(self, deal: Deal, on: date | None = None) -> Labels:
        return self.world.labels(self.by, deal.owner, on or self.world.as_of, **deal.labels)

    # 1: annual contract value

    def acv(self, window: Window) -> Readings:
        now = self.world.as_of
        booked, active = self._contracts(window)
        until = min(window.end, now)
        return {
            "booked_per_contract": divided(self._per_contract(booked, None)),
            "booked_per_customer": divided(
                self._per_customer(booked, until, lambda c: self._annual(c, c.signed))
            ),
            "active_per_contract": divided(self._per_contract(active, now)),
            "active_per_customer": divided(self._per_customer(active, now, lambda c: self._annual(c, now))),
        }

    def unpriced_contracts(self, window: Window) -> Readings:
        """What the mean of annual values leaves out."""
        booked, active = self._contracts(window)

        def without(contracts: list[Contract], on: date | None) -> dict[Labels, Figure]:
            unpriced = [one for one in contracts if self._annual(one, on or one.signed) is None]
            return added(Item(self.book.of_contract(self.by, one), 1) for one in unpriced)

        return {"active": without(active, self.world.as_of), "booked": without(booked, None)}

    def _contracts(self, window: Window) -> tuple[list[Contract], list[Contract]]:
        """Those signed in the window, and those in force; no purchases (F34)."""
        now = self.world.as_of
        contracts = [] if self.book.by_purchases else self.book.contracts
        booked = [one for one in contracts if window.holds(one.signed) and one.signed <= now]
        return booked, [one for one in contracts if now in one.days]

    def _annual(self, contract: Contract, on: date) -> Fraction | None:
        annual = contract.annual
        converted = None if annual is None else self.world.convert(annual, contract.currency, on)
        return None if converted is None else converted / MICRO

    def _per_contract(self, contracts: list[Contract], on: date | None) -> Iterator[Item]:
        for one in contracts:
            value = self._annual(one, on or one.signed)
            priced = int(value is not None)
            yield Item(self.book.of_contract(self.by, one), value or 0, priced, priced)

    def _per_customer(
        self, contracts: Iterable[Contract], on: date, value_of: Callable[[Contract], Fraction | None]
    ) -> Iterator[Item]:
        """Each customer once; by kind once in each."""
        chosen = list(contracts)
        for customer in self.book.customers:
            mine = [one for one in customer.contracts if one in chosen]
            kinds: list[str | None] = [None]
            if "kind" in self.by:
                kinds = [*sorted({one.kind for one in mine})]
            for kind in kinds:
                of_kind = [value_of(one) for one in mine if kind in (None, one.kind)]
                priced = [value for value in of_kind if value is not None]
                if of_kind:
                    counted = int(bool(priced))
                    labels = self.book.of_customer(self.by, customer, on, kind)
                    yield Item(labels, sum(priced), counted, counted)

    # 2: customer lifetime value

    def clv(self, _: Window) -> Readings:
        now = self.world.as_of
        bought = [one for one in self.book.contracts if min(one.signed, one.start) <= now]

        def worth(micro: int | None, contract: Contract) -> Fraction | None:
            found = None if micro is None else self.world.convert(micro, contract.currency, now)
            return None if found is None else found / MICRO

        return {
            "historic": divided(self._per_customer(bought, now, lambda c: worth(c.accrued(now), c))),
            "signed": divided(self._per_customer(bought, now, lambda c: worth(c.signed_value(now), c))),
            "projected": self._projected(),
        }

    def _projected(self) -> dict[Labels, Figure]:
        """F26: revenue per customer and year x margin / churn, capped."""
        if "kind" in self.by:
            return {}
        kpis, now = self.world.kpis, self.world.as_of
        active = [one for one in self.book.customers if now in one.active]
        revenue = totals(
            Item(self.book.of_customer(self.by, one, now, None), self._in_force(one, now, now), 1)
            for one in active
        )
        churn = self.churn(windows.window(self.world.meaning.company, "trailing_12m", now))["logo"]
        found = {}
        for labels in set(revenue) | set(churn):
            lost, each = churn.get(labels, NOTHING_DIVIDED), revenue[labels].ratio
            value, at_start = None, int(lost.denominator or 0)
            enough = at_start >= kpis.clv_min_customers and not self.book.by_purchases
            if each is not None and lost.value and enough:
                years = min(1 / lost.value, Fraction(kpis.clv_cap_years))
                value = each * Fraction(str(kpis.clv_margin)) * years
            found[labels] = Figure(value, None, None, 0 if value is None else at_start)
        return found

    def _in_force(self, customer: Customer, on: date, rate_on: date) -> Fraction:
        """What a customer brings in a year by what is in force on a day."""
        held = [one for one in customer.contracts if on in one.days]
        return sum((self._annual(one, rate_on) or Fraction(0) for one in held), Fraction(0))

    # 3: new opportunities

    def created(self, window: Window) -> Readings:
        new = [deal for deal in self.deals if deal.created_in(window)]
        return self._counted(new, self._creator)

    new_opportunities = created

    def _counted(self, deals: list[Deal], labels: Callable[[Deal], Labels]) -> Readings:
        return {
            "count": added(Item(labels(deal), 1) for deal in deals),
            "amount": self._amount(deals, labels),
        }

    def _amount(self, deals: Iterable[Deal], labels: Callable[[Deal], Labels]) -> dict[Labels, Figure]:
        return added(Item(labels(deal), deal.amount or 0, 0, deal.amount is not None) for deal in deals)

    # 4: stagnation

    def stagnation(self, _: Window) -> Readings:
        open_, now = [deal for deal in self.deals if deal.open], self.world.as_of_ms
        aged = [deal for deal in open_ if deal.created_ms is not None]
        return {
            "stagnation": divided(Item(self._owner(deal), deal.idle_ms, 1) for deal in open_),
            "age": divided(Item(self._owner(deal), now - (deal.created_ms or 0), 1) for deal in aged),
            "time_in_stage": divided(Item(self._owner(deal), deal.in_stage_ms, 1) for deal in open_),
        }

    def stalled(self, _: Window) -> Readings:
        return self._counted([deal for deal in self.deals if deal.stalled], self._owner)

    def open(self, _: Window) -> Readings:
        return self._counted([deal for deal in self.deals if deal.open], self._owner)

    # 5: win rate, and what was closed

    def won(self, window: Window) -> Readings:
        return self._counted([deal for deal in self.deals if deal.closed_in(window, "won")], self._closer)

    def lost(self, window: Window) -> Readings:
        return self._counted([deal for deal in self.deals if deal.closed_in(window, "lost")], self._closer)

    def win_rate(self, window: Window) -> Readings:
        closed = [deal for deal in self.deals if deal.closed_in(window, "won", "lost")]
        cohort = [deal for deal in self.deals if deal.created_in(window) and deal.outcome != "omitted"]
        return {
            "closed_count": divided(Item(self._closer(deal), deal.outcome == "won", 1) for deal in closed),
            "cohort": divided(Item(self._creator(deal), deal.outcome == "won", 1) for deal in cohort),
            "cohort_open": divided(Item(self._creator(deal), deal.open, 1) for deal in cohort),
            "closed_amount": divided(
                Item(
                    self._closer(deal),
                    (deal.amount or 0) if deal.outcome == "won" else 0,
                    deal.amount or 0,
                    deal.amount is not None,
                )
                for deal in closed
            ),
        }

    def sales_cycle(self, window: Window) -> Readings:
        won = [(deal, cycle_ms(deal)) for deal in self.deals if deal.closed_in(window, "won")]
        known = [
            Item(self._closer(deal), cycle or 0, cycle is not None, cycle is not None) for deal, cycle in won
        ]
        return {"mean": divided(known)}

    def deal_size(self, window: Window) -> Readings:
        won = [deal for deal in self.deals if deal.closed_in(window, "won")]
        priced = [
            Item(self._closer(deal), deal.amount or 0, deal.amount is not None, deal.amount is not None)
            for deal in won
        ]
        return {"mean": divided(priced)}

    def unpriced_opportunities(self, window: Window) -> Readings:
        def of(outcome: str) -> dict[Labels, Figure]:
            chosen = [deal for deal in self.deals if deal.unpriced and deal.closed_in(window, outcome)]
            return added(Item(self._closer(deal), 1) for deal in chosen)

        open_ = [deal for deal in self.deals if deal.unpriced and deal.open]
        return {
            "open": added(Item(self._owner(deal), 1) for deal in open_),
            "won": of("won"),
            "lost": of("lost"),
        }

    # 6: rep retention

    def rep_retention(self, window: Window) -> Readings:
        now, months = self.world.as_of, self.world.kpis.tenure_months
        start, end = window.start - DAY, min(window.end, now)
        there = [(rep, stint) for rep, stint in self.facts.stints if window.start <= now and start in stint]
        tenured = [(rep, stint) for rep, stint in there if later(stint.start, months) <= start]
        reached = [(rep, stint) for rep, stint in self.facts.stints if later(stint.start, months) <= now]
        return {
            "trailing": divided(self._stayed(rep, stint, start, end) for rep, stint in there),
            "tenured": divided(self._stayed(rep, stint, start, end) for rep, stint in tenured),
            "tenure": divided(
                Item(
                    self._rep(rep, stint, stint.start, now),
                    stint.end is None or stint.end >= later(stint.start, months),
                    1,
                )
                for rep, stint in reached
            ),
        }

    def _stayed(self, rep: Person, stint: Spell, start: date, end: date) -> Item:
        return Item(self._rep(rep, stint, start, end), end in stint, 1)

    def _rep(self, rep: Person, stint: Spell, on: date, end: date) -> Labels:
        kind = "stayed" if end in stint else stint.kind
        return self.world.labels(self.by, rep.id, on, leave_kind=kind)

    # 7: ramp-up

    def ramp_up(self, window: Window) -> Readings:
        milestones = {
            "first_contact": self._contacts,
            "first_opportunity": self._creations,
            "first_win": self._wins,
        }
        found: Readings = {}
        for name, milestone in milestones.items():
            clocks = self._clocks(window, milestone())
            found[name] = divided(
                Item(
                    self.world.labels(self.by, rep.id, stint.start),
                    max(0, (day - stint.start).days) * DAY_MS,
                    1,
                )
                for rep, stint, day in clocks
                if day is not None
            )
        return found

    def ramping_reps(self, window: Window) -> Readings:
        now = self.world.as_of
        running = [
            (rep, stint)
            for rep, stint, day in self._clocks(window, self._contacts())
            if day is None and now in stint
        ]
        return {
            "count": added(
                Item(self.world.labels(self.by, rep.id, stint.start), 1) for rep, stint in running
            ),
            "age": divided(
                Item(self.world.labels(self.by, rep.id, stint.start), (now - stint.start).days * DAY_MS, 1)
                for rep, stint in running
            ),
        }

    def _clocks(
        self, window: Window, passed: list[tuple[str | None, date]]
    ) -> list[tuple[Person, Spell, date | None]]:
        """Each spell that begins in the window, with the first day that the rep passed the milestone in it, or
        before it and after an earlier spell."""
        found = []
        for rep, stint in self.facts.stints:
            earlier = [
                one.end
                for other, one in self.facts.stints
                if other is rep and one.end and one.end < stint.start
            ]
            days = [
                day
                for who, day in passed
                if who == rep.id
                and all(end < day for end in earlier)
                and (stint.end is None or day <= stint.end)
            ]
            if window.holds(stint.start):
                found.append((rep, stint, min(days, default=None)))
        return found

    def _contacts(self) -> list[tuple[str | None, date]]:
        found = []
        for record in self.world.records.living("activity"):
            done = record.last("completed_at")
            done = record.statements[0].time_ms if done is None else done
            if record.last("with") in (None, "prospect") and done <= self.world.as_of_ms:
                found.append((self.world.person_said(record, "rep_id"), self.world.day(done)))
        return found

    def _creations(self) -> list[tuple[str | None, date]]:
        made = [deal for deal in self.deals if deal.created_in(windows.ALL)]
        return [(deal.creator, deal.created) for deal in made if deal.created is not None]

    def _wins(self) -> list[tuple[str | None, date]]:
        return [
            (deal.closed.closer, deal.closed.on)
            for deal in self.deals
            if deal.outcome == "won" and deal.closed
        ]

    # 8: referrals

    def referrals(self, window: Window) -> Readings:
        found: dict[str, list[Item]] = {"from_customers": [], "from_others": [], "won": []}
        for deal, rep, customer in self._referred():
            if window.holds(deal.created):
                labels = self.world.labels(self.by, rep, deal.created)
                found["from_customers" if customer else "from_others"].append(Item(labels, 1))
            if customer and deal.closed_in(window, "won") and deal.closed:
                found["won"].append(Item(self.world.labels(self.by, rep, deal.closed.on), 1))
        return {name: added(items) for name, items in found.items()}

    def _referred(self) -> Iterator[tuple[Deal, str | None, bool]]:
        """(the deal, who gets the credit, whether a customer referred it): F12, F27."""
        world, book = self.world, self.book
        customers = {one.key: one for one in book.customers}
        pairs = set()
        named = [
            deal for deal in self.deals if deal.referrer and deal.created and deal.created_in(windows.ALL)
        ]
        for deal in sorted(named, key=lambda deal: (deal.created_ms or 0, deal.record)):
            assert deal.created is not None
            assert deal.created_ms is not None
            referrer, referred = world.customer(deal.referrer), world.customer(deal.account)
            pair = (referrer, referred or deal.record)
            known = customers.get(referred or "")
            others = [one.days for one in known.contracts if one.record != deal.record] if known else []
            was_customer = any(min(days, default=LATE) <= deal.created for days in others)
            if referrer == referred or pair in pairs or was_customer:
                continue
            pairs.add(pair)
            source = None if deal.referrer == "unknown" else customers.get(referrer or "")
            rep = None
            if deal.referrer != "unknown":
                rep = book.owner(deal.referrer, deal.created_ms, by_then=True)
            yield deal, rep or deal.creator, bool(source and deal.created in source.active)

    # 9: customer retention, churn, and customers

    def customer_retention(self, window: Window) -> Readings:
        there = self._at_the_start(window)
        return {
            "logo": divided(Item(labels, stayed, 1) for labels, stayed, _, _ in there),
            "grr": divided(Item(labels, min(before, after), before) for labels, _, before, after in there),
            "nrr": divided(Item(labels, after, before) for labels, _, before, after in there),
        }

    def churn(self, window: Window) -> Readings:
        there = self._at_the_start(window)
        return {
            "logo": divided(Item(labels, not stayed, 1) for labels, stayed, _, _ in there),
            "revenue": divided(
                Item(labels, before - min(before, after), before) for labels, _, before, after in there
            ),
        }

    def _at_the_start(self, window: Window) -> list[tuple[Labels, bool, Fraction, Fraction]]:
        """(labels, still there at the end, revenue at the start, revenue at the end) of each customer."""
        start, end = window.start - DAY, min(window.end, self.world.as_of)
        if window.start > self.world.as_of:
            return []
        return [
            (
                self.book.of_customer(self.by, one, start, None),
                end in one.active,
                self._in_force(one, start, end),
                self._in_force(one, end, end),
            )
            for one in self.book.customers
            if start in one.active
        ]

    def customers(self, window: Window) -> Readings:
        start, end = window.start - DAY, min(window.end, self.world.as_of)
        begun, everyone, grace = (
            window.start <= self.world.as_of,
            self.book.customers,
            self.world.kpis.renewal_grace_days,
        )

        def counted(customers: list[Customer], on: date) -> dict[Labels, Figure]:
            return added(Item(self.book.of_customer(self.by, one, on, None), 1) for one in customers)

        recent = [end - number * DAY for number in range(1, grace + 1)]
        return {
            "active": counted([one for one in everyone if end in one.active], end),
            "new": counted([o for o in everyone if begun and end in o.active and start not in o.active], end),
            "churned": counted(
                [o for o in everyone if begun and start in o.active and end not in o.active], start
            ),
            "in_grace": counted(
                [o for o in everyone if end not in o.active and any(day in o.in_force for day in recent)], end
            ),
        }

    def contracts_expiring(self, _: Window) -> Readings:
        """In force, with a last day in the band, and nothing of the customer in force after it."""
        counts, amounts, now = [], [], self.world.as_of
        for customer in self.book.customers:
            for one in customer.contracts:
                if now not in one.days or max(customer.in_force) > (last := max(one.days)):
                    continue
                for band, (first, until) in BANDS.items():
                    if first <= (last - now).days <= until:
                        value = self._annual(one, now)
                        labels = (*self.book.of_contract(self.by, one), band)
                        counts.append(Item(labels, 1))
                        amounts.append(Item(labels, value or 0, 0, value is not None))
        return {"count": added(counts), "amount": added(amounts)}

    # Targets

    def target(self, window: Window) -> Readings:
        amount = {
            labels: Figure(total.over, None, None, total.samples) if total.samples else NOTHING_DIVIDED
            for labels, total in self._targets(window, "amount").items()
        }
        wins = {
            labels: Figure(value, None, None, samples if value is not None else 0)
            for labels, (value, samples) in self._wins_wanted(window).items()
        }
        return {"amount": amount, "wins": wins}

    def attainment(self, window: Window, scale: Fraction = Fraction(1)) -> Readings:
        won = self.won(window)
        wanted, wanted_wins = self._targets(window, "amount"), self._wins_wanted(window)
        found: Readings = {"amount": {}, "wins": {}}
        for labels in set(won["amount"]) | set(wanted):
            of, total = _value(won["amount"], labels), wanted[labels]
            found["amount"][labels] = _over(of, total.over * scale, total.samples)
        for labels in set(won["count"]) | set(wanted_wins):
            value, samples = wanted_wins.get(labels, (None, 0))
            scaled = None if value is None else value * scale
            found["wins"][labels] = _over(_value(won["count"], labels), scaled, samples)
        return found

    def pace(self, window: Window) -> Readings:
        world = self.world
        start, end = world.end_ms(window.start - DAY) + 1, world.end_ms(window.end) + 1
        passed = max(0, min(world.as_of_ms + 1, end) - start)
        return self.attainment(window, Fraction(passed, end - start))

    def needed(self, window: Window) -> Readings:
        rates = self.win_rate(self._trailing(window))["closed_count"]
        wanted, found = self._wins_wanted(window), {}
        for labels in set(rates) | set(wanted):
            wins, rate = wanted.get(labels, (None, 0))[0], rates.get(labels, NOTHING_DIVIDED)
            value = wins / rate.value if wins is not None and rate.value else None
            found[labels] = Figure(value, wins, rate.value, rate.samples if value is not None else 0)
        return {"count": found}

    def coverage(self, window: Window) -> Readings:
        won, wanted = self.won(window)["amount"], self._targets(window, "amount")
        open_, found = self._amount(self._expected(window), self._owner), {}
        for labels in set(won) | set(wanted) | set(open_):
            gap = wanted[labels].over - _value(won, labels)
            value = _value(open_, labels) / gap if gap > 0 else None
            samples = wanted[labels].samples if value is not None else 0
            found[labels] = Figure(value, _value(open_, labels), gap, samples)
        return {"amount": found}

    def _trailing(self, window: Window) -> Window:
        return windows.window(self.world.meaning.company, "trailing_12m", min(window.end, self.world.as_of))

    def _wins_wanted(self, window: Window) -> dict[Labels, tuple[Fraction | None, int]]:
        """Target wins; where a target has only an amount, amount / deal size of the trailing 12 months."""
        stated_wins = self._targets(window, "wins", instead_of="")
        amounts = self._targets(window, "amount", instead_of="wins")
        sizes = self.deal_size(self._trailing(window))["mean"]
        found: dict[Labels, tuple[Fraction | None, int]] = {}
        for labels in set(stated_wins) | set(amounts):
            wins, money = stated_wins[labels], amounts[labels]
            value = wins.over if wins.samples else None
            if money.samples:
                size = sizes.get(labels, NOTHING_DIVIDED).value
                value = wins.over + money.over / size if size else None
            found[labels] = (value, wins.samples + money.samples)
        return found

    def _targets(self, window: Window, measure: str, instead_of: str = "-") -> defaultdict[Labels, Total]:
        """What is stated for the window in each group, day by day; with `instead_of` wins only where the
        holder states no wins, with an empty one of those who state wins."""

        def choose(scope: str, name: str) -> dict[date, Stated]:
            chosen = self.facts.chosen(scope, name, window, measure)
            if instead_of == "wins" and self.facts.chosen(scope, name, window, "wins"):
                return {}
            return chosen

        def either(scope: str, name: str) -> bool:
            if self.facts.chosen(scope, name, window, measure):
                return True
            return instead_of != "-" and any(
                self.facts.chosen(scope, name, window, one) for one in ("wins", "amount")
            )

        items = []
        plain = [one for one in self.stated if not one.goal]
        if not {"rep", "manager"} & set(self.by):
            if not self.by and either("company", ""):
                return totals(
                    self._day_items({day: ((), one) for day, one in choose("company", "").items()}, measure)
                )
            teams = sorted({one.name for one in plain if one.scope == "team"})
            for team in teams:
                labels = (team,) if self.by else ()
                items += self._day_items(
                    {day: (labels, one) for day, one in choose("team", team).items()}, measure
                )
        for rep in sorted({one.name for one in plain if one.scope == "rep"}):
            days: dict[date, tuple[Labels, Stated]] = {}
            for day, one in choose("rep", rep).items():
                on = self.world.as_of if self.world.attribution == "current" else day
                if {"rep", "manager"} & set(self.by) or not either("team", self.world.team(rep, on) or ""):
                    days[day] = (self.world.labels(self.by, rep, day), one)
            items += self._day_items(days, measure)
        return totals(items)

    def _day_items(self, days: Mapping[date, tuple[Labels, Stated]], measure: str) -> list[Item]:
        items = []
        for labels, one in days.values():
            worth = self._worth(one, measure)
            items.append(Item(labels, (worth or 0) * share(1, one), 0, worth is not None))
        return items

    def _worth(self, one: Stated, measure: str) -> Fraction | None:
        if measure == "wins":
            return Fraction(one.record.last("wins"))
        currency = one.record.last("currency") or self.world.currency
        minor = self.world.minor(one.record.last("amount"), currency)
        return self.world.convert(minor, currency, min(one.end, self.world.as_of))

    # Forecasts and speed

    def _expected(self, window: Window) -> list[Deal]:
        return [deal for deal in self.deals if deal.open and window.holds(deal.expected)]

    def weighted_forecast(self, window: Window) -> Readings:
        items = [
            Item(self._owner(deal), (deal.amount or 0) * deal.probability, 0, deal.amount is not None)
            for deal in self._expected(window)
        ]
        return {"amount": added(items)}

    def forecast(self, window: Window) -> Readings:
        return {
            name: self._amount(
                [deal for deal in self._expected(window) if deal.category == name], self._owner
            )
            for name in ("commit", "best_case", "pipeline")
        }

    def velocity(self, window: Window) -> Readings:
        end_ms = min(self.world.end_ms(window.end), self.world.as_of_ms)
        end = self.world.day(end_ms)
        open_ = added(Item(self._owner(deal, end), 1) for deal in self.facts.deals_at(end_ms) if deal.open)
        parts = [
            self.win_rate(window)["closed_count"],
            self.deal_size(window)["mean"],
            self.sales_cycle(window)["mean"],
        ]
        found = {}
        for labels in set(open_).union(*parts):
            rate, size, cycle = (part.get(labels, NOTHING_DIVIDED) for part in parts)
            value = None
            if rate.value is not None and size.value is not None and cycle.value:
                value = _value(open_, labels) * rate.value * size.value / cycle.value
            found[labels] = Figure(value, None, None, cycle.samples if value is not None else 0)
        return {"amount": found}

    # The waterfall

    def waterfall(self, window: Window) -> Readings:
        amounts, counts = [], []
        for labels, change, amount, count, priced in self._changes(window):
            amounts.append(Item((*labels, change), amount, 0, priced))
            counts.append(Item((*labels, change), count))
        return {"amount": added(amounts), "count": added(counts)}

    def _changes(self, window: Window) -> Iterator[tuple[Labels, str, Fraction, int, bool]]:
        world = self.world
        end_ms = min(world.end_ms(window.end), world.as_of_ms)
        start_ms = min(world.end_ms(window.start - DAY), end_ms)
        for record in world.records.all("opportunity"):
            if not record.statements:
                continue
            story = Story(world, record)
            moments = {state.from_ms for state in story.states} | {event.time_ms for event in record.events}
            marks = [start_ms, *sorted(mark for mark in moments if start_ms < mark <= end_ms)]
            there = [self._in_pipeline(story, mark, window) for mark in marks]
            inside = [(mark, deal) for mark, deal in zip(marks, there, strict=True) if deal]
            if inside:
                yield from self._bars(story, window, marks, inside, start_ms, end_ms)

    def _in_pipeline(self, story: Story, instant_ms: int, window: Window) -> Deal | None:
        deal = story.at(instant_ms)
        if deal and deal.open and window.holds(deal.expected) and story.record.lives(instant_ms):
            return deal
        return None

    def _bars(
        self,
        story: Story,
        window: Window,
        marks: list[int],
        inside: list[tuple[int, Deal]],
        start_ms: int,
        end_ms: int,
    ) -> Iterator[tuple[Labels, str, Fraction, int, bool]]:
        (entered_ms, first), (last_ms, last) = inside[0], inside[-1]
        before, after = story.at(start_ms), story.at(end_ms)
        assert after is not None
        came, left = "start", ""
        if entered_ms != start_ms:
            came = "created"
            if before:
                came = "pulled_in" if before.open and story.record.lives(start_ms) else "reopened"
        if last_ms == marks[-1]:
            last = after
        elif not story.record.lives(end_ms) or after.outcome == "omitted":
            left = "deleted"
        else:
            left = "pushed_out" if after.open else after.outcome
        if left in ("won", "lost"):
            last = after
        elif left:
            out = story.at(marks[marks.index(last_ms) + 1])
            assert out is not None
            last = out

        def of(deal: Deal) -> tuple[Labels, date]:
            on = deal.closed.on if deal.closed else self.world.day(deal.at_ms)
            who = (deal.closed.closer if deal.closed else None) or deal.owner
            return self.world.labels(self.by, who, on, **deal.labels), on

        (here, _), (there, on) = of(first), of(last)
        old, new, zero = first.amount or Fraction(0), last.amount or Fraction(0), Fraction(0)
        priced_first, priced_last = not first.unpriced, not last.unpriced
        yield here, came, old, 1, priced_first
        if here != there:
            yield here, "transferred", -old, -1, priced_first
            yield there, "transferred", old, 1, priced_first
        native = self.world.convert(first.native, first.currency, on) if first.native is not None else None
        revalued = native or zero
        if revalued != old:
            yield there, "revalued", revalued - old, 0, priced_last
        if new != revalued:
            yield there, "amount_up" if new > revalued else "amount_down", new - revalued, 0, priced_last
        yield (there, left, -new, -1, priced_last) if left else (there, "end", new, 1, priced_last)

    # Goals

    def goal(
        self, window: Window, dimensions: Mapping[str, tuple[str, ...]]
    ) -> dict[Labels, Fraction | None]:
        """(labels..., KPI, part) and reading -> what is wanted, what there is, and the difference.

        `dimensions` says what each KPI can be split by.
        """
        world, by = self.world, self.by
        end = min(window.end, world.as_of)
        scope = "rep" if {"rep", "manager"} & set(by) else "team" if by else "company"
        managers = {world.manager(person, end) for person in world.people}
        found: dict[Labels, Fraction | None] = {}
        for goal, name in sorted(
            {(one.goal, one.name) for one in self.stated if one.scope == scope and one.goal}
        ):
            kpi, _, reading = goal.partition("/")
            if goal not in CAN_HAVE_A_GOAL:
                continue
            if "rep" not in by and "manager" in by and (by != ("manager",) or name not in managers):
                continue
            unit, kind = CAN_HAVE_A_GOAL[goal]
            known = [
                one
                for one in self.stated
                if (one.scope, one.name, one.goal) == (scope, name, goal)
                and one.record.last("value") is not None
            ]
            wanted = self._wanted(known, window, unit, is_shared=kind in ("sum", "plan"))
            if wanted is None:
                continue
            labels = world.labels(by, name, end) if "rep" in by else (name,) * len(by)
            figure = None
            # All that is a rep's own, whatever team he was in then.
            split = ("rep",) if "rep" in by else by
            if set(split) <= set(dimensions[kpi]):
                figure = self._whole(kpi, reading, split, (name,) if by else (), window)
                if figure is None and kind in ("sum", "state"):
                    figure = Fraction(0)
            found[*labels, kpi, reading, "goal"] = wanted
            found[*labels, kpi, reading, "figure"] = figure
            found[*labels, kpi, reading, "difference"] = None if figure is None else figure - wanted
        return found

    def _whole(
        self, kpi: str, reading: str, split: Labels, holder: Labels, window: Window
    ) -> Fraction | None:
        """What a reading comes to for one holder; of contracts that expire, whichever band they are in."""
        rows = Naive(self.facts, split).figures(kpi, window)[reading]
        if kpi != "contracts_expiring":
            return rows[holder].value if holder in rows else None
        return sum(
            (rows[*holder, band].value or Fraction(0) for band in BANDS if (*holder, band) in rows),
            Fraction(0),
        )

    def _wanted(self, known: list[Stated], window: Window, unit: str, *, is_shared: bool) -> Fraction | None:
        if is_shared:
            shares = [(one, share(1, one)) for one in days_of(known, window.start, window.end).values()]
        else:
            around = [one for one in known if one.start <= window.start and window.end <= one.end]
            shortest = min(around, key=lambda one: (one.length, one.id), default=None)
            shares = [(shortest, Fraction(1))] if shortest else []
        values = [(self._in_unit(one, unit), part) for one, part in shares]
        if not values or any(value is None for value, _ in values):
            return None
        return sum((value * part for value, part in values if value is not None), Fraction(0))

    def _in_unit(self, one: Stated, of: str) -> Fraction | None:
        value = Fraction(one.record.last("value"))
        if of == "seconds":
            return value * 1000
        if of not in ("money", "money_per_second"):
            return value
        currency = one.record.last("currency") or self.world.currency
        converted = self.world.convert(1, currency, min(one.end, self.world.as_of))
        per = 1 if of == "money" else 1000
        return None if converted is None else value * converted * unit(currency) / per


NOTHING = Figure(Fraction(0), None, None, 0)
NOTHING_DIVIDED = Figure(None, Fraction(0), Fraction(0), 0)
LATE = date.max
LATEST_MS = 10**12


def _value(groups: Mapping[Labels, Figure], labels: Labels) -> Fraction:
    found = groups.get(labels, NOTHING).value
    return found or Fraction(0)


def _over(over: Fraction, under: Fraction | None, samples: int) -> Figure:
    value = over / under if under else None
    return Figure(value, over, under, samples if value is not None else 0)

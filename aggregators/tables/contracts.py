"""Contracts and customers as interval tables: columns of numpy arrays, one row a contract or a customer.

What one contract is worth and when it is in force is what `aggregators.contracts` says of it; here are
the sets: who is a customer on a day, what is in force, whose they are. Rules as in kpi-definitions.md.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from aggregators.calendar import LAST_DAY
from aggregators.contracts import MICRO, Contract
from aggregators.customers import known_contracts
from aggregators.deal_facts import UNKNOWN
from aggregators.money import RATE_SCALE
from aggregators.rows import TYPES
from aggregators.tables.fast import FastAsk, Labels, distinct_groups, factor_of
from aggregators.tables.split import day_number, day_of
from aggregators.tables.sums import column_sums, integers
from aggregators.zones import Int64

ENDLESS: Final = 2**23
"""The last day, in days since 2000, of what is still running."""
_NONE: Final = -(2**23)

Value = Callable[[Contract], int | None]


class ContractTable:
    """Every contract: days since 2000, amounts in 10^-6 minor units of its own currency.

    `contracts` has the rows as objects, or is empty where the rows are purchases (F34). `owner` is a
    group of the split, -1 where its account's owner counts instead. Without a day in force, `first` lies
    after `last`.
    """

    account: Int64
    kind: Int64
    currency: Int64
    customer: Int64
    owner: Int64
    signed: Int64
    start: Int64
    first: Int64
    last: Int64

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self.contracts = contracts
        self.account_ids: list[str | None] = []
        self.kinds: list[str] = []
        self.currencies: list[str] = []
        self.customer_ids: list[str] = []
        self.alone: dict[int, int] = {}
        """Customers that are a contract without an account, and its row (F32)."""
        self.values: dict[object, Any] = {}
        """Numbers of each row by name, filled as they are asked for."""

    def value(self, name: object, value: Value) -> Any:
        """A number of each contract, int64 or (where that is too narrow) Python integers; UNKNOWN is none."""
        if name not in self.values:
            found = [value(contract) for contract in self.contracts]
            self.values[name] = integers([UNKNOWN if each is None else each for each in found])
        return self.values[name]

    def annual(self) -> Any:
        """Annual values; of purchases none (F34)."""
        return self.value("annual", lambda contract: contract.annual_micro)

    def in_force(self, day: int) -> Any:
        """Whether each contract is in force on a day."""
        return (self.first <= day) & (day <= self.last)


class OwnerSteps:
    """Who owned each of some accounts from when on; None in their place has no owner."""

    def __init__(self, fast: FastAsk, account_ids: Iterable[str | None]) -> None:
        people, group, find = fast.ask.people, fast.split.group, fast.ask.accounts.find
        instants: list[int] = []
        groups: list[int] = []
        counts: list[int] = []
        for account_id in account_ids:
            account = find(account_id)
            stated = account.history("owner_id") if account else []
            counts.append(len(stated))
            for value, event in stated:
                instants.append(event.time_ms)
                groups.append(group(people.resolve(value, event.source)))
        self._instants, self._groups = np.array([*instants, 0]), np.array([*groups, 0], dtype=np.int64)
        self._counts = np.array(counts, dtype=np.int64)
        self._starts = np.cumsum(self._counts) - self._counts

    def at(self, accounts: Int64, instants_ms: Int64 | int, as_of_ms: int) -> Int64:
        """The owner (a group) of each account at an instant, or at the as-of instant if that is earlier.

        The first owner ever stated holds before it, too, if it was stated by the as-of instant.
        """
        instants = np.minimum(instants_ms, as_of_ms)
        starts, counts = self._starts[accounts], self._counts[accounts]
        told = (counts > 0) & (self._instants[starts] <= as_of_ms)
        at = starts
        for step in range(1, int(counts.max(initial=0))):
            here = np.minimum(starts + step, len(self._instants) - 1)
            at = np.where((step < counts) & (self._instants[here] <= instants), here, at)
        return np.where(told, self._groups[at], 0)


class CustomerTable:
    """Every customer of a table of contracts, in the order of `customer_ids`."""

    def __init__(self, table: ContractTable, *, grace_days: int) -> None:
        self.size, self.grace_days = len(table.customer_ids), grace_days
        rows = np.flatnonzero(table.first <= table.last)
        order = np.lexsort((table.last[rows], table.first[rows], table.customer[rows]))
        rows = rows[order]
        customer, first, last = table.customer[rows], table.first[rows], table.last[rows]
        # Each customer is lifted into a band of its own, so that one accumulate serves all of them.
        band = 4 * ENDLESS
        reached = np.maximum.accumulate(customer * band + last) - customer * band
        begins = np.ones(len(rows), dtype=bool)
        if len(rows):
            gap = first[1:] - reached[:-1]
            begins[1:] = (customer[1:] != customer[:-1]) | (gap > max(grace_days, 1))
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(rows)) - 1 if len(rows) else starts
        self.of, self.first, self.last = customer[starts], first[starts], reached[ends] if len(rows) else last

    def active(self, day: int) -> Any:
        """Whether each is a customer on that day: something in force, or in a gap that a renewal healed (F7)."""
        found = np.zeros(self.size, dtype=bool)
        found[self.of[(self.first <= day) & (day <= self.last)]] = True
        return found

    def in_grace(self, day: int) -> Any:
        """Whether each is none on that day, its last day in force within the grace before it (F33)."""
        newest = np.full(self.size, _NONE, dtype=np.int64)
        ended = self.last < day
        np.maximum.at(newest, self.of[ended], self.last[ended])
        return ~self.active(day) & (newest > _NONE) & (day - newest <= self.grace_days)


class Book:
    """The contracts and customers that a question is about, and whose they are."""

    def __init__(self, fast: FastAsk) -> None:
        self.fast = fast
        settings = fast.ask.meaning.kpis
        self.by_purchases = settings.customer_basis == "purchases"
        kinds = ("contract", "account", "employee")
        if self.by_purchases:
            self.contracts = _purchases(fast, settings.purchase_active_days)
            self.customers = CustomerTable(self.contracts, grace_days=settings.renewal_grace_days)
            self._owned: dict[object, Any] = {}
        else:
            company = fast.company
            self.contracts = company.derived((ContractTable, fast.split), lambda: _table(fast), *kinds)
            self.customers = company.derived(
                (CustomerTable, fast.split),
                lambda: CustomerTable(self.contracts, grace_days=settings.renewal_grace_days),
                *kinds,
            )
            self._owned = company.derived((Book, fast.split), dict, *kinds)

    def converted(self, rows: Int64, micro: Any, days: Int64 | int) -> tuple[Any, Any, int]:
        """(amounts of contracts in the reporting currency, whether each has a price, over what they are).

        The rate is that of a day, one for all or one for each. Amounts without a price are 0.
        """
        rates, names = self.fast.ask.rates, self.contracts.currencies
        currency = self.contracts.currency[rows]
        known = micro != UNKNOWN
        own = names.index(rates.reporting) if rates.reporting in names else -1
        if (currency == own).all():
            return np.where(known, micro, 0), known, MICRO
        day = np.broadcast_to(np.asarray(days, dtype=np.int64), currency.shape)
        pairs, which = np.unique(currency * 2**25 + day + 2**24, return_inverse=True)
        factors = [
            factor_of(rates, names[pair >> 25], (pair & (2**25 - 1)) - 2**24) for pair in pairs.tolist()
        ]
        # Every rate is a multiple of 10^-30, and a minor unit at most one of 10^-5: over one denominator
        # for all, they are integers, and their sums and comparisons exact.
        one = RATE_SCALE * 10**5
        scaled = np.array([0 if factor is None else int(factor * one) for factor in factors], dtype=object)
        priced = np.array([factor is not None for factor in factors])[which] & known
        return np.where(priced, micro, 0).astype(object) * scaled[which], priced, MICRO * one

    def of_contracts(self, rows: Int64, extra: Int64 | None = None) -> tuple[Int64, list[Labels]]:
        """The groups of contracts: their own owner's at signature, else their account's (F32)."""
        fast, table = self.fast, self.contracts
        columns = []
        for dimension in fast.question.by:
            match dimension:
                case "rep":
                    columns.append(self._owners()[rows])
                case "team" | "manager":
                    days = table.signed[rows]
                    if fast.ask.attribution == "current":
                        days = np.full(len(rows), fast.as_of_day, dtype=np.int64)
                    columns.append(fast.split.on_day(dimension, self._owners()[rows], days))
                case "kind":
                    columns.append(self._kinds()[table.kind[rows]])
                case field:
                    columns.append(self._account_field(field)[table.account[rows]])
        return _grouped(fast, columns, len(rows), extra)

    def of_customers(
        self, customers: Int64, day: int, kinds: Int64 | None = None
    ) -> tuple[Int64, list[Labels]]:
        """The groups of customers: their account owner's at the end of a day, and his team's on it."""
        fast = self.fast
        columns = []
        for dimension in fast.question.by:
            match dimension:
                case "rep":
                    columns.append(self._customer_owners(customers, day))
                case "team" | "manager":
                    on = fast.as_of_day if fast.ask.attribution == "current" else day
                    owners = self._customer_owners(customers, day)
                    days = np.full(len(customers), on, dtype=np.int64)
                    columns.append(fast.split.on_day(dimension, owners, days))
                case "kind":
                    assert kinds is not None  # a customer has kinds only where its contracts are told apart
                    columns.append(self._kinds()[kinds])
                case field:
                    columns.append(self._customer_field(field)[customers])
        return _grouped(fast, columns, len(customers), None)

    def per_customer(self, rows: Int64, amounts: Any, priced: Any) -> tuple[Int64, Int64, Any, Int64]:
        """(customers of contracts, kinds if they are told apart, the amounts of each, whether any has a price)."""
        kinds = max(len(self.contracts.kinds), 1)
        key = self.contracts.customer[rows] * kinds
        if "kind" in self.fast.question.by:
            key = key + self.contracts.kind[rows]
        keys, of = np.unique(key, return_inverse=True)
        counted = np.bincount(of, priced, minlength=len(keys)) > 0
        return keys // kinds, keys % kinds, column_sums(amounts, of, len(keys)), counted.astype(np.int64)

    def sums_by_customer(self, rows: Int64, amounts: Any) -> Any:
        """The sum of the amounts of each customer's contracts, 0 where it has none of them."""
        return column_sums(amounts, self.contracts.customer[rows], self.customers.size)

    def _owners(self) -> Int64:
        """The rep of each contract; whoever owned its account at signature where it names none."""
        table, ask = self.contracts, self.fast.ask
        nobody = np.flatnonzero(table.owner < 0)
        if not len(nobody):
            return table.owner
        days, which = np.unique(table.signed[nobody], return_inverse=True)
        ends_ms = np.array([ask.calendar.end_ms(day_of(day)) for day in days.tolist()], dtype=np.int64)[which]
        steps = self._kept("account owners", lambda: OwnerSteps(self.fast, table.account_ids))
        owners = table.owner.copy()
        owners[nobody] = steps.at(table.account[nobody], ends_ms, ask.as_of_ms)
        return owners

    def _customer_owners(self, customers: Int64, day: int) -> Int64:
        """The owner of each customer's account at the end of a day; of a lone contract its own (F32)."""
        ask = self.fast.ask
        steps = self._kept("customer owners", lambda: OwnerSteps(self.fast, self._customer_accounts()))
        owners = steps.at(customers, ask.calendar.end_ms(day_of(day)), ask.as_of_ms)
        lone = self._kept("lone", self._lone)[customers]
        return np.where(lone >= 0, np.maximum(self.contracts.owner[np.maximum(lone, 0)], 0), owners)

    def _lone(self) -> Int64:
        """Of each customer that is a contract without an account, its row; -1 of the others."""
        found = np.full(self.customers.size, -1, dtype=np.int64)
        for customer, row in self.contracts.alone.items():
            found[customer] = row
        return found

    def _customer_accounts(self) -> list[str | None]:
        alone = self.contracts.alone
        return [None if number in alone else key for number, key in enumerate(self.contracts.customer_ids)]

    def _kinds(self) -> Int64:
        return np.array([self.fast.split.group(kind) for kind in self.contracts.kinds], dtype=np.int64)

    def _account_field(self, field: str) -> Int64:
        return self._kept(("account", field), lambda: self._fields(self.contracts.account_ids, field))

    def _customer_field(self, field: str) -> Int64:
        return self._kept(("customer", field), lambda: self._fields(self._customer_accounts(), field))

    def _fields(self, ids: Iterable[str | None], field: str) -> Int64:
        accounts, group = self.fast.ask.accounts, self.fast.split.group
        found = (accounts.find(account_id) for account_id in ids)
        return np.array(
            [group(account.newest(field) if account else None) for account in found], dtype=np.int64
        )

    def _kept(self, name: object, build: Callable[[], Any]) -> Any:
        if name not in self._owned:
            self._owned[name] = build()
        return self._owned[name]


def _grouped(
    fast: FastAsk, columns: Sequence[Int64], rows: int, extra: Int64 | None
) -> tuple[Int64, list[Labels]]:
    if extra is not None:
        columns = [*columns, extra]
    if not columns:
        return np.zeros(rows, dtype=np.int64), [()]
    return distinct_groups(columns, fast.split)


def _table(fast: FastAsk) -> ContractTable:
    """The contracts of a company as a table."""
    ask, group = fast.ask, fast.split.group
    table = ContractTable(known_contracts(ask))
    codes = _Codes()
    rows = []
    for row, contract in enumerate(table.contracts):
        customer = ask.accounts.customer(contract.account_id)
        number = codes.of("customer", customer or contract.record)
        if customer is None:
            table.alone[number] = row
        span = contract.in_force
        rows.append(
            (
                codes.of("account", contract.account_id),
                codes.of("kind", contract.kind),
                codes.of("currency", contract.currency),
                number,
                -1 if contract.owner_id is None else group(contract.owner_id),
                day_number(contract.signed_on),
                day_number(contract.start_on),
                ENDLESS if span is None else day_number(span.first),
                _NONE if span is None else ENDLESS if span.last is None else day_number(span.last),
            )
        )
    return _filled(table, codes, np.array(rows, dtype=np.int64).reshape(-1, 9))


def _purchases(fast: FastAsk, active_days: int) -> ContractTable:
    """Each opportunity won by the as-of instant as a one-time contract of its amount (F34).

    Those won on a later day are there, too: the next purchase heals a gap (F7).
    """
    split, deals = fast.split, fast.table
    won, column = _bought(fast)
    table, codes = ContractTable(()), _Codes()
    accounts = column("account").astype(np.int64)
    distinct, which = np.unique(accounts, return_inverse=True)
    survivors = [fast.ask.accounts.survivor(deals.names.texts[code] or None) for code in distinct.tolist()]
    customers = [fast.ask.accounts.customer(account) for account in survivors]
    account = np.array([codes.of("account", each) for each in survivors], dtype=np.int64)[which]
    number = np.array(
        [-1 if each is None else codes.of("customer", each) for each in customers], dtype=np.int64
    )[which]
    for row in np.flatnonzero(number < 0).tolist():
        number[row] = codes.of("customer", f"opportunity/{deals.ids[won[row]]}")
        table.alone[int(number[row])] = row
    reps = split.reps(column("closer"), deals.names)
    closed = column("closed_day").astype(np.int64)
    kind = np.array([codes.of("kind", each) for each in TYPES], dtype=np.int64)[column("type")]
    currencies, of = np.unique(column("currency"), return_inverse=True)
    names = [deals.labels.texts[code] for code in currencies.tolist()]
    currency = np.array([codes.of("currency", each) for each in names], dtype=np.int64)[of]
    nobody = np.where(column("closer") == 0, -1, reps)
    columns = [account, kind, currency, number, nobody, closed, closed, closed, closed + active_days - 1]
    found = _filled(table, codes, np.stack(columns, axis=1) if len(won) else np.zeros((0, 9), dtype=np.int64))
    amount = column("amount")
    worth = np.where(amount == UNKNOWN, 0, amount)
    found.values["annual"] = np.full(len(won), UNKNOWN, dtype=np.int64)
    found.values["once"] = integers([each * MICRO for each in worth.tolist()])
    return found


def _bought(fast: FastAsk) -> tuple[Int64, Callable[[str], Any]]:
    """(the deals that are purchases, a column of the states in which they are won)."""
    cut = fast.cut
    if "bought" not in cut.kept:
        last = fast.cut_at(fast.ask.calendar.end_ms(LAST_DAY))
        won = np.flatnonzero(cut.won)
        later = last.won & (last["closed_day"] > fast.as_of_day) & ~np.isin(last.deals, cut.deals[won])
        cut.kept["bought"] = (cut, won), (last, np.flatnonzero(later))
    parts = cut.kept["bought"]
    return (
        np.concatenate([each.deals[rows] for each, rows in parts]),
        lambda name: np.concatenate([each[name][rows] for each, rows in parts]),
    )


class _Codes:
    """Numbers of names, by column."""

    def __init__(self) -> None:
        self.names: Mapping[str, dict[Any, int]] = defaultdict(dict)

    def of(self, column: str, name: Any) -> int:
        known = self.names[column]
        return known.setdefault(name, len(known))


def _filled(table: ContractTable, codes: _Codes, rows: Int64) -> ContractTable:
    (
        table.account,
        table.kind,
        table.currency,
        table.customer,
        table.owner,
        table.signed,
        table.start,
        table.first,
        table.last,
    ) = (np.ascontiguousarray(rows[:, column]) for column in range(9))
    table.account_ids = list(codes.names["account"])
    table.kinds = list(codes.names["kind"])
    table.currencies = list(codes.names["currency"])
    table.customer_ids = list(codes.names["customer"])
    return table

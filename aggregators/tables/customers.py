"""The readings about contracts and customers on the fast road."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from aggregators.calendar import Span
from aggregators.kpis import clv
from aggregators.kpis.contracts_expiring import BANDS
from aggregators.tables.contracts import ENDLESS, Book
from aggregators.tables.fast import Count, FastAsk, Piece, Weighed
from aggregators.tables.split import day_number
from aggregators.zones import Int64


def _end(fast: FastAsk, span: Span) -> int:
    """A window's last day, or the as-of day if that is earlier (F31)."""
    return min(day_number(span.end), fast.as_of_day)


def _signed(fast: FastAsk, book: Book, span: Span) -> Int64:
    signed = book.contracts.signed
    inside = (signed >= day_number(span.start)) & (signed <= _end(fast, span))
    return np.flatnonzero(inside & ~np.bool_(book.by_purchases))  # a purchase has no annual value (F34)


def _in_force(fast: FastAsk, book: Book) -> Int64:
    return np.flatnonzero(book.contracts.in_force(fast.as_of_day) & ~np.bool_(book.by_purchases))


def _per_contract(book: Book, rows: Int64, days: Int64 | int) -> list[Piece]:
    annual, priced, scale = book.converted(rows, book.contracts.annual()[rows], days)
    group, labels = book.of_contracts(rows)
    counts = priced.astype(np.int64)
    return [Weighed(group, labels, annual, counts, (scale, 1), counts)]


def _per_customer(book: Book, rows: Int64, micro: Any, days: Int64 | int, on: int) -> list[Piece]:
    amounts, priced, scale = book.converted(rows, micro, days)
    customers, kinds, total, counted = book.per_customer(rows, amounts, priced)
    group, labels = book.of_customers(customers, on, kinds)
    return [Weighed(group, labels, total, counted, (scale, 1), counted)]


def _unpriced(book: Book, rows: Int64, days: Int64 | int) -> list[Piece]:
    _, priced, _ = book.converted(rows, book.contracts.annual()[rows], days)
    group, labels = book.of_contracts(rows)
    return [Weighed(group[~priced], labels, np.ones(int((~priced).sum()), dtype=np.int64))]


def unpriced_active(fast: FastAsk, _: Span) -> list[Piece]:
    """Contracts in force without a price."""
    book = Book(fast)
    return _unpriced(book, _in_force(fast, book), fast.as_of_day)


def unpriced_booked(fast: FastAsk, span: Span) -> list[Piece]:
    """Contracts signed in the window without a price of that day."""
    book = Book(fast)
    rows = _signed(fast, book, span)
    return _unpriced(book, rows, book.contracts.signed[rows])


def booked_per_contract(fast: FastAsk, span: Span) -> list[Piece]:
    """Annual values of the contracts signed in the window, at the rate of that day."""
    book = Book(fast)
    rows = _signed(fast, book, span)
    return _per_contract(book, rows, book.contracts.signed[rows])


def booked_per_customer(fast: FastAsk, span: Span) -> list[Piece]:
    """The same over the customers that signed them."""
    book = Book(fast)
    rows = _signed(fast, book, span)
    annual = book.contracts.annual()[rows]
    return _per_customer(book, rows, annual, book.contracts.signed[rows], _end(fast, span))


def active_per_contract(fast: FastAsk, _: Span) -> list[Piece]:
    """Annual values of the contracts in force."""
    book = Book(fast)
    return _per_contract(book, _in_force(fast, book), fast.as_of_day)


def active_per_customer(fast: FastAsk, _: Span) -> list[Piece]:
    """The same over the customers that have something in force."""
    book = Book(fast)
    rows = _in_force(fast, book)
    return _per_customer(book, rows, book.contracts.annual()[rows], fast.as_of_day, fast.as_of_day)


def _lifetime(reading: str) -> Count:
    def count(fast: FastAsk, _: Span) -> list[Piece]:
        book, day = Book(fast), fast.ask.as_of_on
        table = book.contracts
        rows = np.flatnonzero(np.minimum(table.signed, table.start) <= fast.as_of_day)
        if book.by_purchases:
            micro = table.values["once"]
        elif reading == "historic":
            micro = table.value((reading, day), lambda contract: contract.accrued_micro(day))
        else:
            micro = table.value((reading, day), lambda contract: contract.signed_micro(day))
        return _per_customer(book, rows, micro[rows], fast.as_of_day, fast.as_of_day)

    return count


def projected(fast: FastAsk, _: Span) -> list[Piece]:
    """What the active customers bring in a year, and the churn of the trailing twelve months."""
    if "kind" in fast.question.by:
        return []
    book, day = Book(fast), fast.as_of_day
    customers = np.flatnonzero(book.customers.active(day))
    revenue, scale = _revenue(book, day, day)
    group, labels = book.of_customers(customers, day)
    ones = np.ones(len(customers), dtype=np.int64)
    found: list[Piece] = [
        Weighed(group, labels, revenue[customers], ones, (scale, 1), ones, part=clv.REVENUE)
    ]
    for piece in churn_logo(fast, fast.ask.trailing_12m(fast.ask.as_of_on)):
        assert isinstance(piece, Weighed)
        piece.part = clv.CHURN
        found.append(piece)
    return found


def _revenue(book: Book, day: int, rate_day: int) -> tuple[Any, int]:
    """(annual value in force on a day of every customer, at the rate of another, over what it is)."""
    table = book.contracts
    rows = np.flatnonzero(table.in_force(day))
    annual, _, scale = book.converted(rows, table.annual()[rows], rate_day)
    return book.sums_by_customer(rows, annual), scale


def _started(fast: FastAsk, span: Span) -> tuple[Book, Int64, int, int] | None:
    """(the book, the customers at the window's start, that day, its end); None: it has not begun."""
    if span.start > fast.ask.as_of_on:
        return None
    book, start = Book(fast), day_number(span.start) - 1
    return book, np.flatnonzero(book.customers.active(start)), start, _end(fast, span)


def _logo(*, stayed: bool) -> Count:
    def count(fast: FastAsk, span: Span) -> list[Piece]:
        started = _started(fast, span)
        if started is None:
            return []
        book, customers, start, end = started
        kept = book.customers.active(end)[customers]
        group, labels = book.of_customers(customers, start)
        ones = np.ones(len(customers), dtype=np.int64)
        return [Weighed(group, labels, (kept if stayed else ~kept).astype(np.int64), ones)]

    return count


churn_logo = _logo(stayed=False)


def _kept_revenue(book: Book, customers: Int64, start_day: int, end_day: int) -> tuple[Any, Any, int]:
    """(what each customer brought in a year at the start, and at the end, over what these are)."""
    (start, scale), (end, end_scale) = (_revenue(book, day, end_day) for day in (start_day, end_day))
    if scale != end_scale:  # one of the two has contracts in other currencies
        start, end = start.astype(object) * end_scale, end.astype(object) * scale
        scale *= end_scale
    return start[customers], end[customers], scale


def revenue_changes(fast: FastAsk, span: Span) -> dict[str, Weighed]:
    """What became of the revenue of the customers at a window's start: expansion, contraction and churn, signed."""
    started = _started(fast, span)
    if started is None:
        return {}
    book, customers, start_day, end_day = started
    start, end, scale = _kept_revenue(book, customers, start_day, end_day)
    stayed, moved = book.customers.active(end_day)[customers], end - start
    group, labels = book.of_customers(customers, start_day)
    more = (moved > 0).astype(bool)
    parts = {"expansion": stayed & more, "contraction": stayed & ~more, "churn": ~stayed}
    return {
        name: Weighed(group[here], labels, moved[here], scales=(scale, 1)) for name, here in parts.items()
    }


def _by_revenue(which: str) -> Count:
    def count(fast: FastAsk, span: Span) -> list[Piece]:
        started = _started(fast, span)
        if started is None:
            return []
        book, customers, start_day, end_day = started
        start, end, scale = _kept_revenue(book, customers, start_day, end_day)
        kept = np.minimum(start, end)
        over = {"grr": kept, "nrr": end, "churn": start - kept}[which]
        group, labels = book.of_customers(customers, start_day)
        return [Weighed(group, labels, over, start, (scale, scale))]

    return count


def _customers(book: Book, customers: Int64, day: int) -> list[Piece]:
    group, labels = book.of_customers(customers, day)
    return [Weighed(group, labels, np.ones(len(customers), dtype=np.int64))]


def active(fast: FastAsk, span: Span) -> list[Piece]:
    """Customers active at the window's end."""
    book, day = Book(fast), _end(fast, span)
    return _customers(book, np.flatnonzero(book.customers.active(day)), day)


def in_grace(fast: FastAsk, span: Span) -> list[Piece]:
    """Customers whom a renewal could still heal."""
    book, day = Book(fast), _end(fast, span)
    return _customers(book, np.flatnonzero(book.customers.in_grace(day)), day)


def _changed(*, came: bool) -> Count:
    def count(fast: FastAsk, span: Span) -> list[Piece]:
        if span.start > fast.ask.as_of_on:
            return []
        book, start, end = Book(fast), day_number(span.start) - 1, _end(fast, span)
        there, gone = (end, start) if came else (start, end)
        changed = book.customers.active(there) & ~book.customers.active(gone)
        return _customers(book, np.flatnonzero(changed), there)

    return count


def _expiring(fast: FastAsk) -> tuple[Book, Int64, Int64]:
    """(the book, the contracts that end soon with nothing after them, the group of the band of each)."""
    book, day = Book(fast), fast.as_of_day
    table = book.contracts
    newest = np.full(book.customers.size, -ENDLESS, dtype=np.int64)
    some = table.first <= table.last
    np.maximum.at(newest, table.customer[some], table.last[some])
    days = table.last - day
    ends = (days <= max(BANDS.values())) & (newest[table.customer] == table.last)
    rows = np.flatnonzero(table.in_force(day) & ends)
    groups = np.array([fast.split.group(band) for band in BANDS], dtype=np.int64)
    return book, rows, groups[np.searchsorted(list(BANDS.values()), days[rows])]


def expiring_count(fast: FastAsk, _: Span) -> list[Piece]:
    """How many contracts end in each band."""
    book, rows, band = _expiring(fast)
    group, labels = book.of_contracts(rows, band)
    return [Weighed(group, labels, np.ones(len(rows), dtype=np.int64))]


def expiring_amount(fast: FastAsk, _: Span) -> list[Piece]:
    """Their annual values."""
    book, rows, band = _expiring(fast)
    annual, priced, scale = book.converted(rows, book.contracts.annual()[rows], fast.as_of_day)
    group, labels = book.of_contracts(rows, band)
    return [Weighed(group, labels, annual, None, (scale, 1), priced.astype(np.int64))]


OF_CUSTOMERS: Final[Mapping[tuple[str, str], Count]] = {
    ("acv", "booked_per_contract"): booked_per_contract,
    ("acv", "booked_per_customer"): booked_per_customer,
    ("acv", "active_per_contract"): active_per_contract,
    ("acv", "active_per_customer"): active_per_customer,
    ("clv", "historic"): _lifetime("historic"),
    ("clv", "signed"): _lifetime("signed"),
    ("clv", "projected"): projected,
    ("customer_retention", "logo"): _logo(stayed=True),
    ("customer_retention", "grr"): _by_revenue("grr"),
    ("customer_retention", "nrr"): _by_revenue("nrr"),
    ("churn", "logo"): churn_logo,
    ("churn", "revenue"): _by_revenue("churn"),
    ("customers", "active"): active,
    ("customers", "new"): _changed(came=True),
    ("customers", "churned"): _changed(came=False),
    ("customers", "in_grace"): in_grace,
    ("contracts_expiring", "count"): expiring_count,
    ("contracts_expiring", "amount"): expiring_amount,
    ("unpriced_contracts", "active"): unpriced_active,
    ("unpriced_contracts", "booked"): unpriced_booked,
}
"""The readings over the table of contracts."""

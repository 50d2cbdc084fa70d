"""Pipeline waterfall: from what was open and expected in a window at its start to what is at its end.

Its universe are the open deals whose expected close lies in the window. Each deal has at most one entry,
one net change of amount and one exit; a deal that was out for a while in between simply stayed in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import DAY
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Partition, Reading, Text
from aggregators.opportunity import Deal, Opportunity
from aggregators.question import Number

CHANGES = (
    "start",
    "created",
    "pulled_in",
    "reopened",
    "transferred",
    "amount_up",
    "amount_down",
    "won",
    "lost",
    "pushed_out",
    "deleted",
    "revalued",
    "end",
)
LEAVING = ("won", "lost", "pushed_out", "deleted")


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amounts, signed, so that start and all changes come to the end, exactly, in every group."""
    for step in steps(ask, window):
        yield Contribution(
            step.deal.record,
            (*step.by, step.change),
            step.amount,
            samples=int(not step.deal.unpriced),
            on=step.on,
            note=step.deal.price_note,
        )


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals, signed in the same way. A change of amount or rate changes no count: see the samples."""
    for step in steps(ask, window):
        yield Contribution(step.deal.record, (*step.by, step.change), step.count, on=step.on)


@dataclass(frozen=True, slots=True)
class Step:
    """One change that one deal makes in one group, as the deal stood then."""

    change: str
    deal: Deal
    by: tuple[str, ...]
    on: date
    amount: Number
    count: int


@dataclass(frozen=True, slots=True)
class Stay:
    """A deal's time among the open deals expected in the window.

    `first` and `last` are the deal as it came in (or was, at the start) and as it left (or is, at the
    end); `came` and `left` say how, `left` being None for one that is still in.
    """

    came: str
    first: Deal
    last: Deal
    left: str | None


def steps(ask: Ask, window: Span) -> Iterator[Step]:
    """Every change of every deal in the window.

    It starts at the end of the day before the window (F1) and ends at its last day or the as-of instant
    (F31); a window that has not begun starts at that instant, too: nothing has changed yet.
    """
    end_ms = min(ask.calendar.end_ms(window.end), ask.as_of_ms)
    start_ms = min(ask.calendar.end_ms(window.start - DAY), end_ms)
    for came, first, last, left in ask.stays(window, start_ms, end_ms):
        yield from _steps(ask, Stay(came, first, last, left))
    for opportunity in ask.histories(start_ms, end_ms):
        stay = _stay(ask, opportunity, window, start_ms, end_ms)
        if stay:
            yield from _steps(ask, stay)


def _stay(ask: Ask, opportunity: Opportunity, window: Span, start_ms: int, end_ms: int) -> Stay | None:
    changes = {said.from_ms for said in opportunity.said}
    changes |= {event.time_ms for event in opportunity.entity.events}
    instants = [start_ms, *sorted(instant for instant in changes if start_ms < instant <= end_ms)]
    inside = [_inside(opportunity, instant, window) for instant in instants]
    if not any(inside):
        return None
    entry = inside.index(True)
    first = opportunity.at(instants[entry], ask.rates)
    end = opportunity.at(end_ms, ask.rates)
    assert first is not None  # it was among the open deals by then
    assert end is not None
    came = "start" if entry == 0 else _came(ask, opportunity, start_ms)
    if inside[-1]:
        return Stay(came, first, end, None)
    left = _left(opportunity, end)
    if left in ("won", "lost"):
        return Stay(came, first, end, left)
    out_ms = instants[len(inside) - inside[::-1].index(True)]
    out = opportunity.at(out_ms, ask.rates)
    assert out is not None
    return Stay(came, first, out, left)


def _inside(opportunity: Opportunity, instant_ms: int, window: Span) -> bool:
    """Whether the deal is open then, not deleted, and its expected close lies in the window."""
    known = opportunity.known(instant_ms)
    if not known or known[-1].closing is not None or known[-1].expected_on not in window:
        return False
    return opportunity.entity.alive_at(instant_ms)


def _came(ask: Ask, opportunity: Opportunity, start_ms: int) -> str:
    """Not there at the start: created. Open and expected elsewhere: pulled in. Closed or hidden: reopened."""
    before = opportunity.at(start_ms, ask.rates)
    if before is None:
        return "created"
    return "pulled_in" if before.is_open and opportunity.entity.alive_at(start_ms) else "reopened"


def _left(opportunity: Opportunity, end: Deal) -> str:
    """Deleted, merged away or in an omitted stage: deleted. Else won, lost, or open and expected elsewhere."""
    if not opportunity.entity.alive_at(end.as_of_ms) or end.outcome == "omitted":
        return "deleted"
    return "pushed_out" if end.is_open else end.outcome


def _steps(ask: Ask, stay: Stay) -> Iterator[Step]:
    """The entry, the transfer, what rates and the amount did, and the exit or the end.

    A transfer carries the amount at the entry; what the rates and the amount did since belongs to the
    group in which the deal is at last. Rates first, at the old amount; then the amount, at the new rate.
    """
    first, last = stay.first, stay.last
    first_on, last_on = _day(ask, first), _day(ask, last)
    at_first, at_last = first.amount or 0, last.amount or 0
    by_first, by_last = (
        ask.by_deal(deal, deal.closer or deal.owner, _day(ask, deal)) for deal in (first, last)
    )
    yield Step(stay.came, first, by_first, first_on, at_first, 1)
    if by_first != by_last:
        yield Step("transferred", first, by_first, last_on, -at_first, -1)
        yield Step("transferred", first, by_last, last_on, at_first, 1)
    native, currency = first.native_amount, first.currency
    revalued = (0 if native is None else ask.rates.convert(native, currency, last_on)) or 0
    if revalued != at_first:
        yield Step("revalued", last, by_last, last_on, revalued - at_first, 0)
    if at_last != revalued:
        change = "amount_up" if at_last > revalued else "amount_down"
        yield Step(change, last, by_last, last_on, at_last - revalued, 0)
    if stay.left:
        yield Step(stay.left, last, by_last, last_on, -at_last, -1)
    else:
        yield Step("end", last, by_last, last_on, at_last, 1)


def _day(ask: Ask, deal: Deal) -> date:
    """The day whose rate and team count: the close date, else the day of the instant."""
    return deal.closed_on or ask.calendar.day(deal.as_of_ms)


WATERFALL = Kpi(
    name="waterfall",
    version=1,
    title=Text("Pipeline waterfall", "商機變化瀑布圖"),
    definition=Text(
        "Open deals whose expected close lies in the window, from its start to its end. Each deal has one entry "
        "(start, created, pulled in, reopened), one net change of amount and one exit (won, lost, pushed out, "
        "deleted). Between groups it is transferred at its amount at the entry. What exchange rates do is "
        "revalued. Start and all changes come to the end, exactly; a deletion is a change on its day.",
        "預計於期間內結案的未結商機,自期初至期末的變化。每筆商機最多一次進入(期初、建立、提前、重啟)、"
        "一次金額淨變動、一次離開(贏單、輸單、延後、刪除)。群組間以進入時金額移轉,匯率影響另列重估。"
        "期初加各項變化恰等於期末;刪除計於當日。",
    ),
    dimensions=DEAL_DIMENSIONS,
    partition=Partition("change", CHANGES, adds_up=False, is_bridge=True),
    readings=(
        Reading("amount", Text("amount", "金額"), "money", amount),
        Reading("count", Text("count", "筆數"), "count", count),
    ),
)

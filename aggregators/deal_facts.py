"""What opportunities contribute: an array function of their rows, for many opportunities at once.

From the ordered statements of each deal it makes one *head* (what has no history: creation, account,
type, life) and its *states*: what was true of the deal from one instant until another, as known now.
At any as-of instant at most one state of a deal stands (`since <= as_of < until`), and every
opportunity KPI is a sum over the states that stand. Rules are cited as in kpi-definitions.md; the
plain road is `aggregators.opportunity`, written independently.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregators.meaning import Meaning
from aggregators.rows import (
    CATEGORIES,
    CHANGED,
    CLEARED,
    CLEARED_DAY,
    COMPLETE,
    DELETED,
    MERGED,
    NO_DAY,
    RESTORED,
    UNSTATED,
)
from aggregators.symbols import Symbols
from aggregators.zones import DAY_MS, Int64, zone
from events.currencies import EXPONENTS

Bool = NDArray[np.bool_]
Ints = NDArray[Any]

NEVER: Final = 2**62
"""An instant (ms) or day that does not come."""
UNKNOWN: Final = -(2**62)
"""An instant or amount that is not known."""
NO_DATE: Final = -(2**31)

OPEN: Final = -1
OMITTED: Final = 0
WON: Final = 1
LOST: Final = 2
OUTCOMES: Final = {"open": OPEN, "omitted": OMITTED, "won": WON, "lost": LOST}

MOST_DEALS: Final = 2**19
"""How many deals `deal_facts` takes at once."""
_BAND: Final = 2**43  # ms of 278 years: wider than 1970 to 2100

FLAG_CLOSE_AFTER_EVENT: Final = 1
"""The stated close date lies after the closing event's local day, and counts as that day (F18)."""
FLAG_CLOSE_BEFORE_CREATION: Final = 2
"""The deal closed before it was created (F20)."""

HEAD: Final = np.dtype(
    [
        ("created", "<i8"),  # ms since 2000; UNKNOWN if stated as null
        ("dead_at", "<i8"),  # ms of the deletion or merge that stands; NEVER while alive
        ("created_day", "<i4"),  # local days since 2000; NO_DATE if unknown
        ("account", "<i4"),
        ("referrer", "<i4"),
        ("name", "<i4"),
        ("lost_reason", "<i4"),
        ("lead_source", "<i4"),
        ("states", "<i4"),  # how many states follow
        ("type", "i1"),
        ("died", "i1"),  # whether a deletion or a merge was ever said of it
    ]
)
STATE: Final = np.dtype(
    [
        ("since", "<i8"),  # ms since 2000: stands from here
        ("until", "<i8"),  # ms: until before here; NEVER
        ("amount", "<i8"),  # minor units of `currency`; UNKNOWN if none was stated
        ("forward", "<i8"),  # ms: last forward move, moved on by the time it was closed since
        ("entered", "<i8"),  # ms: entry into the stage
        ("stalls_at", "<i8"),  # ms: stalled after this instant; NEVER
        ("closed_at", "<i8"),  # ms: when the close took effect (F19); NEVER while open
        ("cycle", "<i8"),  # ms from creation to close (F8); UNKNOWN
        ("stage", "<i4"),  # label
        ("pipeline", "<i4"),  # label; 0: default
        ("currency", "<i4"),  # label
        ("owner", "<i4"),  # name
        ("creator", "<i4"),  # name: owner at the creation (F21)
        ("closer", "<i4"),  # name: owner after the closing event (F10)
        ("closed_day", "<i4"),  # local days since 2000; NO_DATE while open
        ("expected_day", "<i4"),  # close date stated last; NO_DATE
        ("probability", "<i4"),  # 10^-6, the stage's unless stated
        ("outcome", "i1"),
        ("category", "i1"),
        ("dated", "i1"),  # whether the close was given a date (F18)
        ("flags", "i1"),
    ]
)


class StageTable:
    """What the configuration says of each (pipeline, stage), as arrays over label codes."""

    def __init__(self, meaning: Meaning, labels: Symbols) -> None:
        self.meaning, self.labels = meaning, labels
        self.default_pipeline = labels["default"]
        self.reporting = labels[meaning.company.currency]
        self.zone = zone(meaning.company.timezone)
        self._known = 0

    def refresh(self) -> None:
        """Take in the labels that are new since the last call."""
        if self._known == len(self.labels.texts):
            return
        texts = self.labels.texts
        self._known = len(texts)
        pipelines = list(self.meaning.pipelines)
        shape = (len(pipelines) + 1, len(texts))
        self.pipeline = np.full(len(texts), len(pipelines), np.int64)  # the last row: unknown pipelines
        self.outcome = np.full(shape, OPEN, np.int8)
        self.order = np.full(shape, -1, np.int64)
        self.threshold = np.full(shape, NEVER, np.int64)
        self.probability = np.zeros(shape, np.int32)
        self.category = np.full(shape, CATEGORIES.index("pipeline"), np.int8)
        codes = {text: code for code, text in enumerate(texts)}
        for i, pipeline in enumerate(pipelines):
            if pipeline in codes:
                self.pipeline[codes[pipeline]] = i
        for (pipeline, name), (order, stage) in self.meaning.stages.items():
            if (code := codes.get(name)) is None:
                continue
            at = pipelines.index(pipeline), code
            self.outcome[at] = OUTCOMES[stage.kind]
            self.order[at] = order
            if stage.stalled_after_days is not None and stage.kind == "open":
                self.threshold[at] = stage.stalled_after_days * DAY_MS
            self.probability[at] = round(stage.probability * 1_000_000)
            self.category[at] = CATEGORIES.index(stage.forecast_category)
        reporting = EXPONENTS[self.meaning.company.currency]
        exponents = [EXPONENTS.get(text, reporting) for text in texts]
        self.divisor = np.array([10 ** (5 - exponent) for exponent in exponents], dtype=np.int64)


def round_half_even(amounts: Int64, divisors: Int64) -> Int64:
    """`amounts / divisors` rounded half to even."""
    whole = amounts // divisors
    twice = 2 * (amounts - whole * divisors)
    return whole + ((twice > divisors) | ((twice == divisors) & (whole & 1 == 1)))


class _Groups:
    """Ordered rows of many deals, one after the other, and the fill-forward over them."""

    def __init__(self, first: Bool) -> None:
        self.first = first
        self.last: Bool = np.append(first[1:], True)
        self.here: Int64 = np.arange(len(first))
        self.number: Int64 = np.cumsum(first) - 1
        self.starts: Int64 = np.flatnonzero(first)

    def filled(self, stated: Bool) -> Int64:
        """Per row: the row of the same deal that stated it last, its first row if none did."""
        return np.maximum.accumulate(np.where(stated | self.first, self.here, 0))

    def before(self, values: Ints, default: Any) -> Ints:
        """Per row: the value of the row before it in the same deal."""
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[self.first] = default
        return shifted

    def newest(self, where: Bool) -> Int64:
        """Per deal: its last row where that holds, -1 if none."""
        return np.maximum.reduceat(np.where(where, self.here, -1), self.starts)

    def least_after(self, instants: Int64) -> Int64:
        """Per row: the least instant among the later rows of the same deal; NEVER on its last."""
        if len(self.starts) > MOST_DEALS:
            raise ValueError(f"{len(self.starts)} deals at once; at most {MOST_DEALS} fit")
        # Each deal is lifted into a band of its own, so that one accumulate serves all of them.
        lifted = np.minimum(instants, _BAND // 2 - 1) + _BAND // 2
        lifted = np.where(self.last, _BAND - 1, np.append(lifted[1:], 0)) + self.number * _BAND
        least = np.minimum.accumulate(lifted[::-1])[::-1] - self.number * _BAND
        return np.where(least >= _BAND - 1, NEVER, least - _BAND // 2)


def deal_facts(rows: Ints, counts: Sequence[int] | Int64, table: StageTable) -> tuple[Ints, Ints]:
    """(heads, states) of deals whose ordered statements stand one after the other in `rows`.

    `rows` has dtype ROW, shape (sum of counts,); `counts` says how many belong to each deal, each at
    least 1. Heads have dtype HEAD, one per deal, in order; states have dtype STATE, `head["states"]`
    of them per deal, in the order of the deals, and within one in the order of time. A deleted deal
    keeps its states (the waterfall needs them); its head says since when it is dead.
    """
    table.refresh()
    counts = np.asarray(counts, dtype=np.int64)
    heads = np.zeros(len(counts), dtype=HEAD)
    starts = np.cumsum(counts) - counts
    first = np.zeros(len(rows), dtype=bool)
    first[starts] = True
    kind, t = rows["kind"], rows["t"]
    said = (kind == CHANGED) | (kind == COMPLETE)
    heads["dead_at"] = NEVER
    if not said.all():
        groups = _Groups(first)
        heads["dead_at"] = _dead_at(groups, kind, t)
        heads["died"] = groups.newest((kind == DELETED) | (kind == MERGED)) >= 0
    earliest = t[starts]

    deals = np.cumsum(first) - 1  # the deal of each row
    if not said.all():
        rows, deals = rows[said], deals[said]
    heads["created"], heads["created_day"] = UNKNOWN, NO_DATE
    if not len(rows):
        return heads, np.zeros(0, dtype=STATE)
    rows, deals = _with_unseen_opening(rows, deals, earliest, table)

    groups = _Groups(np.append(True, deals[1:] != deals[:-1]))
    of = deals[groups.starts]  # the deals that have states
    _fill_heads(heads, of, rows, groups, earliest, table)
    return heads, _states(heads, of, rows, deals, groups, earliest, table)


def _dead_at(groups: _Groups, kind: Ints, t: Int64) -> Int64:
    """When the deletion or merge that stands was said (events.md, "Life and death"); NEVER if alive."""
    deleted, merged = groups.newest(kind == DELETED), groups.newest(kind == MERGED)
    restored, complete = groups.newest(kind == RESTORED), groups.newest(kind == COMPLETE)
    is_deleted = deleted > np.maximum(restored, complete)
    is_merged = merged > restored
    by = np.maximum(np.where(is_deleted, deleted, -1), np.where(is_merged, merged, -1))
    return np.where(by >= 0, t[np.maximum(by, 0)], NEVER)


def _created(rows: Ints, groups: _Groups, earliest: Int64) -> Int64:
    """Per deal: its creation, stated newest; never stated: its earliest event; null: UNKNOWN."""
    stated = rows["created"][groups.filled(rows["created"] != UNSTATED)[groups.last]]
    return np.where(stated == UNSTATED, earliest, np.where(stated == CLEARED, UNKNOWN, stated))


def _kinds(rows: Ints, groups: _Groups, table: StageTable) -> tuple[Ints, Ints, Ints]:
    """Per row: (stage label, pipeline label, row of the table) as they stand after it."""
    stage = np.maximum(rows["stage"][groups.filled(rows["stage"] >= 0)], 0)
    pipeline = np.maximum(rows["pipeline"][groups.filled(rows["pipeline"] >= 0)], 0)
    pipeline = np.where(pipeline == 0, table.default_pipeline, pipeline)
    return stage, pipeline, table.pipeline[pipeline]


def _with_unseen_opening(rows: Ints, deals: Int64, earliest: Int64, table: StageTable) -> tuple[Ints, Int64]:
    """A deal first told of as closed was open, in no stage we know, from its creation until then."""
    groups = _Groups(np.append(True, deals[1:] != deals[:-1]))
    starts = groups.starts
    heads = rows[starts]
    pipeline = np.maximum(heads["pipeline"], 0)
    pipeline = table.pipeline[np.where(pipeline == 0, table.default_pipeline, pipeline)]
    closed = table.outcome[pipeline, np.maximum(heads["stage"], 0)] != OPEN
    if not closed.any():
        return rows, deals
    created = _created(rows, groups, earliest[deals[starts]])
    unseen = closed & (created != UNKNOWN) & (created < heads["t"])
    at = starts[unseen]
    opening = rows[at].copy()
    opening["t"], opening["stage"] = created[unseen], -1
    return np.insert(rows, at, opening), np.insert(deals, at, deals[at])


def _fill_heads(
    heads: Ints, of: Int64, rows: Ints, groups: _Groups, earliest: Int64, table: StageTable
) -> None:
    last = groups.last
    created = _created(rows, groups, earliest[of])
    heads["created"][of] = created
    known = created != UNKNOWN
    heads["created_day"][of] = np.where(known, table.zone.day(np.where(known, created, 0)), NO_DATE)
    for name in ("account", "referrer", "name", "lost_reason", "lead_source"):
        heads[name][of] = np.maximum(rows[name][groups.filled(rows[name] >= 0)[last]], 0)
    heads["type"][of] = np.maximum(rows["type"][groups.filled(rows["type"] != -1)[last]], 0)
    heads["states"][of] = np.diff(np.append(groups.starts, len(rows)))


def _states(
    heads: Ints, of: Int64, rows: Ints, deals: Int64, groups: _Groups, earliest: Int64, table: StageTable
) -> Ints:
    first, number = groups.first, groups.number
    t = rows["t"]
    created = heads["created"][of][number]
    known = created != UNKNOWN
    # Nothing of a deal is true before its creation, and its first state from then on.
    at = np.where(first, np.where(known, np.minimum(created, t), earliest[deals]), t)

    stage, pipeline, pipeline_row = _kinds(rows, groups, table)
    outcome = table.outcome[pipeline_row, stage]
    is_open = outcome == OPEN
    turned = pipeline != groups.before(pipeline, -1)  # into another pipeline, where all starts anew (F29)
    moved = turned | (stage != groups.before(stage, -1))
    outcome_before = groups.before(outcome, OPEN)
    closing = ~is_open & (outcome != outcome_before)  # won to won never moves the close (G7)
    reopening = is_open & (outcome_before != OPEN)
    closed_by = groups.filled(closing)

    closed_day, closed_at, dated, flags = _closes(rows, groups, closing, is_open, closed_by, table)
    cycle = np.where(
        dated,
        (closed_day - heads["created_day"][of][number]) * DAY_MS,  # F8, F9: whole local days
        t[closed_by] - created,
    )
    cycle = np.where(is_open | ~known, UNKNOWN, cycle)

    clock = np.where(first & is_open & known, created, np.maximum(at, np.where(known, created, at)))
    since = np.where(is_open, clock, np.where(closing, closed_at, at))
    order = np.where(moved & is_open, table.order[pipeline_row, stage], -1)
    forward = _forward(groups, turned, order, reopening, since, closed_at)
    entered = since[groups.filled(moved)]

    owner = np.maximum(rows["owner"][groups.filled(rows["owner"] >= 0)], 0)
    creator = _creator(groups, rows["owner"], t, created, known)

    currency = np.maximum(rows["currency"][groups.filled(rows["currency"] >= 0)], 0)
    currency = np.where(currency == 0, table.reporting, currency)
    amount = rows["amount"][groups.filled(rows["amount"] != UNSTATED)]
    has_amount = amount > CLEARED
    amount = round_half_even(np.where(has_amount, amount, 0), table.divisor[currency])

    expected = rows["close"][groups.filled(rows["close"] != NO_DAY)]
    probability = rows["probability"][groups.filled(rows["probability"] != -1)]
    category = rows["category"][groups.filled(rows["category"] != -1)]

    # What is said last in order and true by then stands: a close that takes effect before it was
    # told ends all that was true until then (F17, F19).
    until = groups.least_after(since)
    threshold = table.threshold[pipeline_row, stage]

    states = np.zeros(len(rows), dtype=STATE)
    states["since"], states["until"] = since, until
    states["amount"] = np.where(has_amount, amount, UNKNOWN)
    states["forward"], states["entered"] = forward, entered
    states["stalls_at"] = np.where(is_open & (threshold < NEVER), forward + threshold, NEVER)
    states["closed_at"] = np.where(is_open, NEVER, closed_at)
    states["cycle"] = cycle
    states["stage"], states["pipeline"], states["currency"] = stage, pipeline, currency
    states["owner"], states["creator"] = owner, creator
    states["closer"] = np.where(is_open, 0, owner[closed_by])
    states["closed_day"] = np.where(is_open, NO_DATE, closed_day)
    states["expected_day"] = np.where(expected > CLEARED_DAY, expected, NO_DATE)
    states["probability"] = np.where(probability >= 0, probability, table.probability[pipeline_row, stage])
    states["outcome"] = outcome
    states["dated"] = dated & ~is_open
    states["category"] = np.where(category >= 0, category, table.category[pipeline_row, stage])
    early = ~is_open & known & (closed_at < created)
    states["flags"] = flags | np.where(early, FLAG_CLOSE_BEFORE_CREATION, 0)
    stood = since < until
    heads["states"][of] = np.add.reduceat(stood.astype(np.int32), groups.starts)
    return states[stood]


def _closes(
    rows: Ints, groups: _Groups, closing: Bool, is_open: Bool, closed_by: Int64, table: StageTable
) -> tuple[Ints, Ints, Bool, Ints]:
    """Per row of a closed episode: (close day, instant it took effect, was a date given, flags).

    Only a close date stated by the closing event or by a later one while the deal is closed is the
    actual one; the newest counts, one that repeats the date stated last before the close says
    nothing, and one after the closing event's local day counts as that day (F18, F19).
    """
    close, t = rows["close"], rows["t"]
    stated = close != NO_DAY
    held = close[groups.filled(stated)]
    held_before = groups.before(held, NO_DAY)[closed_by]
    news = stated & ~is_open & (closing | (close == CLEARED_DAY) | (close != held_before))
    # The last row of each episode of being closed, and the newest date stated until there.
    ends = ~is_open & (groups.last | np.append(is_open[1:] | closing[1:], True))
    end = np.minimum.accumulate(np.where(ends, groups.here, len(rows) - 1)[::-1])[::-1]
    by = groups.filled(news)[end]
    given = news[by] & (by >= closed_by) & (close[by] > CLEARED_DAY) & ~is_open
    event_at = t[closed_by]
    event_day = table.zone.day(event_at)
    day = np.where(given, np.minimum(close[by], event_day), event_day)
    flags = np.where(given & (close[by] > event_day), FLAG_CLOSE_AFTER_EVENT, 0)
    effective = np.minimum(event_at, table.zone.day_start(day + 1) - 1)
    return day, effective, given, flags


def _forward(
    groups: _Groups, turned: Bool, order: Ints, reopening: Bool, since: Int64, closed_at: Int64
) -> Int64:
    """Per row: the last forward move, moved on by the time the deal was closed since (KPI 4, F29).

    `order` is that of the open stage a row enters, -1 for every other row.
    """
    run = np.cumsum(turned) * (2 + int(order.max(initial=-1)))
    best = np.maximum.accumulate(run + order + 1)
    ahead = (order >= 0) & (run + order + 1 > groups.before(best, 0))
    moved_by = groups.filled(ahead)
    moved_at = np.where(ahead[moved_by], since[moved_by], since[groups.starts][groups.number])
    # A back-dated close may begin before the last move, or before the last reopening: no time twice.
    reopened_by = groups.before(groups.filled(reopening), 0)
    reopened_at = np.where(reopening[reopened_by], since[reopened_by], UNKNOWN)
    closed_before = groups.before(closed_at, 0)
    awake = np.maximum(reopened_at, groups.before(moved_at, UNKNOWN))
    asleep = since - np.maximum(closed_before, awake)
    total = np.cumsum(np.where(reopening, np.maximum(asleep, 0), 0))
    forward: Int64 = moved_at + total - total[moved_by]
    # One that begins before the last reopening may also reach behind what was counted so far.
    for deal in np.unique(groups.number[reopening & (closed_before < reopened_at)]).tolist():
        _slept_through(forward, moved_at, deal, groups, reopening, since, closed_at)
    return forward


def _slept_through(
    forward: Int64,
    moved_at: Int64,
    deal: int,
    groups: _Groups,
    reopening: Bool,
    since: Int64,
    closed_at: Int64,
) -> None:
    """Write the last forward moves of a deal whose times of being closed overlap: rare, so plainly."""
    closed: list[tuple[int, int]] = []
    for row in np.flatnonzero(groups.number == deal).tolist():
        if reopening[row]:
            closed.append((int(closed_at[row - 1]), int(since[row])))
        covered, end = 0, int(moved_at[row])
        for start, stop in sorted(closed):
            covered += max(0, stop - max(start, end))
            end = max(end, stop)
        forward[row] = moved_at[row] + covered


def _creator(groups: _Groups, stated_owner: Ints, t: Int64, created: Int64, known: Bool) -> Ints:
    """Per row: the owner at the creation; if there was none yet, the first ever stated (F21)."""
    stated = stated_owner >= 0
    by_then = groups.newest(stated & known & (t <= created))
    ever = np.minimum.reduceat(np.where(stated & (stated_owner > 0), groups.here, len(t)), groups.starts)
    settled = by_then >= 0
    settled &= stated_owner[np.maximum(by_then, 0)] > 0
    by = np.where(settled, by_then, ever)[groups.number]
    known_then = settled[groups.number] | (by <= groups.here)
    return np.where(known_then, stated_owner[np.minimum(by, len(t) - 1)], 0)


def fact_outcome(code: int) -> str:
    """The kind of stage that an outcome code stands for."""
    return next(kind for kind, outcome in OUTCOMES.items() if outcome == code)

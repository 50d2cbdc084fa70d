"""Taking a figure apart: its definition, its arithmetic, and the records it is the sum of."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from aggregators.answer import check, groups, rows_of, windows
from aggregators.ask import Ask
from aggregators.bars import shown
from aggregators.company import Company
from aggregators.kpi import Contribution, Kpi, Reading, Sums
from aggregators.kpis import find_kpi
from aggregators.question import Number, Question, Row
from events.errors import UsageError

SORTS = ("numerator", "denominator", "on", "record")
"""What records can be sorted by; a `-` before it turns the order round. Default: the greatest first."""

MOST_NAMED = 10
"""How many figures a refusal names."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One figure, and every record that contributes to it, unsorted. `bar` is its row among those of a bridge."""

    kpi: Kpi
    reading: Reading
    row: Row
    contributions: tuple[Contribution, ...]
    bar: Row | None = None

    @property
    def shown(self) -> Row:
        """The row as every answer shows it; `row` is exact."""
        return self.bar or self.row

    @property
    def parts(self) -> Mapping[str, Sums]:
        """The sums of its records, by part; of a reading that is not composed under the empty name."""
        found: defaultdict[str, Sums] = defaultdict(Sums)
        for contribution in self.contributions:
            found[contribution.part].add(contribution)
        return found


@dataclass(frozen=True, slots=True)
class Move:
    """What one record adds to a figure at two instants; None where it was no part of it."""

    record: str
    part: str
    before: Contribution | None
    after: Contribution | None

    @property
    def difference(self) -> Number:
        """By how much its numerator moved the figure."""
        return (self.after.numerator if self.after else 0) - (self.before.numerator if self.before else 0)


def explain(
    company: Company, question: Question, reading: str | None = None, where: Mapping[str, str] | None = None
) -> Explanation:
    """The figure of one reading (default: the primary one) in one group, taken apart.

    `where` names the group: dimension -> label; nothing: the company. It replaces `question.by`. A KPI
    that is always split (waterfall by `change`) needs its part there too, a goal the KPI it is set for. The
    contributions sum to the figure exactly. Raises UsageError for a reading, dimension or part that there
    is not.
    """
    kpi = find_kpi(question.kpi)
    labels = dict(where or {})
    if kpi.rows:
        return _of_rows(kpi, company, question, reading, labels)
    names = tuple(name for name in labels if not kpi.partition or name != kpi.partition.name)
    question = Question(
        kpi.name, question.as_of_ms, question.window, names, 1, question.attribution, question.now_ms
    )
    check(kpi, question)
    chosen = reading_of(kpi, reading)
    group = (*(labels[name] for name in names), *_part(kpi, labels))
    ask = Ask(company, question)
    (window, span) = windows(ask, kpi, chosen)[-1]
    everything = tuple(chosen.contributions(ask, span))
    found = tuple(each for each in everything if each.by == group)
    figure = groups(kpi, question, found) or {group: defaultdict(Sums)}
    (row,) = (each for each in rows_of(ask, kpi, chosen, window, figure) if _labels(each) == group)
    bar = None
    if kpi.partition and kpi.partition.is_bridge:
        beside = groups(kpi, question, (each for each in everything if each.by[:-1] == group[:-1]))
        bars = shown(rows_of(ask, kpi, chosen, window, beside))
        bar = next((each for each in bars if _labels(each) == group), None)
    return Explanation(kpi, chosen, row, found, bar)


def _of_rows(
    kpi: Kpi, company: Company, question: Question, reading: str | None, labels: Mapping[str, str]
) -> Explanation:
    """One of the rows that a KPI without records of its own takes apart: the one that all labels fit."""
    if kpi.apart is None:
        raise UsageError(f"{kpi.name} is read from other figures: explain the KPI it is about")
    by = tuple(name for name in labels if name in kpi.dimensions)
    asked = replace(question, kpi=kpi.name, by=by, periods=1)
    check(kpi, asked)
    there_are = list(kpi.apart(Ask(company, asked)))
    found = [
        taken
        for taken in there_are
        if reading in (None, taken.row.reading) and labels.items() <= dict(taken.row.by).items()
    ]
    if len(found) == 1:
        return Explanation(kpi, found[0].reading, found[0].row, found[0].contributions)
    named = [
        " ".join((f"--reading {row.reading}", *(f"--where {name}={label}" for name, label in row.by)))
        for row in (taken.row for taken in (found or there_are)[:MOST_NAMED])
    ]
    what = f"{len(found)} figures of {kpi.name} fit" if found else f"no figure of {kpi.name} fits"
    raise UsageError(
        f"{what}; {'there are ' + '; '.join(named) if named else 'none is stated for this window and group'}. "
        f"What stands beside a {kpi.name} is explained as its own KPI, as in `dealpulse explain win_rate`"
    )


def moves(before: Explanation, after: Explanation) -> list[Move]:
    """The records that moved a figure between two instants, the greatest difference first."""
    then, now = _by_record(before.contributions), _by_record(after.contributions)
    found = [
        Move(record, part, then.get((record, part)), now.get((record, part)))
        for record, part in {**then, **now}
        if _weight(then.get((record, part))) != _weight(now.get((record, part)))
    ]
    by_record = sorted(found, key=lambda move: move.record)
    return sorted(by_record, key=lambda move: abs(Fraction(move.difference)), reverse=True)


def ordered(contributions: Sequence[Contribution], sort: str) -> list[Contribution]:
    """Contributions sorted by one of SORTS; ties by record. Raises UsageError for another name."""
    name, turned = sort.removeprefix("-"), sort.startswith("-")
    if name not in SORTS:
        raise UsageError(f"records cannot be sorted by {sort!r}; there are {', '.join(SORTS)}, with - turned")
    by_record = sorted(contributions, key=lambda each: each.record)
    if name == "on":
        return sorted(by_record, key=lambda each: each.on or date.min, reverse=turned)
    return sorted(by_record, key=lambda each: getattr(each, name), reverse=turned)


def reading_of(kpi: Kpi, name: str | None) -> Reading:
    """The reading of that name, without one the primary one. Raises UsageError."""
    if name is None:
        return kpi.readings[0]
    try:
        return kpi.reading(name)
    except KeyError:
        there_are = ", ".join(reading.name for reading in kpi.readings)
        raise UsageError(f"{kpi.name} has no reading {name!r}; there are {there_are}") from None


def _labels(row: Row) -> tuple[str, ...]:
    return tuple(label for _, label in row.by)


def _part(kpi: Kpi, labels: Mapping[str, str]) -> tuple[str, ...]:
    if kpi.partition is None:
        return ()
    value = labels.get(kpi.partition.name)
    if value not in kpi.partition.values:
        raise UsageError(
            f"{kpi.name} is always split by {kpi.partition.name}: say which, one of "
            f"{', '.join(kpi.partition.values)}, as in --where {kpi.partition.name}={kpi.partition.values[0]}"
        )
    return (value,)


def _by_record(contributions: Iterable[Contribution]) -> dict[tuple[str, str], Contribution]:
    """By record and part, those of one record added up."""
    found: dict[tuple[str, str], Contribution] = {}
    for each in contributions:
        key = (each.record, each.part)
        if known := found.get(key):
            each = Contribution(
                each.record,
                each.by,
                known.numerator + each.numerator,
                known.denominator + each.denominator,
                known.samples + each.samples,
                each.on,
                each.note or known.note,
                each.part,
            )
        found[key] = each
    return found


def _weight(contribution: Contribution | None) -> tuple[Number, Number, int] | None:
    if contribution is None:
        return None
    return contribution.numerator, contribution.denominator, contribution.samples

"""Answering a question on the exact road: the sums of a KPI's contributions, group by group."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, Span
from aggregators.company import Company
from aggregators.kpi import Contribution, Kpi, Reading, Sums
from aggregators.kpis import find_kpi
from aggregators.question import Question, Row, Window
from events.errors import UsageError

LEVEL = Window(None, None, None)
"""The window of a level: none."""


def answer(company: Company, question: Question) -> list[Row]:
    """Every reading of the KPI, window by window (oldest first), group by group (by label).

    A group without records has no row in a split; the company-wide figure always has one (F15).
    Raises UsageError for a KPI, window, dimension or attribution that there is not, listing those there are.
    """
    kpi = find_kpi(question.kpi)
    check(kpi, question)
    ask = Ask(company, question)
    if kpi.rows:
        return list(kpi.rows(ask))
    return [
        row
        for reading in kpi.readings
        for window, span in windows(ask, kpi, reading)
        for row in rows_of(ask, kpi, reading, window, groups(kpi, question, reading.contributions(ask, span)))
    ]


def check(kpi: Kpi, question: Question) -> None:
    """Raise UsageError if the question asks for what this KPI does not have."""
    for dimension in question.by:
        if dimension not in kpi.dimensions:
            allowed = ", ".join(kpi.dimensions) or "nothing: it is company-wide only"
            raise UsageError(f"{kpi.name} cannot be split by {dimension!r}; it can by {allowed}")
    if len(set(question.by)) < len(question.by):
        raise UsageError(f"a dimension is named twice in {','.join(question.by)!r}")
    if question.attribution not in (None, "at_the_time", "current"):
        raise UsageError(f"attribution {question.attribution!r} is neither 'at_the_time' nor 'current'")


def windows(ask: Ask, kpi: Kpi, reading: Reading) -> list[tuple[Window, Span]]:
    """The windows that a question asks of a reading; of a level, the one without days (F1)."""
    question = ask.question
    asked = ask.calendar.windows(question.window or kpi.window, ask.as_of_on, question.periods)
    return [(LEVEL, ALWAYS)] if reading.level else asked


def groups(
    kpi: Kpi, question: Question, contributions: Iterable[Contribution]
) -> Mapping[tuple[str, ...], Mapping[str, Sums]]:
    """The sums of each group, by its labels and part; company-wide groups are there without records too."""
    found: dict[tuple[str, ...], defaultdict[str, Sums]] = {}
    if not question.by:
        values = [(value,) for value in kpi.partition.values] if kpi.partition else [()]
        found = {labels: defaultdict(Sums) for labels in values}
    for contribution in contributions:
        found.setdefault(contribution.by, defaultdict(Sums))[contribution.part].add(contribution)
    return found


def rows_of(
    ask: Ask, kpi: Kpi, reading: Reading, window: Window, found: Mapping[tuple[str, ...], Mapping[str, Sums]]
) -> Iterator[Row]:
    """The rows that the sums of each group come to: the last step, the same on either road."""
    names = (*ask.question.by, *([kpi.partition.name] if kpi.partition else []))
    for labels in sorted(found) if ask.question.by else found:
        figure = reading.figure(ask, found[labels])
        yield Row(
            kpi=kpi.name,
            reading=reading.name,
            definition_version=kpi.version,
            by=tuple(zip(names, labels, strict=True)),
            window=window,
            as_of_ms=ask.as_of_ms,
            value=figure.value,
            unit=unit_name(ask, reading),
            numerator=figure.numerator,
            denominator=figure.denominator,
            samples=0 if figure.value is None else figure.samples,
            additive=reading.additive and not set(reading.overlaps) & set(ask.question.by),
        )


def unit_name(ask: Ask, reading: Reading) -> str:
    """The unit as an answer shows it: money is the code of the reporting currency."""
    currency = ask.meaning.company.currency
    return {"money": currency, "money_per_second": f"{currency}/second"}.get(reading.unit, reading.unit)

"""What was reported, taken apart: the kept figure, the records it was made of, and what the log says of it now.

A kept figure stands, whatever comes later (G8). Its records are found again in the log: those known by its
freeze that had been appended when the freeze read the log. A record that was appended later and says it was
known before changes what a recomputation gives, never what was kept; it is among what moved the figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aggregators.explain import Explanation, Move, moves
from aggregators.question import Question, Row
from aggregators.render import Renderer, value_text
from aggregators.reported import KPIS, SPLITS, Freeze, Period, Reported, empty


@dataclass(frozen=True, slots=True)
class Late:
    """When a record says it was known, and when it was appended to the log (ms since 2000)."""

    known_ms: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A figure as the log tells it for a freeze: of what the freeze had read, and of all that was known by then.

    Both are by today's definition and configuration. `late` has the records that came in between.
    """

    seen: Explanation
    known: Explanation
    late: Mapping[str, Late]


@dataclass(frozen=True, slots=True)
class AsReported:
    """A figure as it was reported. The row of `before` is the kept one, if there is one."""

    period: Period
    before: Explanation
    kept: Row | None
    known: Explanation
    reckoned: Row
    """What the records of `before` come to: the kept figure, unless the log does not have it any more."""
    late: Mapping[str, Late]
    settings_changed: bool
    is_frozen: bool

    @property
    def is_comparable(self) -> bool:
        """Whether the kept figure and the log's are of one definition."""
        return self.kept is not None and self.kept.definition_version == self.known.row.definition_version

    @property
    def late_moves(self) -> list[Move]:
        """What was appended after the freeze, known before it, and moves what the log says of it."""
        return moves(self.before, self.known)


def as_reported(
    period: Period, reckoned: Reckoned, question: Question, held: Reported, freeze: Freeze | None, digest: str
) -> AsReported:
    """The kept figure with its records; without one, what the log says.

    `freeze` is the period's own, `digest` that of today's settings.
    """
    kept = _kept(reckoned.seen, question, held, freeze)
    chosen = reckoned.seen
    if kept is not None and not is_same(kept, chosen.row) and is_same(kept, reckoned.known.row):
        chosen = reckoned.known  # it was read after all: two clocks need not agree to the millisecond
    return AsReported(
        period,
        chosen if kept is None else replace(chosen, row=kept),
        kept,
        reckoned.known,
        chosen.row,
        reckoned.late,
        freeze is not None and freeze.settings != digest,
        freeze is not None,
    )


def is_same(one: Row, other: Row) -> bool:
    """Whether two rows hold the same figure by the same definition."""
    return _figure(one) == _figure(other)


def _figure(row: Row) -> tuple[Any, ...]:
    return row.definition_version, row.value, row.numerator, row.denominator, row.samples


def _kept(found: Explanation, question: Question, held: Reported, freeze: Freeze | None) -> Row | None:
    """The row that was kept of such a figure; None where none is. A group without a record had none (F15)."""
    kpi, like = found.kpi, found.row
    is_split_so = tuple(name for name, _ in like.by) in SPLITS
    if freeze is None or kpi.name not in freeze.versions or not is_split_so or question.attribution:
        return None
    window = freeze.period.window
    for row in held.rows(kpi.name, window):
        if (row.reading, row.by) == (found.reading.name, like.by):
            return row
    return replace(empty(like, found.reading, freeze.versions[kpi.name]), window=window)


def notes(reported: AsReported, render: Renderer) -> list[str]:
    """In words whatever is to be said about the figure that was reported; nothing, if all is as it should be."""
    kept, known, found = reported.kept, reported.known.row, []
    at = render.instant(reported.period.frozen_ms)
    if kept is None:
        found.append(f"{_why_none(reported)}; this is what the log says was known by {at}")
    elif not reported.is_comparable:
        found.append(
            f"kept under version {kept.definition_version} of the definition, today's is version "
            f"{known.definition_version}: the figures are not compared, and the records are read by today's"
        )
    else:
        if not is_same(kept, known):
            found.append(
                f"for that freeze ({at}) the log now says {_text(known, render)}, not the "
                f"{_text(kept, render)} that was kept"
            )
        if not is_same(kept, reported.reckoned):
            found.append(
                f"the records of before come to {_text(reported.reckoned, render)}, not to what was kept: "
                "the log is not the one that was frozen, or it is read otherwise"
            )
    if reported.settings_changed and kept is not None:
        found.append("the configuration has changed since the freeze")
    return found


def _why_none(reported: AsReported) -> str:
    kpi, by = reported.before.kpi.name, tuple(name for name, _ in reported.before.row.by)
    if kpi not in KPIS:
        return f"{kpi} is never frozen"
    if by not in SPLITS:
        return "figures are kept company-wide, by team and by rep only"
    if not reported.is_frozen:
        return f"{reported.period} is not frozen, nothing is kept of it"
    return "nothing was kept of this figure"


def _text(row: Row, render: Renderer) -> str:
    shown = render.record(row)
    value = value_text(shown["value"], shown["unit"])
    if shown["denominator"] is None:
        return value
    return f"{value} ({shown['numerator']} / {shown['denominator']})"

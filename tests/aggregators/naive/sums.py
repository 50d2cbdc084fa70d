"""Figures of groups: what a definition adds up, and what that comes to."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """What an answer's row says; numerator and denominator are None where a reading has none."""

    value: Fraction | None
    numerator: Fraction | None
    denominator: Fraction | None
    samples: int


@dataclass(frozen=True)
class Item:
    """One record in one group."""

    labels: Labels
    over: Fraction | int = 0
    under: Fraction | int = 0
    samples: int = 1


@dataclass
class Total:
    """The sums of one group."""

    over: Fraction = Fraction(0)
    under: Fraction = Fraction(0)
    samples: int = 0

    @property
    def ratio(self) -> Fraction | None:
        return self.over / self.under if self.under else None


def totals(items: Iterable[Item]) -> defaultdict[Labels, Total]:
    """The sums of each group."""
    found: defaultdict[Labels, Total] = defaultdict(Total)
    for item in items:
        total = found[item.labels]
        total.over += item.over
        total.under += item.under
        total.samples += item.samples
    return found


def added(items: Iterable[Item]) -> dict[Labels, Figure]:
    """A sum: 0 where there is nothing."""
    found = totals(items)
    return {labels: Figure(one.over, None, None, one.samples) for labels, one in found.items()}


def divided(items: Iterable[Item]) -> dict[Labels, Figure]:
    """A sum over a sum: no sample where there is nothing to divide by (G9)."""
    found = totals(items)
    return {
        labels: Figure(one.ratio, one.over, one.under, one.samples if one.under else 0)
        for labels, one in found.items()
    }

"""The text that Prometheus reads: format 0.0.4 and OpenMetrics 1.0, with label text kept between scrapes.

Rendering a series is one look-up of its text and the formatting of one number; the stock client builds
every label anew, which takes ten times as long at 100,000 series.
"""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporters.family import Family

_MOST_CACHED: Final = 400_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts by upper bound (the last one is +Inf), and the sum of what was observed."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


Samples = Mapping[tuple[str, ...], float] | Histogram
"""Label values, in the family's order, -> the sample; or a histogram without labels."""


class Exposition:
    """Renders families; keeps the label text of every series it has seen."""

    def __init__(self) -> None:
        self._text: dict[tuple[str, tuple[str, ...]], str] = {}

    def render(
        self, families: Iterable[tuple[Family, Samples]], *, openmetrics: bool, names: Iterable[str] = ()
    ) -> bytes:
        """The families in their order, as bytes; `names` keeps those families alone, if any are given."""
        if len(self._text) > _MOST_CACHED:
            self._text.clear()
        only = frozenset(names)
        lines: list[str] = []
        for family, samples in families:
            if only and not only.intersection((family.name, *family.series_names())):
                continue
            if not isinstance(samples, Histogram) and not samples:
                continue
            lines.extend(_head(family, openmetrics=openmetrics))
            if isinstance(samples, Histogram):
                lines.extend(_histogram(family, samples))
                continue
            text, name = self._text, family.name
            for values in sorted(samples):
                key = name, values
                series = text.get(key)
                if series is None:
                    series = text[key] = _series(family.name, family.labels, values)
                lines.append(series + _number(samples[values]))
        if openmetrics:
            lines.append("# EOF")
        return ("\n".join(lines) + "\n").encode()


def compressed(body: bytes) -> bytes:
    """The body as gzip, fast rather than small."""
    return gzip.compress(body, compresslevel=1, mtime=0)


def _head(family: Family, *, openmetrics: bool) -> list[str]:
    name = family.name
    if openmetrics and family.type == "counter":
        name = name.removesuffix("_total")
    lines = [f"# HELP {name} {_help(family.help, openmetrics=openmetrics)}", f"# TYPE {name} {family.type}"]
    if openmetrics and family.unit:
        lines.append(f"# UNIT {name} {family.unit}")
    return lines


def _help(text: str, *, openmetrics: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if openmetrics else escaped


def _series(name: str, labels: Sequence[str], values: Sequence[str]) -> str:
    if not labels:
        return f"{name} "
    # An empty label is none, to Prometheus: the company's goals have no team, goals of counts no currency.
    pairs = [f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True) if value]
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram(family: Family, histogram: Histogram) -> list[str]:
    bounds = [_number(bound) for bound in histogram.bounds] + ["+Inf"]
    lines = [
        f'{family.name}_bucket{{le="{bound}"}} {count}'
        for bound, count in zip(bounds, histogram.counts, strict=True)
    ]
    return [
        *lines,
        f"{family.name}_sum {_number(histogram.total)}",
        f"{family.name}_count {histogram.counts[-1]}",
    ]


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(value))

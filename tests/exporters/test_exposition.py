"""The text of /metrics: both formats, labels, order, and what a client prefers."""

import gzip
import math
from typing import Any

import pytest
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from exporters.exposition import Exposition, Histogram, Samples, compressed
from exporters.family import Family
from exporters.figures import Series
from exporters.names import FAMILIES

text_families: Any = text_parser.text_string_to_metric_families
openmetrics_families: Any = openmetrics_parser.text_string_to_metric_families
WON = FAMILIES["dealpulse_opportunities_won"]
DELAY = FAMILIES["dealpulse_event_visibility_delay_seconds"]
DEAD = FAMILIES["dealpulse_dead_letters_total"]
ODD = 'Berg "\\n" \\ Söhne\n業務'


def rendered(family: Family, samples: Samples, *, openmetrics: bool = False) -> str:
    return Exposition().render([(family, samples)], openmetrics=openmetrics).decode()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_any_label_comes_back_as_it_was(openmetrics: bool) -> None:
    text = rendered(WON, {(ODD, "day"): 3.0}, openmetrics=openmetrics)
    parse = openmetrics_families if openmetrics else text_families
    (family,) = parse(text)
    assert family.samples[0].labels == {"team": ODD, "window": "day"}
    assert family.samples[0].value == 3.0


def test_series_are_in_one_order_however_they_came() -> None:
    samples: Series = {(team, "day"): 1.0 for team in ("Süd", "Nord", "")}
    again: Series = dict(reversed(samples.items()))
    assert rendered(WON, samples) == rendered(WON, again)


def test_an_empty_label_is_left_out() -> None:
    goal = FAMILIES["dealpulse_kpi_goal"]
    text = rendered(goal, {("", "win_rate", "closed_count", "", "month_to_date"): 0.3})
    assert text.splitlines()[-1].startswith(
        'dealpulse_kpi_goal{kpi="win_rate",reading="closed_count",window='
    )


def test_openmetrics_names_counters_and_units_as_it_wants_and_ends() -> None:
    text = rendered(DEAD, {("crm.opportunity", "malformed"): 2.0}, openmetrics=True)
    assert "# TYPE dealpulse_dead_letters counter" in text
    assert "dealpulse_dead_letters_total{" in text
    assert text.endswith("# EOF\n")
    ratio = FAMILIES["dealpulse_win_ratio"]
    values = dict.fromkeys(ratio.labels, "x")
    assert "# UNIT dealpulse_win_ratio ratio" in rendered(
        ratio, {tuple(values.values()): 0.5}, openmetrics=True
    )
    assert "_created" not in text


def test_a_histogram_is_cumulative_and_counts_all() -> None:
    text = rendered(
        DELAY, Histogram(DELAY.buckets, list(range(1, len(DELAY.buckets) + 2)), 7.5), openmetrics=True
    )
    (family,) = openmetrics_families(text)
    values = {sample.name: sample.value for sample in family.samples}
    assert values["dealpulse_event_visibility_delay_seconds_count"] == len(DELAY.buckets) + 1
    assert values["dealpulse_event_visibility_delay_seconds_sum"] == 7.5


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e22, 1 / 3, 0.0, 123456789.25])
def test_a_number_reads_back_as_itself(value: float) -> None:
    (family,) = text_families(rendered(WON, {("a", "day"): value}))
    assert math.isclose(family.samples[0].value, value, rel_tol=0)


def test_names_keep_those_families_alone() -> None:
    families: list[tuple[Family, Samples]] = [(WON, {("a", "day"): 1.0}), (DEAD, {("t", "malformed"): 1.0})]
    text = Exposition().render(families, openmetrics=False, names=["dealpulse_dead_letters_total"]).decode()
    assert "dealpulse_opportunities_won" not in text
    assert "dealpulse_dead_letters_total{" in text


def test_compressed_text_is_the_same_text() -> None:
    assert gzip.decompress(compressed(b"abc" * 1000)) == b"abc" * 1000

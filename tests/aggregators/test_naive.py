"""Every KPI and reading, in every split, against an implementation from the definitions alone (`naive`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from aggregators.answer import answer
from aggregators.calendar import DAY_MS
from aggregators.company import Company
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Question, Row
from events.event import Event
from tests.aggregators import dense
from tests.aggregators.everything import companies, meanings
from tests.aggregators.histories import INSTANTS
from tests.aggregators.lively import lively, some
from tests.aggregators.naive import windows
from tests.aggregators.naive.figures import CAN_HAVE_A_GOAL, Facts, Naive
from tests.aggregators.naive.sums import Figure, Labels
from tests.aggregators.naive.world import World
from tests.compared import compared

WINDOWS = st.sampled_from(
    [
        "day",
        "week",
        "month",
        "fiscal_quarter",
        "fiscal_year",
        "trailing_29d",
        "trailing_90d",
        "trailing_12m",
        "all",
        "stated",
    ]
)
"""Windows by name, and `stated` ones near the instant: before it, around it, not yet begun."""
KPIS = sorted(set(registry()) - {"goal"})
OF_TARGETS = {"target", "attainment", "pace", "coverage"}
"""How many pieces a target falls into is no figure: only whether there is one."""
GOAL_SPLITS: list[tuple[str, ...]] = [
    (),
    ("rep",),
    ("team",),
    ("manager",),
    ("rep", "team"),
    ("manager", "rep"),
    ("manager", "team"),
]
Asked = tuple[Meaning, list[Event], int]


@given(st.tuples(meanings(), companies(), INSTANTS), WINDOWS, st.data())
def test_every_figure_is_the_one_of_the_definitions(asked: Asked, window: str, data: st.DataObject) -> None:
    both(asked, window, data)


@given(dense.asked(), WINDOWS, st.data())
def test_every_figure_is_the_one_of_the_definitions_where_days_meet(
    asked: Asked, window: str, data: st.DataObject
) -> None:
    both(asked, window, data)


@given(st.integers(0, 10**9), WINDOWS, st.data())
@some(0.3)
def test_every_figure_is_the_one_of_the_definitions_where_a_lot_happens(
    seed: int, window: str, data: st.DataObject
) -> None:
    both(lively(seed), window, data, kpis=KPIS)


@given(st.integers(0, 10**9), st.sampled_from(["month", "fiscal_quarter", "fiscal_year"]))
@some(0.2)
def test_every_goal_stands_beside_the_figure_of_the_definitions(seed: int, window: str) -> None:
    meaning, events, as_of = lively(seed)
    facts, company = Facts(World(meaning, events, as_of)), Company.from_events(meaning, events)
    dimensions = {name: kpi.dimensions for name, kpi in registry().items()}
    figures = 0
    for by in GOAL_SPLITS:
        rows = answer(company, Question("goal", as_of, window, by))
        found = {
            (*(label for _, label in row.by[:-1]), row.reading, row.by[-1][1]): row.value for row in rows
        }
        span = windows.window(meaning.company, window, facts.world.as_of)
        assert found == Naive(facts, by).goal(span, dimensions), by
        figures += len(found)
    compared("companies: goals against the naive road", figures)


def test_the_naive_road_knows_which_readings_can_have_a_goal() -> None:
    readings = {f"{name}/{reading.name}" for name, kpi in registry().items() for reading in kpi.readings}
    bars = {f"waterfall/{reading.name}" for reading in find_kpi("waterfall").readings}
    assert set(CAN_HAVE_A_GOAL) == readings - {"goal/any"} - bars


def both(asked: Asked, window: str, data: st.DataObject, kpis: Sequence[str] = ()) -> None:
    meaning, events, as_of = asked
    company = Company.from_events(meaning, events)
    attribution = data.draw(st.sampled_from([None, "current"]))
    now = as_of - data.draw(st.sampled_from([0, 9, 40]), label="days that the question looks ahead") * DAY_MS
    facts = Facts(World(meaning, events, as_of, attribution, now))
    if window == "stated":
        start = facts.world.as_of + timedelta(data.draw(st.integers(-90, 40), label="from"))
        window = f"{start}..{start + timedelta(data.draw(st.integers(0, 60), label='for'))}"
    figures = 0
    for kpi in kpis or sorted(data.draw(st.sets(st.sampled_from(KPIS), min_size=6, max_size=12))):
        split = st.lists(st.sampled_from(find_kpi(kpi).dimensions), max_size=2, unique=True)
        by = tuple(data.draw(split, label=kpi))
        # Nobody has a target for three centuries, and the naive road would look at each of their days.
        named = "fiscal_year" if window == "all" and kpi in {*OF_TARGETS, "needed"} else window
        rows = answer(company, Question(kpi, as_of, named, by, attribution=attribution, now_ms=now))
        span = windows.window(meaning.company, named, facts.world.as_of)
        same(kpi, rows, Naive(facts, by).figures(kpi, span))
        figures += sum(bool(row.samples) for row in rows)
    compared("companies: the exact road against the naive one", figures)


def exact(number: Number | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def same(kpi: str, rows: Iterable[Row], expected: Mapping[str, Mapping[Labels, Figure]]) -> None:
    """The rows are these figures; one without records may be missing, or is 0 of a sum and absent of a ratio."""
    found: dict[str, dict[Labels, Figure]] = {reading: {} for reading in expected}
    most = 1 if kpi in OF_TARGETS else None
    for row in rows:
        figure = Figure(exact(row.value), exact(row.numerator), exact(row.denominator), row.samples)
        found[row.reading][tuple(label for _, label in row.by)] = figure
        if not any((figure.value, figure.numerator, figure.denominator, figure.samples)):
            reading = find_kpi(row.kpi).reading(row.reading)
            assert (figure.value is None) == bool(reading.parts or reading.compose), row
    for name, groups in expected.items():
        assert stated(found[name], most) == stated(groups, most), name


def stated(groups: Mapping[Labels, Figure], most: int | None) -> dict[Labels, Figure]:
    """Those groups that say anything, with at most so many samples."""
    return {
        labels: replace(figure, samples=min(figure.samples, most or figure.samples))
        for labels, figure in groups.items()
        if any((figure.value, figure.numerator, figure.denominator, figure.samples))
    }

"""The stream of records: the same for the same seed, in telling order, endless when live, messy on purpose."""

import tracemalloc
from collections import Counter
from itertools import chain, islice, pairwise

import pytest

from events.reader import inspect
from events.simulator import JOYS_TOYS, SAULS_DOLLS, Company, Record, Simulation, history, live

END_MS = 848_808_000_000  # 2026-11-23T10:00:00Z
DAY_MS = 86_400_000


def test_the_same_seed_tells_the_same_and_another_one_does_not() -> None:
    told = [record.value for record in history("sauls-dolls", seed=3, quarters=1, end_ms=END_MS)]

    assert told == [record.value for record in history("sauls-dolls", seed=3, quarters=1, end_ms=END_MS)]
    assert told != [record.value for record in history("sauls-dolls", seed=4, quarters=1, end_ms=END_MS)]


def test_an_earlier_end_only_cuts_the_history() -> None:
    longer = [record.value for record in history("sauls-dolls", quarters=1, end_ms=END_MS)]
    shorter = [record.value for record in history("sauls-dolls", quarters=1, end_ms=END_MS - 5 * DAY_MS)]

    assert shorter == longer[: len(shorter)]
    assert len(shorter) < len(longer)


def test_records_come_in_the_order_in_which_they_are_told() -> None:
    records = list(history("joys-toys", quarters=1, end_ms=END_MS))

    assert all(earlier.told_ms <= later.told_ms for earlier, later in pairwise(records))
    assert records[-1].told_ms <= END_MS


def test_mess_changes_what_arrives_when_but_not_what_happened() -> None:
    messy = Simulation(SAULS_DOLLS, quarters=1, end_ms=END_MS, mess=True).until(END_MS + 10 * DAY_MS)
    tidy = Simulation(SAULS_DOLLS, quarters=1, end_ms=END_MS, mess=False).until(END_MS + 10 * DAY_MS)
    arrived, stated = list(messy), list(tidy)

    def known(records: list[Record]) -> dict[str, bytes]:
        settled = [r for r in records if r.event and r.event["recordedtime"] < "2026-11-23"]
        return {
            str(record.event and record.event["source"] + record.event["id"]): record.value
            for record in settled
        }

    assert known(arrived) == known(stated)
    assert len(known(stated)) == len(
        [r for r in stated if r.event and r.event["recordedtime"] < "2026-11-23"]
    )
    assert len(arrived) > len(stated)  # told twice
    times = [record.event["time"] for record in arrived if record.event]
    assert times != sorted(times)
    keys = Counter(
        "none" if record.key is None else "right" if record.key == record.event["subject"] else "wrong"
        for record in arrived
        if record.event
    )
    assert 0 < keys["none"] < 0.02 * len(arrived)
    assert 0 < keys["wrong"] < 0.02 * len(arrived)
    assert all(record.key == record.event["subject"] for record in stated if record.event)


def test_poison_comes_only_when_asked_for() -> None:
    clean = Simulation(SAULS_DOLLS, end_ms=END_MS).history()
    poisoned = list(Simulation(SAULS_DOLLS, end_ms=END_MS, poison=True).history())

    assert all(record.event is not None for record in clean)
    bad = [record for record in poisoned if record.event is None]
    assert 0 < len(bad) < 0.01 * len(poisoned)
    assert all(record.value for record in bad)


def test_live_goes_on_where_the_history_ended() -> None:
    simulation = Simulation(SAULS_DOLLS, quarters=1, end_ms=END_MS)
    past = list(simulation.history())
    future = list(islice(simulation.live(), 300))

    assert future[0].told_ms > END_MS
    known = {record.event["subject"] for record in past if record.event}
    moved = [r.event["subject"] for r in future if r.event and "opportunity" in r.event["type"]]
    assert len(known.intersection(moved)) > 20
    again = list(islice(live("sauls-dolls", quarters=1, end_ms=END_MS), 300))
    assert [record.value for record in again] == [record.value for record in future]


@pytest.mark.parametrize("rate", [0.5, 20.0])
def test_a_rate_quickens_the_work_but_not_the_calendar(rate: float) -> None:
    records = list(islice(live("sauls-dolls", quarters=2, end_ms=END_MS, rate=rate), 2_000))

    seconds = (records[-1].told_ms - END_MS) / 1000
    assert 0.6 * rate <= len(records) / seconds <= 1.6 * rate
    assert {"dealpulse.opportunity.changed", "dealpulse.activity.completed"} <= {
        record.event["type"] for record in records if record.event
    }
    wins = [r.event for r in records if r.event and (r.event.get("data") or {}).get("stage") == "Closed Won"]
    assert wins
    assert {win["data"].get("close_date", "2026-11-23")[:7] for win in wins} == {"2026-11"}


def test_a_big_company_streams_in_bounded_memory() -> None:
    tracemalloc.start()
    counted = sum(
        1 for _ in islice(Simulation(SAULS_DOLLS, reps=60, quarters=1, end_ms=END_MS).history(), 15_000)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert counted == 15_000
    assert peak < 32_000_000


@pytest.mark.parametrize("company", [SAULS_DOLLS, JOYS_TOYS], ids=lambda company: company.slug)
def test_every_record_reads_as_an_event_with_known_fields(company: Company) -> None:
    simulation = Simulation(company, reps=12, quarters=3, end_ms=END_MS)
    for record in chain(simulation.history(), islice(simulation.live(rate=5.0), 1_000)):
        reading = inspect(record.value, record.topic)
        assert not reading.unknown, record.event
        assert reading.event.recorded_ms is not None


def test_a_company_without_new_deals_still_tells_its_next_record_soon() -> None:
    """Work that will never come again is not asked for over and over."""
    simulation = Simulation(JOYS_TOYS, quarters=1, end_ms=END_MS, dry_from_ms=END_MS - 50 * DAY_MS)
    records = list(islice(simulation.live(rate=50.0), 2_500))

    assert records[-1].told_ms > END_MS + 60 * DAY_MS

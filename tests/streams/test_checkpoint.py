"""When the next checkpoint may start."""

from streams.checkpoint import gap_s

ONE_CHANGE_OF_A_DEAL_OF_10_000_STATEMENTS = 10_000 * 124
FORTY_CHANGES_OF_ORDINARY_DEALS = 40 * 5 * 124


def test_ordinary_changes_are_written_as_soon_as_the_shortest_gap_is_over() -> None:
    assert gap_s(FORTY_CHANGES_OF_ORDINARY_DEALS, shortest_s=0.02, longest_s=1.0) == 0.02


def test_a_deal_that_takes_a_megabyte_is_not_written_fifty_times_a_second() -> None:
    assert 0.1 < gap_s(ONE_CHANGE_OF_A_DEAL_OF_10_000_STATEMENTS, shortest_s=0.02, longest_s=1.0) < 0.2


def test_a_backfill_waits_no_longer_than_when_behind() -> None:
    assert gap_s(10**9, shortest_s=0.02, longest_s=1.0) == 1.0

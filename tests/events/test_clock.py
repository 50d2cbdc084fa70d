from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.clock import Clock
from events.errors import ConfigurationError
from events.event import EPOCH_UNIX_S

SECOND = 10**9


class Wall:
    """The real time, in a test's hands: seconds since 2000."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    def __call__(self) -> int:
        return int((EPOCH_UNIX_S + self.seconds) * SECOND)


def test_without_a_word_it_shows_the_real_time() -> None:
    assert Clock.parse("", wall=Wall(5)).now_ms() == 5_000


def test_an_offset_in_seconds_is_added_in_every_process_alike() -> None:
    early, late = Wall(0), Wall(0)
    first = Clock.parse("offset=-3600", wall=early)
    late.seconds = 100
    second = Clock.parse("offset=-3600", wall=late)
    early.seconds = 100

    assert first.now_ms() == second.now_ms() == (100 - 3600) * 1000


def test_an_offset_that_is_an_instant_is_now_at_the_start() -> None:
    wall = Wall(1_000)
    clock = Clock.parse("offset=2000-01-02T08:00:00+08:00,speed=60", wall=wall)

    assert clock.now_ms() == 86_400_000
    wall.seconds += 2
    assert clock.now_ms() == 86_400_000 + 120_000


def test_with_an_anchor_processes_that_start_apart_agree() -> None:
    text = "offset=2026-11-23T09:00:00Z,speed=7.5,anchor=2026-11-24T03:30:00Z"
    wall = Wall(848_763_000)
    first = Clock.parse(text, wall=wall)
    wall.seconds += 1_000

    assert Clock.parse(text, wall=wall).now_ms() == first.now_ms()


@given(
    st.integers(-(10**18), 10**18),
    st.fractions(0, 1000, max_denominator=1000),
    st.integers(0, 10**9),
)
def test_the_spec_of_a_clock_makes_one_that_agrees(shift_ns: int, speed: Fraction, later: int) -> None:
    wall = Wall(848_763_000)
    clock = Clock(shift_ns=shift_ns, speed=speed, wall=wall)
    other = Clock.parse(clock.spec, wall=wall)
    wall.seconds += later

    assert other.now_ns() == clock.now_ns()


@given(
    st.integers(-(10**12), 10**12).map(lambda ms: ms * 1_000_000),
    st.fractions(Fraction(1, 1000), 100_000, max_denominator=1000).filter(bool),
    st.integers(-(10**9), 10**9),
)
def test_the_real_instant_of_what_it_showed_is_the_one_at_which_it_did(
    shift_ns: int, speed: Fraction, real_s: int
) -> None:
    clock = Clock(shift_ns=shift_ns, speed=speed, wall=Wall(848_763_000))

    back_ms = clock.real_ms(clock.shown_ms(real_s * 1000))

    # A slow clock shows one millisecond for long.
    assert real_s * 1000 - 1 - 1 / speed <= back_ms <= real_s * 1000


def test_the_real_clock_and_one_that_stands_tell_instants_as_they_are() -> None:
    assert Clock().real_ms(12_345) == 12_345
    assert Clock.standing(5_000).real_ms(12_345) == 12_345
    assert Clock.parse("offset=-3600").real_ms(0) == 3_600_000


def test_a_standing_clock_moves_only_by_hand() -> None:
    clock = Clock.standing(5_000)
    assert clock.now_ms() == 5_000

    clock.move(ms=250)

    assert clock.now_ms() == 5_250
    assert clock.unix_ms() == EPOCH_UNIX_S * 1000 + 5_250
    assert clock.real_seconds(1) == float("inf")


def test_waiting_is_shorter_on_a_fast_clock() -> None:
    assert Clock(speed=60).real_seconds(30) == 0.5


def test_the_environment_sets_it() -> None:
    assert Clock.from_env({"DEALPULSE_CLOCK": "speed=60"}).speed == 60
    assert Clock.from_env({}).speed == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed=-1", "speed=-1 runs backwards"),
        ("speed=fast", "speed='fast' is no number"),
        ("offset=yesterday", "'yesterday' is no RFC 3339 instant"),
        ("anchor=2026-11-23T09:00:00", "no offset from UTC"),
        ("pace=2", "unknown part 'pace=2'. Allowed: offset="),
    ],
)
def test_a_wrong_text_says_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="DEALPULSE_CLOCK") as caught:
        Clock.parse(text)

    assert said in str(caught.value)

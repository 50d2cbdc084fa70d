"""The fast reader accepts no event that the canonical one refuses, and reads equal values."""

from datetime import date
from decimal import ROUND_05UP, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events import fast, instants
from events.currencies import EXPONENTS
from events.decimals import decimal_of
from events.errors import BadEventError
from events.event import Event
from events.reader import read
from tests.events.documents import Exact, decimals, documents, dump, spoiled
from tests.events.documents import instants as instant_texts
from tests.events.test_reader import GOOD

CHANGED = ("dealpulse.opportunity.changed",)
WIDE = Context(prec=400)
E5, E6 = Decimal("0.00001"), Decimal("0.000001")


def read_fast(value: bytes) -> tuple[Any, ...] | None:
    """What a fold reads by the fast road; None where it leaves it to the canonical reader."""
    try:
        event = fast.decode(value)
        said = event.data
        stated = {
            name: value for name, value in msgspec.structs.asdict(said).items() if value is not msgspec.UNSET
        }
        complete = stated.pop("complete") is True
        for name, convert in CONVERSIONS.items():
            if stated.get(name) is not None:
                stated[name] = convert(stated[name], stated.get("currency"))
        time = fast.time_ns(event.time)
    except fast.REFUSED:
        return None
    return (event.subject, event.source, event.id, time, event.sequence or "", complete, stated)


CONVERSIONS: dict[str, Any] = {
    "amount": fast.amount_e5,
    "created_at": lambda text, _: fast.time_ns(text) // 1_000_000,
    "close_date": lambda text, _: fast.day(text),
    "probability": lambda value, _: fast.share_e6(value),
}


def read_plainly(value: bytes) -> tuple[Any, ...]:
    """The same by the canonical road."""
    event = read(value, "crm.opportunity")
    stated = {name: scaled(name, value) for name, value in event.data.items()}
    return (event.subject, event.source, event.id, event.time_ns, event.sequence, event.complete, stated)


def scaled(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        unit, mode = (E5, ROUND_05UP) if name == "amount" else (E6, ROUND_HALF_EVEN)
        return int(value.quantize(unit, mode, WIDE) / unit)
    return value.toordinal() - date(2000, 1, 1).toordinal() if isinstance(value, date) else value


def agree(value: bytes) -> bool:
    """Whether the fast reader took it; fails if it then differs from the canonical one."""
    if (found := read_fast(value)) is None:
        return False
    assert found == read_plainly(value)
    return True


@given(documents(CHANGED), st.booleans())
def test_a_good_change_is_read_by_the_fast_road(said: Any, ascii_only: bool) -> None:
    value = dump(said, ascii_only=ascii_only)

    assert agree(value)


@given(spoiled(CHANGED), st.booleans())
def test_a_spoiled_change_is_never_read_otherwise(said: Any, ascii_only: bool) -> None:
    agree(dump(said, ascii_only=ascii_only))


@given(documents(CHANGED), st.data())
def test_bytes_put_in_left_out_or_changed_are_never_read_otherwise(said: Any, data: st.DataObject) -> None:
    value = bytearray(dump(said))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        until = min(len(value), at + data.draw(st.integers(0, 2)))
        value[at:until] = data.draw(st.binary(max_size=2) | st.sampled_from(BITS))

    agree(bytes(value))


BITS = [
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\x7f",
    b"\xc2\x85",
    b"\xff",
    b"0",
    b"e",
    b"-",
    b".",
    b",",
    b"NaN",
    b" ",
]


@pytest.mark.parametrize("type_", ["dealpulse.opportunity.deleted", "dealpulse.contract.changed"])
def test_other_types_are_left_to_the_canonical_reader(type_: str) -> None:
    assert read_fast(dump(GOOD | {"type": type_})) is None


def test_names_that_have_no_field_are_left_to_the_canonical_reader_which_counts_them() -> None:
    assert read_fast(dump(GOOD | {"data": {"health": "good"}})) is None


@pytest.mark.parametrize("place", ["id", "source", "subject", "sequence"])
@pytest.mark.parametrize("letter", ["\x00", "\x1f", "\x7f", "\x80", "\x9f", "\ufdd0", "\U0010ffff", "\ud800"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_no_control_character_slips_into_an_attribute(place: str, letter: str, ascii_only: bool) -> None:
    value = dump(GOOD | {place: f"a{letter}"}, ascii_only=ascii_only)

    assert read_fast(value) is None
    with pytest.raises(BadEventError, match=place):
        read(value, "crm.opportunity")


@pytest.mark.parametrize("letter", ["中", "é", "\u00a0", "\u2028", "\u200b", "🂡"])
def test_other_letters_in_an_attribute_are_read_fast(letter: str) -> None:
    assert agree(dump(GOOD | {"subject": letter}))


def test_a_wrong_recordedtime_is_refused() -> None:
    assert read_fast(dump(GOOD | {"recordedtime": "2026"})) is None


def test_a_value_beyond_one_mebibyte_is_refused() -> None:
    value = dump(GOOD)

    assert read_fast(value + b" " * (2**20 - len(value))) is not None
    assert read_fast(value + b" " * (2**20 - len(value) + 1)) is None


@given(instant_texts())
def test_an_instant_reads_equal(text: str) -> None:
    assert fast.time_ns(text) == instants.time_ns(text)


NUMERALS = st.text("0123456789-+.:TtZz ", max_size=30) | st.from_regex(
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?(Z|[+-][0-9]{2}:[0-9]{2})\Z"
)


@given(NUMERALS)
@example("2026-11-23T09:30:00")
@example("1970-01-01T00:00:00+00:01")
@example("1969-12-31T23:59:00-00:01")
@example("2100-01-01T00:00:00+00:01")
@example("2099-12-31T23:59:59-00:01")
def test_a_text_that_is_no_instant_is_refused_by_both(text: str) -> None:
    assert outcome(fast.time_ns, text) == outcome(instants.time_ns, text)


@given(st.dates().map(str) | NUMERALS)
@example("2026-W01-1")
@example("20261123")
def test_a_date_reads_equal(text: str) -> None:
    assert outcome(fast.day, text) == outcome(instants.day_number, text)


def outcome(convert: Any, text: str) -> Any:
    try:
        return convert(text)
    except (ValueError, KeyError):
        return "refused"


@given(decimals(10**13), st.sampled_from([None, *sorted(EXPONENTS)]))
@example("100000000000.00", "TWD")
@example("100000000000.01", "TWD")
@example("100000000000.0000001", "TWD")
@example("-100000000000.0000001", "TWD")
@example("0.0000050000000000001", "TWD")
@example("0.12345" + "0" * 90 + "1", "TWD")
def test_rounding_the_scaled_amount_is_rounding_the_amount(stated: Any, currency: str | None) -> None:
    exact = decimal_of(stated)
    value = fast.Number(stated) if isinstance(stated, Exact) else stated
    within = abs(exact) * 10 ** (EXPONENTS[currency] if currency else 0) <= 10**13
    if not within:
        with pytest.raises(ValueError, match="range"):
            fast.amount_e5(value, currency)
        return

    found = fast.amount_e5(value, currency)

    for exponent in range(5):
        unit = Decimal(1).scaleb(-exponent)
        assert (Decimal(found).scaleb(-5)).quantize(unit, ROUND_HALF_EVEN, WIDE) == exact.quantize(
            unit, ROUND_HALF_EVEN, WIDE
        )


@pytest.mark.parametrize(
    "value", [True, 1.5, None, [], "", "-", "1.", ".5", "+1", "1e", "e5", "1e5e5", "٣", "1_0"]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        fast.amount_e5(value, "TWD")


def test_an_event_is_good_or_bad_whatever_was_read_before() -> None:
    """The tables of days and tails remember only what was right."""
    for text in ("2026-02-30T00:00:00Z", "2026-11-23T09:30:61Z", "2026-11-23T09:30:00+25:00"):
        for _ in range(2):
            with pytest.raises((ValueError, KeyError)):
                fast.time_ns(text)


def test_the_canonical_event_is_what_the_rows_are_made_of() -> None:
    assert isinstance(read(dump(GOOD)), Event)

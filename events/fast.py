"""The hot path: read a change of an opportunity in two microseconds, or leave it to the canonical reader.

`decode` and the functions beside it accept less than `events.reader`, never more, and read equal values:
whatever seems doubtful raises one of `REFUSED`, and the caller then asks the canonical reader, which
judges it and words what is wrong. So a caller reads `time` and every stated field that has a function
here (`created_at`, `close_date`, `amount`, `probability`) before it calls an event good.
"""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .currencies import EXPONENTS
from .decimals import MAX_DECIMALS, MAX_MINOR
from .fields import has_control
from .lookups import day, time_ns
from .topics import MAX_VALUE_BYTES

__all__ = [
    "ATTRIBUTE",
    "NAME",
    "REFUSED",
    "Data",
    "Number",
    "OpportunityChanged",
    "amount_e5",
    "day",
    "decode",
    "refuse_control_characters",
    "share_e6",
    "time_ns",
]

REFUSED: Final = (ValueError, KeyError, TypeError, ArithmeticError, RecursionError)
"""What the functions here raise where the canonical reader shall judge. msgspec's errors are ValueErrors."""

ATTRIBUTE = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
NAME = ATTRIBUTE | UnsetType | None
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | UnsetType | None
_Currency: Any = Literal.__getitem__(tuple(sorted(EXPONENTS)))


class Number(str):
    """The text of a JSON number that has a point or an exponent."""

    __slots__ = ()


class Data(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The fields of an opportunity: a value, None where cleared, UNSET where unchanged.

    `amount` and `probability` are a `str`, an `int` or a `Number` (or nonsense, which the functions
    below refuse); `created_at` and `close_date` are texts yet to be read.
    """

    stage: NAME = UNSET
    amount: Any = UNSET
    currency: _Currency | UnsetType | None = UNSET
    owner_id: NAME = UNSET
    close_date: str | UnsetType | None = UNSET
    created_at: str | UnsetType | None = UNSET
    name: NAME = UNSET
    account_id: NAME = UNSET
    pipeline: NAME = UNSET
    type: Literal["new", "expansion", "cross_sell", "renewal"] | UnsetType | None = UNSET
    referred_by: NAME = UNSET
    probability: Any = UNSET
    forecast_category: Literal["omitted", "pipeline", "best_case", "commit", "closed"] | UnsetType | None = (
        UNSET
    )
    lost_reason: _Text = UNSET
    lead_source: _Text = UNSET
    complete: bool | None = None


class OpportunityChanged(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A `dealpulse.opportunity.changed`. Other types are rare, and read by the canonical reader."""

    specversion: Literal["1.0"]
    id: ATTRIBUTE
    source: ATTRIBUTE
    type: Literal["dealpulse.opportunity.changed"]
    subject: ATTRIBUTE
    time: str
    data: Data
    sequence: ATTRIBUTE | None = None
    recordedtime: str | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    partitionkey: str | None = None


_BACKSLASH, _DELETE = b"\\\x7f"
_decode = msgspec.json.Decoder(OpportunityChanged, float_hook=Number).decode


def decode(value: bytes) -> OpportunityChanged:
    """The event in a record's value; `recordedtime` is checked, `time` and `data` as far as types go.

    Raises one of REFUSED where the canonical reader shall judge.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError("too long")
    event = _decode(value)
    refuse_control_characters(value, event)
    if event.recordedtime is not None:
        time_ns(event.recordedtime)
    return event


def refuse_control_characters(value: bytes, event: Any) -> None:
    """Raise ValueError if an attribute of the event in `value` holds one (CloudEvents forbids them)."""
    # It comes as an escape, as DEL or beyond ASCII: most values hold none of these.
    if _BACKSLASH in value or _DELETE in value or not value.isascii():
        named = f"{event.id}{event.source}{event.subject}{event.sequence}"
        if not named.isprintable() and has_control(named):
            raise ValueError("control character")


_LIMIT_E5: Final[dict[str | None, int]] = {
    code: MAX_MINOR // 10**exponent * 10**5 for code, exponent in EXPONENTS.items()
} | {None: MAX_MINOR * 10**5}
"""Currency -> the largest amount x 10^5."""


def amount_e5(value: Any, currency: str | None) -> int:
    """A stated amount x 10^5; what is cut beyond leaves a trace, so that rounding it later is exact.

    Cut digits that are not all zero turn a last digit 0 or 5 into 1 or 6: rounding to at most four
    decimals, half to even, then gives what the full decimal would. `currency` is the one stated in the
    same event, None where none is; it decides the range. Raises ValueError, KeyError, TypeError.
    """
    if type(value) is str and value[-3:-2] == ".":
        digits = value[:-3] + value[-2:]
        if digits.isdecimal() and digits.isascii() and len(digits) < 20:
            found = int(digits) * 1000
            if found <= _LIMIT_E5[currency]:
                return found
            raise ValueError("amount out of range")
    limit = _LIMIT_E5[currency]
    found, cut = _scaled(value, 5)
    if abs(found) > limit or (cut and abs(found) == limit):
        raise ValueError("amount out of range")
    return found + cut if cut and found % 5 == 0 else found


def share_e6(value: Any) -> int:
    """A stated probability, 0 to 1, x 10^6; more than six decimals are rounded half to even.

    Raises ValueError, TypeError.
    """
    found, cut = _scaled(value, 12)
    if not 0 <= found <= 10**12 or cut < 0 or (cut and found == 10**12):
        raise ValueError("no share")
    whole, rest = divmod(found, 10**6)
    half = 500_000
    return whole + (rest > half or (rest == half and (cut or whole & 1)))


def _scaled(value: Any, digits: int) -> tuple[int, int]:
    """(value x 10^digits cut towards zero, the sign of what was cut: -1, 0 or 1)."""
    kind = type(value)
    if kind is int:
        if abs(value) > MAX_MINOR:
            raise ValueError("out of range")
        return value * 10**digits, 0
    if kind is not str and kind is not Number:
        raise TypeError("no number")
    sign, rest = (-1, value[1:]) if value[:1] == "-" else (1, value)
    whole, point, fraction = rest.partition(".")
    if not (whole.isdecimal() and rest.isascii()) or (point and not fraction.isdecimal()):
        return _scaled_exponent(value, digits)
    if len(whole) > 20 or len(fraction) > MAX_DECIMALS:
        raise ValueError("out of range")
    kept = int(whole + fraction[:digits].ljust(digits, "0"))
    return sign * kept, sign if fraction[digits:].strip("0") else 0


def _scaled_exponent(value: str, digits: int) -> tuple[int, int]:
    """As `_scaled`, for a text with an exponent; anything else is refused."""
    mantissa, e, exponent = value.replace("E", "e").partition("e")
    shift = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    if not (e and value.isascii() and shift.isdecimal() and len(shift) < 3 and len(mantissa) < 40):
        raise ValueError("no decimal")
    whole, point, fraction = mantissa.removeprefix("-").partition(".")
    if not whole.isdecimal() or (point and not fraction.isdecimal()):
        raise ValueError("no decimal")
    number = Decimal(f"{mantissa}e{exponent}")
    if number.adjusted() > 20 or int(number.as_tuple().exponent) < -MAX_DECIMALS:
        raise ValueError("out of range")
    negative, coefficient, power = number.as_tuple()
    assert isinstance(power, int)
    whole_number, shift_by, sign = int("".join(map(str, coefficient))), power + digits, -1 if negative else 1
    if shift_by >= 0:
        return sign * whole_number * 10**shift_by, 0
    kept, cut = divmod(whole_number, 10**-shift_by)
    return sign * kept, sign if cut else 0

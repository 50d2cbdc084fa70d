"""The types of fields: what may be stated, what it is read as, and how a JSON Schema says so."""

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, PlainValidator, StrictBool, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from . import lookups
from .currencies import EXPONENTS
from .decimals import MAX_DECIMALS, decimal_of
from .instants import DAY_ZERO, day_of, time_ns

Read = TypeVar("Read")

MAX_RATE: Final = Decimal(10) ** 15
MIN_RATE: Final = Decimal(10) ** -15
MAX_RATE_DECIMALS: Final = 30

_MILLIONTH: Final = Decimal("0.000001")
_WIDE: Final = Context(prec=2 * MAX_DECIMALS, rounding=ROUND_HALF_EVEN)
_DECIMAL_TEXT = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_NOT_IN_ATTRIBUTES = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17))
    + "]"
)
"""What CloudEvents bars from attributes: control characters and Unicode's noncharacters."""


def refusal(message: str, *, path: str = "", reason: str = "") -> PydanticCustomError:
    """What a validator raises: the message as it stands, the field it is about, the dead letter's reason.

    The reason is told only where the field alone does not say it.
    """
    return PydanticCustomError("refused", "{message}", {"message": message, "path": path, "reason": reason})


def has_control(text: str) -> bool:
    """Whether a text holds characters that CloudEvents bars from attributes."""
    return _NOT_IN_ATTRIBUTES.search(text) is not None


def _attribute(text: str) -> str:
    if found := _NOT_IN_ATTRIBUTES.search(text):
        raise refusal(
            f"holds the control character U+{ord(found[0]):04X}, which CloudEvents attributes may not"
        )
    return text


def _encodable(text: str) -> str:
    """Pydantic tells a lone surrogate only where it has a length to check; here it always is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refusal("holds half of a surrogate pair, which no UTF-8 text can") from None
    return text


def _text_of(read: Callable[[str], Read], expected: str) -> Callable[[Any], Read]:
    def validate(value: Any) -> Read:
        if not isinstance(value, str):
            raise refusal(f"expected {expected}")
        try:
            return read(value)
        except ValueError as error:
            raise refusal(str(error)) from None

    return validate


def _instant_ns(text: str) -> int:
    try:
        return lookups.time_ns(text)
    except (ValueError, KeyError):
        return time_ns(text)  # which says what is wrong


def _day(text: str) -> date:
    try:
        return date.fromordinal(lookups.day(text) + DAY_ZERO)
    except ValueError:
        return day_of(text)


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise ValueError(f"{code[:20]!r} is no currency of ISO 4217: expected a code such as TWD")
    return code


def _decimal(value: Any) -> Decimal:
    try:
        return decimal_of(value)
    except ValueError as error:
        raise refusal(str(error)) from None


def _share(value: Any) -> Decimal:
    if not 0 <= (found := _decimal(value)) <= 1:
        raise refusal("expected a number from 0 to 1")
    if found == (rounded := found.quantize(_MILLIONTH, context=_WIDE)):
        return found
    return decimal_of(rounded)  # the fold keeps millionths, half to even


def _rate(value: Any) -> Decimal:
    found = _decimal(value)
    if not MIN_RATE <= found <= MAX_RATE:
        raise refusal("expected a rate above 0, from 10^-15 to 10^15")
    exponent = found.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -MAX_RATE_DECIMALS:
        raise refusal(f"expected at most {MAX_RATE_DECIMALS} digits behind the point")
    return found


def _goal(value: Any) -> Decimal:
    if abs(found := _decimal(value)) > MAX_RATE:
        raise refusal("out of range: at most 10^15")
    return found


def _whole(value: Any) -> int:
    found = _decimal(value)
    if found != found.to_integral_value() or not 0 <= found <= 10**9:
        raise refusal("expected a whole number from 0 to 10^9")
    return int(found)


def _alias(text: str) -> str:
    source, colon, user = text.rpartition(":")
    if not (colon and source and user):
        raise refusal(f"{text[:40]!r} is no alias: write <source>:<user id>")
    return text


_number_schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": _DECIMAL_TEXT, "maxLength": 255}]
}

Attribute = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=255),
    AfterValidator(_attribute),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
        }
    ),
]
"""A CloudEvents attribute."""
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255)]
"""An id or a name."""
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4096)]
"""A text that people write, such as a reason."""
AnyText = Annotated[str, StringConstraints(strict=True), AfterValidator(_encodable)]

Instant = Annotated[
    int,
    PlainValidator(_text_of(_instant_ns, "an RFC 3339 instant with offset, as text")),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Read as ns since 2000-01-01 UTC."""
InstantMs = Annotated[
    int,
    PlainValidator(
        _text_of(lambda text: _instant_ns(text) // 1_000_000, "an RFC 3339 instant with offset, as text")
    ),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Read as ms since 2000-01-01 UTC, rounded down."""
Day = Annotated[
    date,
    PlainValidator(_text_of(_day, "a date, YYYY-MM-DD, as text")),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Currency = Annotated[
    str,
    PlainValidator(_text_of(_known_currency, "a currency's code, as text")),
    WithJsonSchema({"type": "string", "enum": sorted(EXPONENTS)}),
]
Amount = Annotated[Decimal, PlainValidator(_decimal), WithJsonSchema(_number_schema)]
"""Money; its range depends on the currency beside it."""
Share = Annotated[
    Decimal,
    PlainValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": _DECIMAL_TEXT, "maxLength": 255},
            ]
        }
    ),
]
"""Read to six decimals, half to even."""
Rate = Annotated[Decimal, PlainValidator(_rate), WithJsonSchema(_number_schema)]
Goal = Annotated[Decimal, PlainValidator(_goal), WithJsonSchema(_number_schema)]
Count = Annotated[
    int,
    PlainValidator(_whole),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+$"}]}),
]
Alias = Annotated[
    Name,
    AfterValidator(_alias),
    WithJsonSchema({"type": "string", "pattern": "^.+:[^:]+$", "maxLength": 255}),
]
Flag = StrictBool

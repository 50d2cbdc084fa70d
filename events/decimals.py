"""Decimals as stated: JSON numbers and decimal texts, exact to the last digit, and back to one plain text."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from .currencies import EXPONENTS

MAX_MINOR: Final = 10**13
"""Largest amount, in minor units of its currency."""
MAX_DECIMALS: Final = 100
"""Digits behind the point beyond which a decimal is refused: no system means them."""

_SIMPLE = re.compile(r"-?[0-9]{1,100}(?:\.[0-9]{1,100})?")
_SHAPE = re.compile(r"-?[0-9]{1,255}(\.[0-9]{1,255})?([eE][+-]?[0-9]{1,4})?")


def decimal_of(value: Any) -> Decimal:
    """The decimal that a JSON number or a text such as "12500.10" states. Raises ValueError.

    A float is taken as the shortest text that means it, which is what JSON writes.
    """
    if isinstance(value, str) and _SIMPLE.fullmatch(value):
        digits = value.rstrip("0").rstrip(".") if "." in value else value
        return Decimal(digits) if digits.strip("-0") else Decimal(0)
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError('expected a number or a decimal text such as "12500.10"')  # noqa: TRY004 - for readers
    text = value if isinstance(value, str) else repr(value) if isinstance(value, float) else None
    if text is None:
        assert isinstance(value, int | Decimal)
        found = Decimal(value)
    elif _SHAPE.fullmatch(text):
        found = Decimal(text)
    else:
        raise ValueError(
            f"{text[:40]!r} is no finite decimal: digits with a point, no signs of thousands or currency"
        )
    if not found.is_finite():
        raise ValueError("expected a finite number")
    return _trimmed(found)


def _trimmed(value: Decimal) -> Decimal:
    """The same number in its one form: no exponent, no zeros behind the point. Raises ValueError."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if not value:
        return Decimal(0)
    if value.adjusted() > 255:
        raise ValueError("the number is out of range")
    if exponent >= 0:
        return Decimal((sign, digits + (0,) * exponent, 0))
    while exponent < 0 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if exponent < -MAX_DECIMALS:
        raise ValueError(f"more than {MAX_DECIMALS} digits behind the point")
    return Decimal((sign, digits, exponent))


def plain(value: Decimal) -> str:
    """The one text of a decimal: no exponent, no zeros at the end, no minus before 0.

    >>> plain(Decimal("1.2500E+4"))
    '12500'
    """
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def check_amount(amount: Decimal | None, currency: str | None) -> None:
    """Raise ValueError if an amount is beyond 10^13 minor units of its currency (none: no decimals)."""
    if amount is None:
        return
    exponent = EXPONENTS[currency] if currency else 0
    limit = MAX_MINOR // 10**exponent
    if abs(amount) > limit:
        unit = currency or "units of no stated currency"
        raise ValueError(f"{plain(amount)[:40]} is out of range: at most {limit} {unit} (10^13 minor units)")


def number_from_json(text: str) -> Decimal:
    """A number of a JSON document with a point or an exponent, exactly; one beyond all range is infinite."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def integer_from_json(text: str) -> int | Decimal:
    """A whole number of a JSON document; a huge one as a decimal, which costs no quadratic time."""
    return int(text) if len(text) <= 100 else number_from_json(text)

"""A length of time as people write it: `20`, `1.5s`, `10m`, `4h`, `30d`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_WRITTEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?\s*")


def seconds_of(written: object) -> float:
    """Seconds of a number of seconds, or of a text with a unit (ms, s, m, h, d).

    Raises ValueError, with what is allowed.

    >>> seconds_of("10m"), seconds_of("250ms"), seconds_of(3)
    (600.0, 0.25, 3.0)
    """
    if isinstance(written, int | float) and not isinstance(written, bool):
        return float(written)
    if isinstance(written, str) and (found := _WRITTEN.fullmatch(written)):
        return round(float(found[1]) * _UNITS[found[2] or "s"], 9)
    raise ValueError(f"{written!r} is no length of time: write seconds, or 250ms, 30s, 10m, 4h, 30d")


class _Written:
    """Marks the key in the schema, so that its documentation tells the units."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core) | {"format": "duration"}


Duration = Annotated[float, BeforeValidator(seconds_of), Field(ge=0), _Written()]
"""Seconds, given as a number of them or as a text with a unit."""

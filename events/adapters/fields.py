"""The fields of events.md by kind, and how a vendor's value becomes one of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from ..errors import BadEventError
from .document import kind_of
from .instants import instant_of, rfc3339, stated_date

Entity = Literal["opportunity", "contract", "account", "activity", "employee"]
Kind = Literal[
    "text",
    "prose",
    "label",
    "reference",
    "user",
    "date",
    "instant",
    "decimal",
    "ratio",
    "currency",
    "choice",
    "flag",
]

TOPICS: Mapping[Entity, str] = {
    "opportunity": "crm.opportunity",
    "contract": "crm.contract",
    "account": "crm.account",
    "activity": "crm.activity",
    "employee": "hr.employee",
}

# A `reference` is the subject of another entity, so `id_prefix` goes before it; a `user` is not.
# `text` and `prose` are free, so they are cut to what events.md takes; a `label` means something.
FIELDS: Mapping[Entity, Mapping[str, Kind]] = {
    "opportunity": {
        "name": "text",
        "account_id": "reference",
        "owner_id": "user",
        "stage": "label",
        "pipeline": "label",
        "amount": "decimal",
        "currency": "currency",
        "created_at": "instant",
        "close_date": "date",
        "type": "choice",
        "referred_by": "reference",
        "probability": "ratio",
        "forecast_category": "choice",
        "lost_reason": "prose",
        "lead_source": "prose",
    },
    "contract": {
        "account_id": "reference",
        "owner_id": "user",
        "signed_on": "date",
        "start_date": "date",
        "end_date": "date",
        "recurring_amount": "decimal",
        "recurring_per": "choice",
        "one_time_amount": "decimal",
        "currency": "currency",
        "kind": "choice",
        "supersedes": "reference",
        "cancelled_on": "date",
        "trial": "flag",
    },
    "account": {
        "name": "text",
        "owner_id": "user",
        "parent_id": "reference",
        "segment": "label",
        "region": "label",
    },
    "activity": {
        "rep_id": "user",
        "kind": "choice",
        "completed_at": "instant",
        "with": "choice",
        "opportunity_id": "reference",
        "account_id": "reference",
    },
    "employee": {
        "name": "text",
        "hired_on": "date",
        "left_on": "date",
        "leave_kind": "choice",
        "effective_on": "date",
        "role": "label",
        "team": "label",
        "manager_id": "reference",
        "on_leave": "flag",
    },
}

_DEAL_KINDS = ("new", "expansion", "cross_sell", "renewal")
CHOICES: Mapping[tuple[Entity, str], tuple[str, ...]] = {
    ("opportunity", "type"): _DEAL_KINDS,
    ("opportunity", "forecast_category"): ("omitted", "pipeline", "best_case", "commit", "closed"),
    ("contract", "kind"): _DEAL_KINDS,
    ("contract", "recurring_per"): ("term", "year", "month"),
    ("activity", "kind"): ("call", "meeting", "email", "demo", "other"),
    ("activity", "with"): ("prospect", "customer", "other"),
    ("employee", "leave_kind"): ("voluntary", "involuntary", "other"),
}

LONGEST_TEXT, LONGEST_PROSE = 255, 4096
_FLAGS = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_FLAGS |= {"false": False, "f": False, "no": False, "n": False, "0": False}
_DECIMAL = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one vendor writes dates, instants and chances. `date` and `instant` get value and path."""

    date: Callable[[Any, str], str] = stated_date
    instant: Callable[[Any, str], datetime] = instant_of
    percent: bool = True


def convert(entity: Entity, field: str, value: Any, *, path: str, dialect: Dialect, id_prefix: str) -> Any:
    """The vendor's `value` as events.md wants it in `field`; None and empty text clear it.

    Raises `BadEventError` (`invalid_data`) that names `path`, the vendor's name of the field.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    kind = FIELDS[entity][field]
    match kind:
        case "text":
            return _text(value, path)[:LONGEST_TEXT]
        case "prose":
            return _text(value, path)[:LONGEST_PROSE]
        case "label" | "user" | "currency":
            return _text(value, path)
        case "reference":
            text = _text(value, path)
            return text if field == "referred_by" and text == "unknown" else id_prefix + text
        case "date":
            return dialect.date(value, path)
        case "instant":
            return rfc3339(dialect.instant(value, path))
        case "decimal":
            return decimal_text(value, path)
        case "ratio":
            number = Decimal(decimal_text(value, path))
            return format(number / 100 if dialect.percent else number, "f")
        case "choice":
            return _choice(entity, field, value, path)
        case "flag":
            return truth(value, path)


def decimal_text(value: Any, path: str) -> str:
    """A finite decimal in plain digits, without an exponent."""
    text = value.strip() if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    if isinstance(value, (str, int, Decimal)) and _DECIMAL.fullmatch(text):
        try:
            return format(Decimal(text), "f")
        except InvalidOperation:
            pass
    raise BadEventError("invalid_data", f"expected a decimal number, found {kind_of(value)}", path=path)


def truth(value: Any, path: str) -> bool:
    """A yes or a no in the forms that databases and APIs write."""
    if isinstance(value, bool):
        return value
    found = _FLAGS.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
    if found is None:
        raise BadEventError("invalid_data", f"expected true or false, found {kind_of(value)}", path=path)
    return found


def _text(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise BadEventError("invalid_data", f"expected text, found {kind_of(value)}", path=path)


def _choice(entity: Entity, field: str, value: Any, path: str) -> str:
    text, allowed = _text(value, path), CHOICES[entity, field]
    if text in allowed:
        return text
    raise BadEventError(
        "invalid_data",
        f"{text[:40]!r} is none of {', '.join(allowed)}. Say what it means under "
        f"[adapters.<name>.{entity}.values.{field}], or give a fallback there as '*'",
        path=path,
    )

"""One example of every type of event: in the schemas, in the documentation, and read by a test."""

from types import MappingProxyType
from typing import Any, Final

from .topics import TYPES, type_of

_SUBJECTS = {
    "opportunity": "opp-4711",
    "contract": "con-88",
    "account": "acc-12",
    "activity": "act-9001",
    "employee": "emp-7",
    "target": "rep:emp-7/2026-Q4",
    "fx_rate": "EUR/USD/2026-11-23",
    "resync": "*",
}
_DATA: dict[tuple[str, str], dict[str, Any]] = {
    ("opportunity", "changed"): {
        "name": "Porcelain line, spring",
        "account_id": "acc-12",
        "owner_id": "emp-7",
        "stage": "Proposal",
        "amount": "12500.00",
        "currency": "TWD",
        "created_at": "2026-10-05T10:12:00+08:00",
        "close_date": "2026-12-18",
        "type": "new",
        "referred_by": "acc-3",
    },
    ("opportunity", "merged"): {"into": "opp-4712"},
    ("contract", "changed"): {
        "account_id": "acc-12",
        "owner_id": "emp-7",
        "signed_on": "2026-11-20",
        "start_date": "2026-12-01",
        "end_date": "2027-11-30",
        "recurring_amount": "240000",
        "recurring_per": "term",
        "one_time_amount": "15000",
        "currency": "TWD",
        "kind": "new",
    },
    ("account", "changed"): {
        "name": "Kestrel Books",
        "owner_id": "emp-7",
        "parent_id": None,
        "segment": "retail",
        "region": "north",
    },
    ("account", "merged"): {"into": "acc-13"},
    ("activity", "completed"): {
        "rep_id": "emp-7",
        "kind": "meeting",
        "completed_at": "2026-11-23T09:00:00+08:00",
        "with": "prospect",
        "opportunity_id": "opp-4711",
        "account_id": "acc-12",
    },
    ("employee", "changed"): {
        "name": "Lin Yi-Chen",
        "aliases": ["/crm/acme:005B7"],
        "hired_on": "2025-09-01",
        "effective_on": "2026-11-01",
        "role": "sales",
        "team": "North",
        "manager_id": "emp-2",
        "on_leave": False,
    },
    ("target", "changed"): {"amount": "3000000", "currency": "TWD", "wins": 12},
    ("fx_rate", "changed"): {"base": "EUR", "quote": "USD", "date": "2026-11-23", "rate": "1.1524"},
    ("resync", "required"): {"reason": "the source kept changes for 72 hours, and was away for 80"},
}


def _example(entity: str, verb: str, number: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"9f0c-{number:04d}",
        "source": "/crm/acme",
        "type": type_of(entity, verb),
        "subject": _SUBJECTS[entity],
        "time": "2026-11-23T09:30:00+08:00",
        "datacontenttype": "application/json",
    }
    return document | ({"data": data} if (data := _DATA.get((entity, verb))) else {})


EXAMPLES: Final = MappingProxyType(
    {type_: _example(entity, verb, i) for i, (type_, (entity, verb)) in enumerate(TYPES.items(), 1)}
)
"""type -> a good event of it, as a JSON document."""

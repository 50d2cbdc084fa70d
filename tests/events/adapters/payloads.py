"""Deliveries in the shapes that the vendors document, with the fields a test wants to vary."""

import json
from typing import Any
from zoneinfo import ZoneInfo

from events.adapters.catalogue import translator
from events.adapters.outgoing import Outgoing
from events.adapters.settings import Adapter
from events.reader import read

TAIPEI = ZoneInfo("Asia/Taipei")
T_MS = 1_772_676_669_120
"""2026-03-05T02:11:09.120Z."""
T = "2026-03-05T02:11:09.120Z"


def translated(settings: Adapter, body: Any, *, key: bytes = b"") -> list[Outgoing]:
    """What the adapter makes of a delivery; each event is read back by the contract's own reader."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    events = translator(settings, zone=TAIPEI).translate(raw, key)
    for one in events:
        assert read(one.value, one.topic).subject == one.subject
    return events


def told(settings: Adapter, body: Any, *, key: bytes = b"") -> list[tuple[str, str, dict[str, Any]]]:
    """`(type without its prefix, subject, data)` of each event."""
    events = [one.event for one in translated(settings, body, key=key)]
    return [(one["type"].removeprefix("dealpulse."), one["subject"], one["data"]) for one in events]


def salesforce(change: str = "UPDATE", *, ids: tuple[str, ...] = ("006A1",), entity: str = "Opportunity",
               changed: tuple[str, ...] = (), nulled: tuple[str, ...] = (), diff: tuple[str, ...] = (),
               sequence: int = 3, at: int = T_MS, transaction: str = "0001a2-7f3a",
               commit: Any = 1_772_676_669_120_338_411, **fields: Any) -> dict[str, Any]:  # fmt: skip
    """A change event as the Pub/Sub API decodes to: every field there, the unchanged ones null."""
    header = {
        "entityName": entity, "recordIds": list(ids), "changeType": change, "changeOrigin": "",
        "changedFields": list(changed), "nulledFields": list(nulled), "diffFields": list(diff),
        "transactionKey": transaction, "sequenceNumber": sequence, "commitTimestamp": at,
        "commitNumber": commit, "commitUser": "005B7",
    }  # fmt: skip
    blank = dict.fromkeys(
        ("Name", "AccountId", "OwnerId", "StageName", "Amount", "CloseDate", "Type", "CreatedDate"), None
    )
    return {"ChangeEventHeader": header} | (blank if entity == "Opportunity" else {}) | fields


def streaming(change: str = "UPDATE", *, entity: str = "Opportunity", ids: tuple[str, ...] = ("006A1",), **fields: Any) -> dict[str, Any]:  # fmt: skip
    """A change event as the Streaming API sends it: only changed fields, null = cleared."""
    header = {
        "entityName": entity, "recordIds": list(ids), "changeType": change, "changeOrigin": "",
        "transactionKey": "0001a2-7f3a", "sequenceNumber": 1, "commitTimestamp": T_MS,
        "commitNumber": 1_772_676_669_120_338_411, "commitUser": "005B7",
    }  # fmt: skip
    return {
        "schema": "IeRuaY6cbI_HsV8Rv1Mc5g",
        "payload": {"ChangeEventHeader": header} | fields,
        "event": {"replayId": 6},
    }


def hubspot(subscription: str, **fields: Any) -> dict[str, Any]:
    """One change of a HubSpot delivery."""
    return {
        "eventId": 31007, "subscriptionId": 77, "portalId": 4411, "appId": 9, "occurredAt": T_MS,
        "subscriptionType": subscription, "attemptNumber": 0, "objectId": 5512, "changeSource": "CRM_UI",
    } | fields  # fmt: skip


def property_change(name: str, value: str | None, *, thing: str = "deal", **fields: Any) -> dict[str, Any]:
    """A HubSpot property, changed."""
    return hubspot(f"{thing}.propertyChange", propertyName=name, propertyValue=value, **fields)


def pipedrive(action: str, data: dict[str, Any] | None, previous: dict[str, Any] | None, *, entity: str = "deal",
              at: Any = T, event_id: str = "b1d7-03", entity_id: Any = "812", **meta: Any) -> dict[str, Any]:  # fmt: skip
    """A webhook of version 2."""
    head = {
        "version": "2.0", "action": action, "entity": entity, "entity_id": entity_id, "id": event_id,
        "company_id": "77", "user_id": "9", "webhook_id": "31", "timestamp": at, "attempt": 1,
        "is_bulk_edit": False, "change_source": "app", "host": "acme.pipedrive.com",
    } | meta  # fmt: skip
    return {"meta": head, "data": data, "previous": previous}


def debezium(op: str, before: dict[str, Any] | None, after: dict[str, Any] | None, *, table: str = "deals",
             lsn: Any = 24_023_128, at: int = T_MS, **source: Any) -> dict[str, Any]:  # fmt: skip
    """A change of a PostgreSQL table."""
    place = {
        "connector": "postgresql", "version": "2.7.0.Final", "name": "crm", "ts_ms": at, "snapshot": "false",
        "db": "crm", "schema": "public", "table": table, "txId": 811, "lsn": lsn, "xmin": None,
    } | source  # fmt: skip
    return {
        "before": before,
        "after": after,
        "source": place,
        "op": op,
        "ts_ms": at + 180,
        "transaction": None,
    }


def merge(event: str = "Employee.changed", **data: Any) -> dict[str, Any]:
    """A Merge-like webhook with its after-image."""
    return {
        "hook": {"id": "16-4f", "event": event, "target": "https://hooks.example.com/merge"},
        "linked_account": {"id": "4a-c1", "integration": "BambooHR", "category": "hris", "end_user_origin_id": "acme"},
        "data": {
            "id": "e-9", "remote_id": "67890", "display_full_name": "Lin Yi-Chen", "team": "t-3", "manager": "e-2",
            "start_date": "2025-09-01T00:00:00Z", "hire_date": "2025-08-01T00:00:00Z", "employment_status": "ACTIVE",
            "termination_date": None, "modified_at": "2026-03-05T02:11:09Z", "remote_was_deleted": False,
        } | data,
    }  # fmt: skip

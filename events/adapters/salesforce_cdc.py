"""Salesforce Change Data Capture: its three shapes, gap events, several record ids in one event."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, mapping_at, read_document
from .fields import Dialect, Entity
from .instants import day_of, from_unix, instant_of, stated_date
from .outgoing import Outgoing
from .settings import SalesforceSettings
from .statement import Origin, Vocabulary, vocabulary

ENTITIES: Mapping[str, Entity] = {
    "Opportunity": "opportunity",
    "Account": "account",
    "Contract": "contract",
    "Task": "activity",
    "Event": "activity",
}

_DEAL_TYPES = {
    "New Customer": "new",
    "New Business": "new",
    "Existing Customer - Upgrade": "expansion",
    "Existing Customer - Replacement": "renewal",
    "Existing Customer - Downgrade": "renewal",
    "Existing Business": "expansion",
}
_FORECAST = {
    "Omitted": "omitted",
    "Pipeline": "pipeline",
    "Best Case": "best_case",
    "BestCase": "best_case",
    "Most Likely": "best_case",
    "MostLikely": "best_case",
    "Commit": "commit",
    "Forecast": "commit",
    "Closed": "closed",
}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "Opportunity": {
        "Name": "name",
        "AccountId": "account_id",
        "OwnerId": "owner_id",
        "StageName": "stage",
        "Amount": "amount",
        "CurrencyIsoCode": "currency",
        "CreatedDate": "created_at",
        "CloseDate": "close_date",
        "Type": "type",
        "Probability": "probability",
        "ForecastCategoryName": "forecast_category",
        "LeadSource": "lead_source",
    },
    "Account": {"Name": "name", "OwnerId": "owner_id", "ParentId": "parent_id", "Industry": "segment"},
    "Contract": {
        "AccountId": "account_id",
        "OwnerId": "owner_id",
        "StartDate": "start_date",
        "EndDate": "end_date",
        "CustomerSignedDate": "signed_on",
        "CurrencyIsoCode": "currency",
    },
    "Task": {"OwnerId": "rep_id", "TaskSubtype": "kind", "CompletedDateTime": "completed_at"},
    "Event": {"OwnerId": "rep_id", "EndDateTime": "completed_at"},
}
_VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "Opportunity": {"type": _DEAL_TYPES, "forecast_category": _FORECAST},
    "Account": {},
    "Contract": {},
    "Task": {
        "kind": {"Call": "call", "Email": "email", "ListEmail": "email", "Cadence": "email", "*": "other"}
    },
    "Event": {},
}
# WhatId and WhoId point at records of many kinds; the first three characters of an id say which.
_OPPORTUNITY_PREFIX, _ACCOUNT_PREFIX = "006", "001"

_BITMAP = re.compile(r"(?:\d+-)?0[xX][0-9a-fA-F]+", re.ASCII)
_CHANGES = ("CREATE", "UPDATE", "DELETE", "UNDELETE")
_GAPS = tuple(f"GAP_{change}" for change in _CHANGES)


@dataclass(frozen=True)
class Salesforce:
    """The translator of one org. `zone` is the company's: an instant becomes a day there."""

    settings: SalesforceSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one change event; none for objects that dealpulse does not follow.

        Raises `BadEventError`; its reason is `bitmap_not_expanded` if changed fields are still bitmaps.
        """
        del key  # the header names its records
        document = read_document(body) if body else None
        if document is None:
            return []
        change = _change(document)
        return list(_events(change, self)) if change.object in ENTITIES else []

    @cached_property
    def words(self) -> Mapping[str, Vocabulary]:
        """By Salesforce object: the built-in words with the company's own laid over them."""
        return {
            kind: vocabulary(
                entity,
                getattr(self.settings, entity),
                fields=_FIELDS[kind],
                values=_VALUES[kind],
                dialect=Dialect(date=_calendar_date),
                id_prefix=self.settings.id_prefix,
                currency=self.settings.currency,
            )
            for kind, entity in ENTITIES.items()
        }


@dataclass(frozen=True, slots=True)
class _Change:
    """One change event, whatever its shape was: `row` holds the fields that count, None = cleared."""

    object: str
    kind: str
    record_ids: tuple[str, ...]
    row: Mapping[str, Any]
    partial: tuple[str, ...]
    """Names of fields sent as a difference of text, so without their value."""
    transaction: str
    sequence_number: int
    commit_number: int
    committed_at: datetime

    def origin(self, record_id: str, settings: SalesforceSettings) -> Origin:
        return Origin(
            source=f"/salesforce/{settings.org}",
            id=f"{self.transaction}:{self.sequence_number}:{record_id}",
            time=self.committed_at,
            sequence=f"{self.commit_number:020d}.{self.sequence_number:020d}",
        )


def _change(document: Any) -> _Change:
    streaming = False
    if isinstance(document, dict) and "payload" in document and "ChangeEventHeader" not in document:
        streaming = isinstance(document.get("event"), dict)
        document = document["payload"]
    header = mapping_at(document, "ChangeEventHeader")
    kind = header.get("changeType")
    if kind not in (*_CHANGES, *_GAPS, "GAP_OVERFLOW"):
        raise BadEventError(
            "malformed", f"unknown change, found {kind_of(kind)}", path="ChangeEventHeader.changeType"
        )
    ids = header.get("recordIds")
    if not isinstance(ids, list) or (not ids and kind != "GAP_OVERFLOW"):
        raise BadEventError(
            "malformed", f"expected ids, found {kind_of(ids)}", path="ChangeEventHeader.recordIds"
        )
    changed, nulled, differing = (
        _names(header, name) for name in ("changedFields", "nulledFields", "diffFields")
    )
    return _Change(
        object=identifier(header.get("entityName"), "ChangeEventHeader.entityName"),
        kind=kind,
        record_ids=tuple(identifier(one, "ChangeEventHeader.recordIds") for one in ids),
        row=_row(document, kind, changed, nulled, streaming=streaming),
        partial=differing or (),
        transaction=identifier(header.get("transactionKey"), "ChangeEventHeader.transactionKey"),
        sequence_number=_count(header, "sequenceNumber"),
        commit_number=_count(header, "commitNumber"),
        committed_at=from_unix(header.get("commitTimestamp"), "ms", "ChangeEventHeader.commitTimestamp"),
    )


def _row(
    document: Mapping[str, Any],
    kind: str,
    changed: tuple[str, ...] | None,
    nulled: tuple[str, ...] | None,
    *,
    streaming: bool,
) -> dict[str, Any]:
    """The fields that count, by name (`BillingAddress.City` for a part of a compound one).

    Streaming API: what is there counts, null = cleared. Pub/Sub and Connect rows hold *every* field,
    the unchanged ones as null: of an update only the names in `changedFields` and `nulledFields`
    count. A row whose header has neither list cannot tell cleared from unchanged: null says nothing.
    """
    fields = {name: value for name, value in document.items() if name != "ChangeEventHeader"}
    for name, value in list(fields.items()):
        if isinstance(value, dict):
            fields |= {f"{name}.{part}": inner for part, inner in value.items()}
    if kind != "UPDATE":
        return {name: value for name, value in fields.items() if value is not None or kind == "UNDELETE"}
    if streaming:
        return fields
    if changed is None and nulled is None:
        return {name: value for name, value in fields.items() if value is not None}
    return {name: fields.get(name) for name in (*(changed or ()), *(nulled or ()))}


def _events(change: _Change, org: Salesforce) -> Iterator[Outgoing]:
    entity, words, settings = ENTITIES[change.object], org.words[change.object], org.settings
    if change.kind == "GAP_OVERFLOW" or any("*" in one for one in change.record_ids):
        yield change.origin("*", settings).resync(entity, "*", f"{change.kind} of {change.object}")
        return
    for record_id in change.record_ids:
        origin, subject = change.origin(record_id, settings), words.subject(record_id)
        if change.kind in _GAPS:
            if change.kind == "GAP_DELETE":
                yield origin.event(entity, "deleted", subject)
            yield origin.resync(entity, subject, change.kind)
        elif change.kind == "DELETE":
            yield origin.event(entity, "deleted", subject)
        else:
            yield from _statement(change, entity, origin, subject, org)


def _statement(
    change: _Change, entity: Entity, origin: Origin, subject: str, org: Salesforce
) -> Iterator[Outgoing]:
    words = org.words[change.object]
    row, partial = dict(change.row), [name for name in change.partial if words.fields.get(name)]
    for name in partial:
        row.pop(name, None)
    data = words.stated(row)
    missing = f"only the difference of {', '.join(partial)} was sent" if partial else ""
    if entity == "contract":
        missing = _contract_dates(row, data, org.zone) or missing
    if entity == "activity":
        _activity_links(row, data, words)
        if change.object == "Event" and change.kind == "CREATE":
            data.setdefault("kind", "meeting")
    master = row.get("MasterRecordId")
    if entity == "account" and isinstance(master, str) and master:
        yield origin.event(entity, "merged", subject, {"into": words.subject(master)}, part="merged")
    if data:
        yield origin.event(entity, "completed" if entity == "activity" else "changed", subject, data)
    life = _life(change, row, org.settings)
    if life:
        yield origin.event(entity, life, subject, part=life)
    if missing:
        yield origin.resync(entity, subject, missing)


def _life(change: _Change, row: Mapping[str, Any], settings: SalesforceSettings) -> str:
    """`deleted` for a task not done or a contract not signed yet, `restored` once it is, else nothing.

    Such records exist long before they count; hiding them lets every later change stay a partial one.
    """
    shown = {"Task": settings.completed_statuses, "Contract": settings.active_statuses}.get(change.object)
    if shown is None or "Status" not in row:
        return "restored" if change.kind == "UNDELETE" else ""
    if row["Status"] not in shown:
        return "deleted"
    return "" if change.kind == "CREATE" else "restored"


def _contract_dates(row: Mapping[str, Any], data: dict[str, Any], zone: tzinfo) -> str:
    """Fill in the end and the day of signature; the reason for a resync where the row does not tell."""
    activated = row.get("ActivatedDate")
    if activated is not None and not data.get("signed_on"):
        data["signed_on"] = day_of(instant_of(activated, "ActivatedDate"), zone)
    if "ContractTerm" not in row or "EndDate" in row:
        return ""
    term, start = row["ContractTerm"], data.get("start_date")
    if term is None:
        data["end_date"] = None
        return ""
    if isinstance(term, bool) or not isinstance(term, (int, Decimal)) or not 0 < term <= 1_200 or term % 1:
        raise BadEventError("invalid_data", f"expected months, found {kind_of(term)}", path="ContractTerm")
    months = int(term)
    if not start:
        return "the contract's term changed, and its end was not sent"
    data["end_date"] = _term_end(date.fromisoformat(start), months)
    return ""


def _term_end(start: date, months: int) -> str:
    """The last day of a term of whole months: the day before the same day `months` later."""
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    if year > 9_998:
        raise BadEventError("invalid_data", "the term ends beyond the year 9998", path="ContractTerm")
    following = date(year + month // 12, month % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    if start.day > last:
        return date(year, month, last).isoformat()
    return (date(year, month, start.day) - timedelta(days=1)).isoformat()


def _activity_links(row: Mapping[str, Any], data: dict[str, Any], words: Vocabulary) -> None:
    what = row.get("WhatId")
    if isinstance(what, str):
        if what.startswith(_OPPORTUNITY_PREFIX):
            data.setdefault("opportunity_id", words.subject(what))
        elif what.startswith(_ACCOUNT_PREFIX):
            data.setdefault("account_id", words.subject(what))
    account = row.get("AccountId")
    if isinstance(account, str) and account:
        data.setdefault("account_id", words.subject(account))


def _calendar_date(value: Any, path: str) -> str:
    """Salesforce's dates: milliseconds at midnight UTC, or text."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return from_unix(value, "ms", path).astimezone(UTC).date().isoformat()
    return stated_date(value, path)


def _names(header: Mapping[str, Any], list_name: str) -> tuple[str, ...] | None:
    """The names in a list of the header, None if it has no such list."""
    path, names = f"ChangeEventHeader.{list_name}", header.get(list_name)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadEventError("malformed", f"expected names of fields, found {kind_of(names)}", path=path)
    for name in names:
        if _BITMAP.fullmatch(name):
            raise BadEventError(
                "bitmap_not_expanded",
                f"{name[:40]!r} is a bitmap of the event's Avro schema, not a field. Let the subscriber decode "
                "changedFields, nulledFields and diffFields, then replay this record",
                path=path,
            )
    return tuple(names)


def _count(header: Mapping[str, Any], name: str) -> int:
    """A whole number of 64 bits; text of digits too, for bridges that keep it exact that way."""
    value = header.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, Decimal) and 0 <= value < 2**64 and not value % 1:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise BadEventError(
        "malformed", f"expected a whole number, found {kind_of(value)}", path=f"ChangeEventHeader.{name}"
    )

"""Pipedrive webhooks v2: one change of one object, with what the changed fields were before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, mapping_at, read_document
from .fields import Dialect, Entity, truth
from .instants import day_of, instant_of, rfc3339, stated_date
from .outgoing import Outgoing
from .settings import PipedriveSettings
from .statement import Origin, Vocabulary, unreadable, vocabulary

ENTITIES: Mapping[str, Entity] = {"deal": "opportunity", "organization": "account", "activity": "activity"}

_FIELDS: Mapping[str, Mapping[str, str]] = {
    "deal": {
        "title": "name",
        "org_id": "account_id",
        "owner_id": "owner_id",
        "pipeline_id": "pipeline",
        "value": "amount",
        "currency": "currency",
        "add_time": "created_at",
        "probability": "probability",
        "lost_reason": "lost_reason",
        "origin": "lead_source",
    },
    "organization": {"name": "name", "owner_id": "owner_id"},
    "activity": {
        "owner_id": "rep_id",
        "type": "kind",
        "marked_as_done_time": "completed_at",
        "deal_id": "opportunity_id",
        "org_id": "account_id",
    },
}
_VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "activity": {
        "kind": {
            "call": "call",
            "meeting": "meeting",
            "email": "email",
            "demo": "demo",
            "lunch": "meeting",
            "*": "other",
        }
    }
}
_CLOSED_AT = {"won": "won_time", "lost": "lost_time"}
# What a deal's stage and its close date depend on.
_STAGE_FIELDS = ("stage_id", "status")
_CLOSE_FIELDS = ("status", "won_time", "lost_time", "expected_close_date")


@dataclass(frozen=True)
class Pipedrive:
    """The translator of one Pipedrive company. `zone` is the company's: a deal closes on a day there."""

    settings: PipedriveSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one delivery; none for objects that dealpulse does not follow.

        Raises `BadEventError` if it is no webhook of version 2. A value that cannot be read makes a
        resync of the object.
        """
        del key
        document = read_document(body)
        if isinstance(document, dict) and "meta" in document:
            meta = mapping_at(document, "meta")
        else:
            raise BadEventError("malformed", f"expected a Pipedrive webhook, found {kind_of(document)}")
        if meta.get("v") == 1 or "current" in document or meta.get("version") in ("1.0", 1):
            raise BadEventError(
                "malformed",
                "this is a webhook of version 1, which Pipedrive has retired. Delete it there and create it "
                "anew with version 2.0",
            )
        entity = ENTITIES.get(str(meta.get("entity")))
        if entity is None:
            return []
        return list(self._events(meta, document, entity))

    @cached_property
    def words(self) -> Mapping[str, Vocabulary]:
        """By Pipedrive object: the built-in words with the company's own laid over them."""
        return {kind: self._vocabulary(kind, entity) for kind, entity in ENTITIES.items()}

    def _vocabulary(self, kind: str, entity: Entity) -> Vocabulary:
        values = dict(_VALUES.get(kind, {}))
        if kind == "deal":
            # Without a table of pipelines every deal is in the default one: an id would be unknown.
            values["pipeline"] = {"*": "", **self.settings.pipelines}
        return vocabulary(
            entity,
            getattr(self.settings, entity),
            fields=_FIELDS[kind],
            values=values,
            dialect=Dialect(),
            id_prefix=self.settings.id_prefix,
            currency=self.settings.currency,
        )

    def _events(
        self, meta: Mapping[str, Any], document: Mapping[str, Any], entity: Entity
    ) -> Iterator[Outgoing]:
        action = meta.get("action")
        if action not in ("create", "change", "delete"):
            raise BadEventError(
                "malformed", f"expected create, change or delete, found {kind_of(action)}", path="meta.action"
            )
        kind = str(meta["entity"])
        words = self.words[kind]
        subject = words.subject(identifier(meta.get("entity_id"), "meta.entity_id"))
        data = document.get("data")
        row: Mapping[str, Any] = data if isinstance(data, dict) else {}
        origin = Origin(
            source=f"/pipedrive/{identifier(meta.get('company_id'), 'meta.company_id')}",
            id=identifier(meta.get("id"), "meta.id"),
            time=instant_of(meta.get("timestamp"), "meta.timestamp"),
            sequence=_sequence(row.get("update_time")),
        )
        if meta.get("merged_from_id") is not None and entity in ("opportunity", "account"):
            # The loser's own deletion says the same; should it be lost, this still retracts it.
            loser = words.subject(identifier(meta["merged_from_id"], "meta.merged_from_id"))
            yield origin.event(entity, "merged", loser, {"into": subject}, part="merged")
        if action == "delete":
            yield _end(origin, entity, subject, meta, words)
            return
        if not row:
            raise BadEventError("malformed", f"expected the object, found {kind_of(data)}", path="data")
        changed = _changed(document, action)
        try:
            yield from self._statement(origin, kind, subject, row, changed)
        except BadEventError as error:
            yield unreadable(origin, entity, subject, error)

    def _statement(
        self, origin: Origin, kind: str, subject: str, row: Mapping[str, Any], changed: frozenset[str] | None
    ) -> Iterator[Outgoing]:
        """What the changed fields are now (`changed` None: all of them, as the object is new)."""
        entity, words = ENTITIES[kind], self.words[kind]
        flat = _flattened(row)
        told = {name: value for name, value in flat.items() if changed is None or name in changed}
        if changed is None:
            told = {name: value for name, value in told.items() if value is not None}
        data = words.stated(told)
        if "currency" in data and data["currency"] is None:
            del data["currency"]
        if data.get("amount") is not None and isinstance(row.get("currency"), str) and row["currency"]:
            data.setdefault("currency", row["currency"])
        if kind == "deal":
            data |= self._stage_and_close(told, row)
        if data:
            yield origin.event(entity, "completed" if entity == "activity" else "changed", subject, data)
        life = _life(kind, told, created=changed is None)
        if life:
            yield origin.event(entity, life, subject, part=life)

    def _stage_and_close(self, told: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
        """A deal's stage, from its status and stage id, and its close date, actual or expected."""
        data: dict[str, Any] = {}
        status = row.get("status") or "open"
        if not isinstance(status, str):
            raise BadEventError("invalid_data", f"expected text, found {kind_of(status)}", path="data.status")
        if any(field in told for field in _STAGE_FIELDS):
            if status == "won":
                data["stage"] = self.settings.won_stage
            elif status == "lost":
                data["stage"] = self.settings.lost_stage
            elif row.get("stage_id") is not None:
                stage_id = identifier(row["stage_id"], "data.stage_id")
                data["stage"] = self.settings.stages.get(stage_id, stage_id)
        if any(field in told for field in _CLOSE_FIELDS):
            closed_at = row.get(_CLOSED_AT.get(status, ""))
            expected = row.get("expected_close_date")
            if closed_at:
                if set(told) & {"status", _CLOSED_AT[status]}:
                    data["close_date"] = day_of(
                        instant_of(closed_at, f"data.{_CLOSED_AT[status]}"), self.zone
                    )
            elif status not in _CLOSED_AT and ("expected_close_date" in told or expected):
                data["close_date"] = stated_date(expected, "data.expected_close_date") if expected else None
        return data


def _changed(document: Mapping[str, Any], action: str) -> frozenset[str] | None:
    """The names of the changed fields; None if the object is new, so that all of them count.

    A change that does not say what it changed states all fields too, the empty ones included.
    """
    previous = document.get("previous")
    if action == "create":
        return None
    if previous is None:
        return frozenset(_flattened(mapping_at(document, "data")))
    if not isinstance(previous, dict):
        raise BadEventError("malformed", f"expected what changed, found {kind_of(previous)}", path="previous")
    return frozenset(_flattened(previous))


def _flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by name, those in `custom_fields` as `custom_fields.<hash>`, with their bare values."""
    flat = dict(row)
    custom = flat.pop("custom_fields", None)
    for name, value in custom.items() if isinstance(custom, dict) else ():
        bare = value.get("value", value.get("id")) if isinstance(value, dict) else value
        flat[f"custom_fields.{name}"] = bare
    return flat


def _end(
    origin: Origin, entity: Entity, subject: str, meta: Mapping[str, Any], words: Vocabulary
) -> Outgoing:
    survivor = meta.get("merged_to_id")
    if survivor is None or entity not in ("opportunity", "account"):
        return origin.event(entity, "deleted", subject)
    return origin.event(
        entity, "merged", subject, {"into": words.subject(identifier(survivor, "meta.merged_to_id"))}
    )


def _life(kind: str, told: Mapping[str, Any], *, created: bool) -> str:
    """`deleted` for what is deleted, or an activity not done yet; `restored` when it is back or done."""
    if kind == "activity" and "done" in told:
        done = truth(told["done"], "data.done")
        return "" if done and created else "restored" if done else "deleted"
    if "is_deleted" in told:
        gone = truth(told["is_deleted"], "data.is_deleted")
        return "deleted" if gone else "" if created else "restored"
    return ""


def _sequence(update_time: Any) -> str:
    """The object's `update_time` in one width, so that it compares as text; empty if there is none."""
    return rfc3339(instant_of(update_time, "data.update_time")) if update_time else ""

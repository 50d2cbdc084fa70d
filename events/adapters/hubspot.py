"""HubSpot webhooks v3: arrays of up to 100 changes, one property each, in no order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, read_document
from .fields import Dialect, Entity
from .instants import day_of, from_unix, instant_of, rfc3339, stated_date
from .outgoing import Outgoing
from .settings import HubspotSettings
from .statement import Origin, Vocabulary, digest, padded, unreadable, vocabulary

ENTITIES: Mapping[str, Entity] = {
    "deal": "opportunity",
    "company": "account",
    "call": "activity",
    "meeting": "activity",
    "email": "activity",
}
OBJECT_TYPES: Mapping[str, str] = {
    "0-2": "company",
    "0-3": "deal",
    "0-47": "meeting",
    "0-48": "call",
    "0-49": "email",
}
"""The newer `object.*` subscriptions name the object by number."""

_ACTIVITY = {"hubspot_owner_id": "rep_id", "hs_timestamp": "completed_at"}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "deal": {
        "dealname": "name",
        "dealstage": "stage",
        "amount": "amount",
        "deal_currency_code": "currency",
        "closedate": "close_date",
        "createdate": "created_at",
        "hubspot_owner_id": "owner_id",
        "dealtype": "type",
        "closed_lost_reason": "lost_reason",
        "hs_manual_forecast_category": "forecast_category",
    },
    "company": {
        "name": "name",
        "hubspot_owner_id": "owner_id",
        "hs_parent_company_id": "parent_id",
        "industry": "segment",
        "country": "region",
    },
    "call": _ACTIVITY,
    "meeting": _ACTIVITY,
    "email": _ACTIVITY,
}
_VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "deal": {
        "type": {"newbusiness": "new", "existingbusiness": "expansion"},
        "forecast_category": {
            "OMIT": "omitted",
            "PIPELINE": "pipeline",
            "BEST_CASE": "best_case",
            "COMMIT": "commit",
            "CLOSED": "closed",
        },
    }
}
# The property that says whether a call, a meeting or an e-mail really took place, and its word for yes.
_OUTCOMES = {
    "call": ("hs_call_status", ("COMPLETED",)),
    "meeting": ("hs_meeting_outcome", ("COMPLETED",)),
    "email": ("hs_email_status", ("SENT",)),
}
_LONGEST_BATCH = 1_000  # HubSpot sends up to 100


@dataclass(frozen=True)
class Hubspot:
    """The translator of one HubSpot account. `zone` is the company's: `closedate` is a day there."""

    settings: HubspotSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one delivery, in its order.

        Raises `BadEventError` only if the delivery as a whole is not HubSpot's: a change whose
        value cannot be read becomes a resync of its object, so that it does not hold up the others.
        """
        del key
        changes = read_document(body)
        if not isinstance(changes, list):
            raise BadEventError("malformed", f"expected HubSpot's array of changes, found {kind_of(changes)}")
        if len(changes) > _LONGEST_BATCH:
            raise BadEventError(
                "malformed", f"{len(changes)} changes in one delivery; HubSpot sends up to 100"
            )
        return [outgoing for place, change in enumerate(changes) for outgoing in self._events(change, place)]

    @cached_property
    def words(self) -> Mapping[str, Vocabulary]:
        """By HubSpot object: the built-in words with the company's own laid over them."""
        return {
            kind: vocabulary(
                entity,
                getattr(self.settings, entity),
                fields=_FIELDS[kind],
                values=_VALUES.get(kind, {}),
                dialect=Dialect(date=self._date, percent=False),
                id_prefix=self.settings.id_prefix,
                currency=self.settings.currency,
            )
            for kind, entity in ENTITIES.items()
        }

    def _date(self, value: Any, path: str) -> str:
        """HubSpot's dates: an instant in ms, taken as a day of the company; or text."""
        if isinstance(value, str) and len(value) == 10 and value[4:5] == "-":
            return stated_date(value, path)
        return day_of(instant_of(value, path), self.zone)

    def _events(self, change: Any, place: int) -> Iterator[Outgoing]:
        if not isinstance(change, dict):
            raise BadEventError("malformed", f"expected a change, found {kind_of(change)}", path=f"[{place}]")
        subscription = change.get("subscriptionType")
        if not isinstance(subscription, str):
            raise BadEventError(
                "malformed",
                f"expected text, found {kind_of(subscription)}",
                path=f"[{place}].subscriptionType",
            )
        thing, _, verb = subscription.partition(".")
        if thing == "object":
            number = change.get("objectTypeId") or change.get("fromObjectTypeId")
            thing = OBJECT_TYPES.get(number, "") if isinstance(number, str) else ""
        if thing not in ENTITIES:
            return
        occurred_at = from_unix(change.get("occurredAt"), "ms", f"[{place}].occurredAt")
        match verb:
            case "propertyChange" | "creation" | "deletion" | "privacyDeletion" | "restore":
                yield from self._of_object(change, thing, verb, occurred_at, place)
            case "merge":
                yield from self._merge(change, thing, occurred_at, place)
            case "associationChange":
                yield from self._association(change, thing, occurred_at, place)

    def _of_object(
        self, change: Mapping[str, Any], thing: str, verb: str, occurred_at: datetime, place: int
    ) -> Iterator[Outgoing]:
        entity, words = ENTITIES[thing], self.words[thing]
        object_id = identifier(change.get("objectId"), f"[{place}].objectId")
        origin, subject = self._origin(change, object_id, occurred_at, place), words.subject(object_id)
        if verb in ("deletion", "privacyDeletion"):
            yield origin.event(entity, "deleted", subject)
        elif verb == "restore":
            yield origin.event(entity, "restored", subject)
        elif verb == "creation":
            yield _creation(origin, thing, subject, change)
        else:
            try:
                yield from _property(origin, thing, subject, change, words, place)
            except BadEventError as error:
                yield unreadable(origin, entity, subject, error)

    def _merge(
        self, change: Mapping[str, Any], thing: str, occurred_at: datetime, place: int
    ) -> Iterator[Outgoing]:
        """Every merged object is a loser; the winner is a new one, whose fields are not sent."""
        entity, words = ENTITIES[thing], self.words[thing]
        winner = identifier(
            change.get("newObjectId") or change.get("primaryObjectId"), f"[{place}].newObjectId"
        )
        merged = change.get("mergedObjectIds")
        if not isinstance(merged, list):
            raise BadEventError(
                "malformed", f"expected ids, found {kind_of(merged)}", path=f"[{place}].mergedObjectIds"
            )
        first = [change["primaryObjectId"]] if change.get("primaryObjectId") is not None else []
        losers = [identifier(one, f"[{place}].mergedObjectIds") for one in (*first, *merged)]
        for loser in dict.fromkeys(losers):
            if loser != winner:
                origin = self._origin(change, loser, occurred_at, place)
                if entity in ("opportunity", "account"):
                    yield origin.event(
                        entity, "merged", words.subject(loser), {"into": words.subject(winner)}
                    )
                else:
                    yield origin.event(entity, "deleted", words.subject(loser))
        yield self._origin(change, winner, occurred_at, place).resync(
            entity, words.subject(winner), f"made by merging {', '.join(losers)}; its fields are not sent"
        )

    def _association(
        self, change: Mapping[str, Any], thing: str, occurred_at: datetime, place: int
    ) -> Iterator[Outgoing]:
        """A deal's or an activity's company or deal: told by its own kind of change."""
        entity, words = ENTITIES[thing], self.words[thing]
        field = _LINKS.get((thing, _far_end(change)))
        if field is None or change.get("isPrimaryAssociation") is False:
            return
        near = identifier(change.get("fromObjectId"), f"[{place}].fromObjectId")
        far = identifier(change.get("toObjectId"), f"[{place}].toObjectId")
        origin, subject = self._origin(change, f"{near}>{far}", occurred_at, place), words.subject(near)
        if change.get("associationRemoved") is True:
            # A swap comes as a removal and an addition of one instant, in no order: clearing might win.
            yield origin.resync(
                entity, subject, f"its {field} was taken away, and what replaces it was not sent"
            )
        else:
            yield origin.event(entity, _verb(entity), subject, {field: self.settings.id_prefix + far})

    def _origin(self, change: Mapping[str, Any], object_id: str, occurred_at: datetime, place: int) -> Origin:
        portal = identifier(change.get("portalId"), f"[{place}].portalId")
        event_id = identifier(change.get("eventId"), f"[{place}].eventId")
        return Origin(
            source=f"/hubspot/{portal}",
            id=digest(
                change["subscriptionType"],
                object_id,
                change.get("propertyName"),
                event_id,
                identifier(change.get("occurredAt"), f"[{place}].occurredAt"),
            ),
            time=occurred_at,
            sequence=padded(event_id),
        )


_LINKS = {
    ("deal", "company"): "account_id",
    ("call", "company"): "account_id",
    ("meeting", "company"): "account_id",
    ("email", "company"): "account_id",
    ("call", "deal"): "opportunity_id",
    ("meeting", "deal"): "opportunity_id",
    ("email", "deal"): "opportunity_id",
}


def _far_end(change: Mapping[str, Any]) -> str:
    """What an association points at: `DEAL_TO_COMPANY`, or by number in the newer form."""
    number, name = change.get("toObjectTypeId"), change.get("associationType")
    if isinstance(number, str) and number in OBJECT_TYPES:
        return OBJECT_TYPES[number]
    return name.rpartition("_TO_")[2].lower() if isinstance(name, str) else ""


def _verb(entity: Entity) -> str:
    return "completed" if entity == "activity" else "changed"


def _creation(origin: Origin, thing: str, subject: str, change: Mapping[str, Any]) -> Outgoing:
    """A creation carries no fields: a deal was created then, an activity was logged."""
    del change
    entity = ENTITIES[thing]
    if entity == "opportunity":
        return origin.event(entity, "changed", subject, {"created_at": rfc3339(origin.time)})
    return origin.event(entity, _verb(entity), subject, {"kind": thing} if entity == "activity" else None)


def _property(
    origin: Origin, thing: str, subject: str, change: Mapping[str, Any], words: Vocabulary, place: int
) -> Iterator[Outgoing]:
    entity, name = ENTITIES[thing], change.get("propertyName")
    if not isinstance(name, str):
        raise BadEventError(
            "malformed", f"expected text, found {kind_of(name)}", path=f"[{place}].propertyName"
        )
    outcome, done = _OUTCOMES.get(thing, ("", ()))
    if name == outcome:
        held = change.get("propertyValue") in done
        yield origin.event(entity, "restored" if held else "deleted", subject)
        return
    data = words.stated({name: change.get("propertyValue")})
    if data:
        if entity == "activity":
            data.setdefault("kind", thing)
        yield origin.event(entity, _verb(entity), subject, data)

"""One invented history of deals, and how five systems tell it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Literal

from events.adapters.settings import (
    Adapter,
    DebeziumSettings,
    HubspotSettings,
    PipedriveSettings,
    SalesforceSettings,
)
from tests.events.adapters.payloads import TAIPEI, debezium, hubspot, pipedrive, property_change, salesforce

OPEN = ("Prospecting", "Qualification", "Needs Analysis", "Proposal", "Negotiation")
WON, LOST = "Closed Won", "Closed Lost"
START = datetime(2026, 1, 5, 1, tzinfo=UTC)

Deed = Literal["create", "edit", "merge", "delete", "restore"]


@dataclass(frozen=True)
class Step:
    """Something that happened to one deal. `changed` holds the new values of what changed, by our names."""

    at: datetime
    deal: str
    deed: Deed
    changed: dict[str, Any] = field(default_factory=dict)
    into: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    """All of the deal after the step; `before` all of it before."""
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def ms(self) -> int:
        """The instant, in Unix ms."""
        return round(self.at.timestamp() * 1000)


def history(deals: int, seed: int) -> list[Step]:
    """`deals` deals, created, moved, edited, won, lost, corrected, reopened, merged, deleted and restored."""
    random, steps, clock = Random(seed), [], count()
    states: dict[str, dict[str, Any]] = {}
    dead: set[str] = set()

    def now() -> datetime:
        return START + timedelta(minutes=37 * next(clock), milliseconds=random.randrange(60_000))

    def tell(at: datetime, deal: str, deed: Deed, into: str = "", **changed: Any) -> None:
        before = states.get(deal, {})
        states[deal] = before | changed
        steps.append(Step(at, deal, deed, changed, into, dict(states[deal]), dict(before)))

    def local_day(at: datetime, days: int = 0) -> str:
        return (at.astimezone(TAIPEI) + timedelta(days=days)).date().isoformat()

    def create(deal: str) -> None:
        at = now()
        tell(
            at, deal, "create", name=f"Deal {deal}", account_id=str(9000 + random.randrange(40)),
            owner_id=str(80 + random.randrange(7)), stage=random.choice(OPEN[:2]), amount=random.randrange(1, 900) * 1000,
            close_date=local_day(at, 60), type=random.choice(["new", "new", "expansion"]), created_at=at,
        )  # fmt: skip

    def live(deal: str) -> None:
        state, at = states[deal], now()
        closed = state["stage"] in (WON, LOST)
        match random.randrange(32):
            case number if number < 10 and not closed:
                tell(at, deal, "edit", stage=random.choice(OPEN))
            case 10 | 11 | 12 if not closed:
                tell(at, deal, "edit", amount=random.randrange(1, 900) * 1000, close_date=local_day(at, 30))
            case 13 | 14 | 15:
                tell(at, deal, "edit", owner_id=str(80 + random.randrange(7)))
            case number if 16 <= number < 24 and not closed:
                tell(at, deal, "edit", stage=random.choice([WON, WON, LOST]), close_date=local_day(at))
            case 24 | 25 | 26 if closed:  # reopened
                tell(at, deal, "edit", stage=random.choice(OPEN), close_date=local_day(at, 45))
            case 27 | 28 | 29 if closed:  # the close is corrected
                tell(at, deal, "edit", close_date=local_day(at, -random.randrange(1, 20)))
            case 30:
                tell(at, deal, "delete")
                dead.add(deal)
            case 31:
                loser, winner = deal, str(70_000 + len(states))
                other = random.choice([one for one in states if one not in dead])
                create(winner)
                for one in {loser, other}:
                    tell(now(), one, "merge", into=winner)
                    dead.add(one)

    for number in range(deals):
        create(str(50_000 + number))
        for _ in range(5):
            alive = [one for one in states if one not in dead]
            if alive:
                live(random.choice(alive))
        deleted = [step.deal for step in steps if step.deed == "delete" and step.deal in dead]
        if deleted and random.random() < 0.1:
            tell(now(), deleted[-1], "restore")
            dead.remove(deleted[-1])
    return [step for step in steps if step.changed or step.deed != "edit"]


def day_ms(day: str) -> int:
    """Midnight UTC of a date, in Unix ms."""
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def rfc(at: datetime) -> str:
    """The instant as RFC 3339, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Salesforce ------------------------------------------------------------------------------------------

_SALESFORCE_FIELDS = {
    "name": "Name", "account_id": "AccountId", "owner_id": "OwnerId", "stage": "StageName", "amount": "Amount",
    "close_date": "CloseDate", "type": "Type", "created_at": "CreatedDate",
}  # fmt: skip
_SALESFORCE_TYPES = {"new": "New Customer", "expansion": "Existing Customer - Upgrade"}


def by_salesforce(steps: list[Step]) -> Iterator[Any]:
    """Change events of the Pub/Sub API. Salesforce merges no opportunities: both are deleted."""

    def value(name: str, said: Any) -> Any:
        if name == "close_date":
            return day_ms(said)
        if name == "created_at":
            return round(said.timestamp() * 1000)
        return _SALESFORCE_TYPES[said] if name == "type" else said

    def fields(values: dict[str, Any]) -> dict[str, Any]:
        return {_SALESFORCE_FIELDS[name]: value(name, said) for name, said in values.items()}

    for number, step in enumerate(steps):
        place: dict[str, Any] = {
            "ids": (step.deal,), "at": step.ms, "transaction": f"tx-{number}", "commit": 10**18 + number,
        }  # fmt: skip
        match step.deed:
            case "create":
                yield salesforce("CREATE", **place, **fields(step.state))
            case "edit":
                changed = fields(step.changed)
                yield salesforce("UPDATE", changed=(*changed, "LastModifiedDate"), **place, **changed)
            case "delete" | "merge":
                yield salesforce("DELETE", **place)
            case "restore":
                yield salesforce("UNDELETE", **place, **fields(step.state))


# HubSpot ---------------------------------------------------------------------------------------------

_HUBSPOT_PROPERTIES = {
    "name": "dealname", "owner_id": "hubspot_owner_id", "stage": "dealstage", "amount": "amount",
    "close_date": "closedate", "type": "dealtype",
}  # fmt: skip
_HUBSPOT_STAGES = dict(
    zip(
        ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent",
         "closedwon", "closedlost"),
        (*OPEN, WON, LOST),
        strict=True,
    )
)  # fmt: skip
_HUBSPOT_TYPES = {"new": "newbusiness", "expansion": "existingbusiness"}


def by_hubspot(steps: list[Step]) -> Iterator[Any]:
    """Deliveries of webhooks: one change per property, and a company by association."""
    ids, stage_ids = count(1), {name: stage for stage, name in _HUBSPOT_STAGES.items()}

    def place(step: Step) -> dict[str, Any]:
        return {"objectId": int(step.deal), "occurredAt": step.ms, "eventId": next(ids)}

    def value(name: str, said: Any) -> str:
        if name == "close_date":
            return str(day_ms(said))
        return {"stage": stage_ids, "type": _HUBSPOT_TYPES}.get(name, {}).get(said, str(said))

    def changes(step: Step, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for name, said in values.items():
            if name in _HUBSPOT_PROPERTIES:
                yield property_change(_HUBSPOT_PROPERTIES[name], value(name, said), **place(step))
            elif name == "account_id":
                yield hubspot(
                    "deal.associationChange", **(place(step) | {"objectId": None}), associationType="DEAL_TO_COMPANY",
                    fromObjectId=int(step.deal), toObjectId=int(said), associationRemoved=False, isPrimaryAssociation=True,
                )  # fmt: skip

    for step in steps:
        match step.deed:
            case "create":
                yield [hubspot("deal.creation", **place(step))]
                yield list(changes(step, step.state))
            case "edit":
                yield list(changes(step, step.changed))
            case "merge":
                merged = {
                    "primaryObjectId": int(step.deal),
                    "mergedObjectIds": [],
                    "newObjectId": int(step.into),
                }
                yield [hubspot("deal.merge", **(place(step) | {"objectId": None}), **merged)]
            case "delete":
                yield [hubspot("deal.deletion", **place(step))]
            case "restore":
                yield [hubspot("deal.restore", **place(step))]


# Pipedrive -------------------------------------------------------------------------------------------

_PIPEDRIVE_STAGES = {str(number): name for number, name in enumerate(OPEN, 1)}


def by_pipedrive(steps: list[Step]) -> Iterator[Any]:
    """Webhooks of version 2: open stages by id, won and lost by status."""
    stage_ids = {name: int(number) for number, name in _PIPEDRIVE_STAGES.items()}

    def record(state: dict[str, Any], deal: str) -> dict[str, Any]:
        stage = state["stage"]
        status = {WON: "won", LOST: "lost"}.get(stage, "open")
        closed_at = f"{state['close_date']}T03:00:00Z"  # 11:00 in Taipei
        return {
            "id": int(deal), "title": state["name"], "org_id": int(state["account_id"]), "owner_id": int(state["owner_id"]),
            "stage_id": stage_ids.get(stage, 5), "status": status, "value": state["amount"], "currency": "TWD",
            "won_time": closed_at if status == "won" else None, "lost_time": closed_at if status == "lost" else None,
            "expected_close_date": None if status != "open" else state["close_date"],
            "add_time": rfc(state["created_at"]), "custom_fields": {"abc": {"type": "enum", "value": state["type"]}},
        }  # fmt: skip

    for number, step in enumerate(steps):
        place: dict[str, Any] = {"entity_id": step.deal, "at": rfc(step.at), "event_id": f"ev-{number}"}
        stamp = {"update_time": rfc(step.at)[:19] + "Z"}
        match step.deed:
            case "create":
                yield pipedrive("create", record(step.state, step.deal) | stamp, None, **place)
            case "edit":
                new, old = record(step.state, step.deal), record(step.before, step.deal)
                previous = {
                    name: old[name] for name in new if new[name] != old[name] and name != "custom_fields"
                }
                yield pipedrive("change", new | stamp, previous, **place)
            case "merge":
                yield pipedrive(
                    "delete", None, record(step.state, step.deal), merged_to_id=step.into, **place
                )
            case "delete":
                yield pipedrive("delete", None, record(step.state, step.deal), **place)
            case "restore":
                data = record(step.state, step.deal) | stamp | {"is_deleted": False}
                yield pipedrive("change", data, {"is_deleted": True}, **place)


# Debezium --------------------------------------------------------------------------------------------


def by_debezium(steps: list[Step]) -> Iterator[Any]:
    """Changes of a PostgreSQL table; every second update without a before-image, some values TOASTed."""
    lsns = count(24_000_000, 24)

    def row(state: dict[str, Any], deal: str, **marks: Any) -> dict[str, Any] | None:
        if not state:
            return None
        return {
            "id": int(deal), "title": state["name"], "account": int(state["account_id"]), "owner": int(state["owner_id"]),
            "phase": state["stage"].upper(), "amount": f"{state['amount']}.00", "kind": state["type"],
            "closes": (datetime.fromisoformat(state["close_date"]) - datetime(1970, 1, 1)).days,
            "born": round(state["created_at"].timestamp() * 1_000_000), "merged_into": None, "note": "x",
        } | marks  # fmt: skip

    for number, step in enumerate(steps):
        place: dict[str, Any] = {"lsn": next(lsns), "at": step.ms, "txId": number}
        before, after = row(step.before, step.deal), row(step.state, step.deal)
        match step.deed:
            case "create":
                yield debezium("c", None, after, **place)
            case "edit":
                assert after is not None
                if number % 2:
                    yield debezium("u", None, after, **place)
                else:
                    toasted = {"title": "__debezium_unavailable_value"} if "name" not in step.changed else {}
                    yield debezium("u", before, after | toasted, **place)
            case "merge":
                yield debezium("u", before, row(step.state, step.deal, merged_into=int(step.into)), **place)
            case "delete":
                yield debezium("d", before, None, **place)
            case "restore":
                yield debezium("c", None, after, **place)


# Canonical -------------------------------------------------------------------------------------------


def by_publisher(steps: list[Step]) -> Iterator[Any]:
    """Canonical events, as a system would publish that speaks the contract itself."""
    verbs = {
        "create": "changed",
        "edit": "changed",
        "merge": "merged",
        "delete": "deleted",
        "restore": "restored",
    }
    for number, step in enumerate(steps):
        values = step.state if step.deed == "create" else step.changed
        data = {name: rfc(said) if name == "created_at" else said for name, said in values.items()}
        if "amount" in data:
            data |= {"amount": str(data["amount"]), "currency": "TWD"}
        yield {
            "specversion": "1.0", "id": f"n-{number}", "source": "/crm/acme", "subject": step.deal, "time": rfc(step.at),
            "type": f"dealpulse.opportunity.{verbs[step.deed]}", "data": {"into": step.into} if step.into else data,
        }  # fmt: skip


TELLERS: dict[str, tuple[Callable[[list[Step]], Iterator[Any]], Adapter | None]] = {
    "publisher": (by_publisher, None),
    "salesforce": (by_salesforce, SalesforceSettings(currency="TWD")),
    "hubspot": (
        by_hubspot,
        HubspotSettings.model_validate({"currency": "TWD", "opportunity": {"values": {"stage": _HUBSPOT_STAGES}}}),
    ),
    "pipedrive": (
        by_pipedrive,
        PipedriveSettings.model_validate(
            {"stages": _PIPEDRIVE_STAGES, "opportunity": {"fields": {"custom_fields.abc": "type"}}}
        ),
    ),
    "debezium": (
        by_debezium,
        DebeziumSettings.model_validate(
            {
                "currency": "TWD",
                "tables": {
                    "deals": {
                        "entity": "opportunity",
                        "columns": {
                            "title": "name", "account": "account_id", "owner": "owner_id", "phase": "stage",
                            "amount": "amount", "kind": "type", "closes": "close_date", "born": "created_at",
                        },
                        "values": {"stage": {name.upper(): name for name in (*OPEN, WON, LOST)}},
                        "merged_into_column": "merged_into",
                    }
                },
            }
        ),
    ),
}  # fmt: skip


def deliveries(system: str, steps: list[Step]) -> list[bytes]:
    """What a system sends of a history."""
    teller, _ = TELLERS[system]
    return [json.dumps(one).encode() for one in teller(steps)]

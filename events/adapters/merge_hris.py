"""Merge-like HRIS webhooks: each carries the employee as it is now, where the HR system tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, mapping_at, read_document
from .fields import Dialect
from .instants import day_of, instant_of, rfc3339, stated_date
from .outgoing import Outgoing
from .settings import MergeSettings
from .statement import Origin, Vocabulary, unreadable, vocabulary

_FIELDS: Mapping[str, str] = {
    "display_full_name": "name",
    "start_date": "hired_on",
    "team": "team",
    "manager": "manager_id",
}
# What holds from a day on; `effective_on` is stated with these alone.
_DATED = ("role", "team", "manager_id", "on_leave")


@dataclass(frozen=True)
class Merge:
    """The translator of one linked account. `zone` is the company's: a change without a date counts there."""

    settings: MergeSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one delivery; none for anything but employees.

        Raises `BadEventError` if it is no such webhook. An employee whose values cannot be read is
        marked for resync.
        """
        del key
        document = read_document(body)
        event = mapping_at(document, "hook").get("event")
        if not isinstance(event, str):
            raise BadEventError("malformed", f"expected text, found {kind_of(event)}", path="hook.event")
        thing, _, verb = event.lower().partition(".")
        if thing != "employee" or verb not in ("added", "changed", "removed"):
            return []
        account, data = mapping_at(document, "linked_account"), mapping_at(document, "data")
        return list(self._events(event, verb, account, data))

    @cached_property
    def words(self) -> Vocabulary:
        """The built-in words with the company's own laid over them."""
        return vocabulary(
            "employee",
            self.settings.employee,
            fields=_FIELDS,
            values={"team": self.settings.teams},
            dialect=Dialect(date=stated_date),
            id_prefix=self.settings.id_prefix,
            currency="",
        )

    def _events(
        self, event: str, verb: str, account: Mapping[str, Any], data: Mapping[str, Any]
    ) -> Iterator[Outgoing]:
        modified_at = instant_of(data.get("modified_at"), "data.modified_at")
        own_id = identifier(data.get("id"), "data.id")
        subject = self.words.subject(self._id_of(data, "data"))
        origin = Origin(
            source=f"/merge/{identifier(account.get('id'), 'linked_account.id')}",
            id=f"{own_id}:{identifier(data.get('modified_at'), 'data.modified_at')}:{event}",
            time=modified_at,
        )
        if verb == "removed" or data.get("remote_was_deleted") is True:
            yield origin.event("employee", "deleted", subject)
            return
        try:
            stated, earlier = self._stated(data, modified_at)
            if stated:
                yield origin.event("employee", "changed", subject, stated)
            for place, one in enumerate(earlier):
                yield origin.event("employee", "changed", subject, one, part=str(place))
        except BadEventError as error:
            yield unreadable(origin, "employee", subject, error)
            return
        if str(data.get("employment_status")).upper() == "INACTIVE" and not data.get("termination_date"):
            yield origin.resync("employee", subject, "inactive, and the last day was not sent")

    def _stated(
        self, data: Mapping[str, Any], modified_at: datetime
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What is said of the employee now, and the roles of earlier employments, each from its day."""
        row = {name: value for name, value in data.items() if value is not None}
        for name in ("team", "manager"):
            if isinstance(row.get(name), dict):
                row[name] = self._expanded(name, row[name])
        employments = _employments(data)
        roles = [self._role(one, modified_at) for one in employments]
        stated = self.words.stated(row)
        if "termination_date" in data:
            last = data["termination_date"]
            stated["left_on"] = stated_date(last, "data.termination_date") if last else None
        if roles:
            stated |= roles[-1]
        if any(field in stated for field in _DATED):
            stated.setdefault("effective_on", day_of(modified_at, self.zone))
        return stated, [one for one in roles[:-1] if "role" in one]

    def _role(self, employment: Mapping[str, Any], modified_at: datetime) -> dict[str, Any]:
        day = employment.get("effective_date")
        effective = (
            stated_date(day, "data.employments.effective_date") if day else day_of(modified_at, self.zone)
        )
        title = employment.get("job_title")
        if not title:
            return {"effective_on": effective}
        roles = self.words.values.get("role", {})
        said = identifier(title, "data.employments.job_title")
        role = roles.get(said, roles.get("*", said))
        return {"effective_on": effective} | ({"role": role} if role else {})

    def _id_of(self, person: Mapping[str, Any], path: str) -> str:
        if self.settings.subject == "remote_id" and person.get("remote_id"):
            return identifier(person["remote_id"], f"{path}.remote_id")
        return identifier(person.get("id"), f"{path}.id")

    def _expanded(self, name: str, thing: Mapping[str, Any]) -> str:
        """A team or a manager sent as a whole record instead of an id."""
        if name == "manager":
            return self._id_of(thing, "data.manager")
        return identifier(thing.get("name") or thing.get("id"), "data.team")


def _employments(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The employments sent as records (not as ids), oldest first; those without a day come first."""
    listed = data.get("employments")
    records = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return sorted(records, key=_begins)


def _begins(employment: Mapping[str, Any]) -> str:
    day = employment.get("effective_date")
    return (
        rfc3339(instant_of(f"{stated_date(day, 'data.employments.effective_date')}T00:00:00Z", ""))
        if day
        else ""
    )

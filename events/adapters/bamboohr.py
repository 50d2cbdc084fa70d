"""BambooHR webhooks: event-based ones that only point at a change, field-based ones that carry it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, mapping_at, read_document
from .fields import Dialect
from .instants import instant_of
from .outgoing import Outgoing
from .settings import BamboohrSettings
from .statement import Origin, Vocabulary, digest, unreadable, vocabulary

# Names as BambooHR's API spells them, in lower case and without blanks: "Hire Date" is hiredate.
_FIELDS: Mapping[str, str] = {
    "displayname": "name",
    "fullname1": "name",
    "hiredate": "hired_on",
    "terminationdate": "left_on",
    "terminationtype": "leave_kind",
    "department": "team",
    "jobtitle": "role",
    "supervisoreid": "manager_id",
    "supervisorid": "manager_id",
}
_VALUES: Mapping[str, Mapping[str, str]] = {
    "leave_kind": {
        "Voluntary": "voluntary",
        "Resignation (Voluntary)": "voluntary",
        "Involuntary": "involuntary",
        "Termination (Involuntary)": "involuntary",
        "*": "other",
    }
}
_NAME_PARTS = ("firstname", "lastname")
_NO_DATE = "0000-00-00"
_LONGEST_LIST = 1_000


@dataclass(frozen=True)
class Bamboohr:
    """The translator of one BambooHR company."""

    settings: BamboohrSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one delivery; none if nothing that dealpulse keeps has changed.

        Raises `BadEventError` if the body is neither kind of BambooHR webhook. An employee whose
        values cannot be read is marked for resync.
        """
        del key
        document = read_document(body)
        if isinstance(document, dict) and isinstance(document.get("employees"), list):
            employees = document["employees"]
            if len(employees) > _LONGEST_LIST:
                raise BadEventError(
                    "malformed", f"{len(employees)} employees in one delivery; at most {_LONGEST_LIST}"
                )
            return [
                outgoing
                for place, one in enumerate(employees)
                for outgoing in self._employee(one, f"employees[{place}]")
            ]
        return list(self._thin(document))

    @cached_property
    def words(self) -> Vocabulary:
        """The built-in words with the company's own laid over them, names folded as `_folded` does."""
        own = self.settings.employee
        return vocabulary(
            "employee",
            own.model_copy(update={"fields": {_folded(theirs): ours for theirs, ours in own.fields.items()}}),
            fields=_FIELDS,
            values=_VALUES,
            dialect=Dialect(),
            id_prefix=self.settings.id_prefix,
            currency="",
        )

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        return {_folded(field): source for field, source in self.settings.aliases.items()}

    def _follows(self, field: str) -> bool:
        return bool(self.words.fields.get(field)) or field in _NAME_PARTS or field in self._aliases

    def _thin(self, document: Any) -> Iterator[Outgoing]:
        """An event-based body says who changed and in what, never to what."""
        data = mapping_at(document, "data")
        kind = document.get("type")
        if not isinstance(kind, str):
            raise BadEventError("malformed", f"expected text, found {kind_of(kind)}", path="type")
        employee_id = identifier(data.get("employeeId"), "data.employeeId")
        changed = _names(data.get("changedFields"), "data.changedFields")
        origin = self._origin(
            data.get("companyId"),
            "data.companyId",
            kind,
            employee_id,
            document.get("timestamp"),
            changed,
            None,
        )
        subject = self.words.subject(employee_id)
        if kind == "employee.deleted":
            yield origin.event("employee", "deleted", subject)
        elif kind == "employee.created":
            yield origin.resync("employee", subject, "created; its fields are not sent")
        elif kind == "employee.updated":
            followed = [name for name in changed if self._follows(_folded(name))]
            if followed or not changed:
                yield origin.resync(
                    "employee", subject, f"changed: {', '.join(followed) or 'not said in what'}"
                )

    def _employee(self, item: Any, path: str) -> Iterator[Outgoing]:
        """One employee of a field-based body."""
        if not isinstance(item, dict):
            raise BadEventError("malformed", f"expected an employee, found {kind_of(item)}", path=path)
        employee_id = identifier(item.get("id"), f"{path}.id")
        action = str(item.get("action") or "Updated").lower()
        changed = _names(item.get("changedFields"), f"{path}.changedFields")
        fields = item.get("fields")
        values = (
            {_folded(name): _bare(value) for name, value in fields.items()}
            if isinstance(fields, dict)
            else {}
        )
        origin = self._origin(
            self.settings.company or "-",
            "company",
            action,
            employee_id,
            item.get("timestamp"),
            changed,
            values,
        )
        subject = self.words.subject(employee_id)
        if action == "deleted":
            yield origin.event("employee", "deleted", subject)
            return
        told = {_folded(name) for name in changed} if changed else set(values)
        unsent = [name for name in sorted(told) if self._follows(name) and name not in values]
        try:
            data = self.words.stated({name: values[name] for name in values if name in told})
            data |= self._name(values, told) | self._known_as(values, told)
            if data:
                yield origin.event("employee", "changed", subject, data)
        except BadEventError as error:
            yield unreadable(origin, "employee", subject, error)
            return
        if unsent or (not values and not changed):
            yield origin.resync(
                "employee", subject, f"changed, and not sent: {', '.join(unsent) or 'any field'}"
            )

    def _name(self, values: Mapping[str, Any], told: set[str]) -> dict[str, str]:
        if any(self.words.fields.get(field) == "name" for field in told & set(values)):
            return {}
        parts = [str(values[part]).strip() for part in _NAME_PARTS if values.get(part)]
        return {"name": " ".join(parts)[:255]} if parts and told & set(_NAME_PARTS) else {}

    def _known_as(self, values: Mapping[str, Any], told: set[str]) -> dict[str, list[str]]:
        """All aliases that the body carries, as soon as one has changed: the newest list stands as a whole."""
        if not told & set(self._aliases):
            return {}
        carried = [(source, values.get(field)) for field, source in self._aliases.items()]
        return {
            "aliases": [f"{source}:{str(user).strip()}" for source, user in carried if user not in (None, "")]
        }

    def _origin(
        self,
        company: Any,
        company_path: str,
        kind: str,
        employee_id: str,
        timestamp: Any,
        changed: tuple[str, ...],
        values: Mapping[str, Any] | None,
    ) -> Origin:
        return Origin(
            source=f"/bamboohr/{identifier(company, company_path)}",
            id=digest(kind, employee_id, str(timestamp), changed, values),
            time=instant_of(timestamp, "timestamp"),
        )


def _folded(name: str) -> str:
    """A field's name without case and blanks: bodies use either the label or the API's name."""
    return name.replace(" ", "").lower()


def _bare(value: Any) -> Any:
    bare = value.get("value") if isinstance(value, dict) else value
    return None if bare == _NO_DATE else bare


def _names(names: Any, path: str) -> tuple[str, ...]:
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadEventError("malformed", f"expected names of fields, found {kind_of(names)}", path=path)
    return tuple(names)

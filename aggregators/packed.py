"""A company of statements as shards keep them: packed, and read when somebody asks for their entity.

A million activities are some 500 bytes each so, and four times that as events; they are read once for
what is kept of them (`Company.each`), and not again.
"""

from collections.abc import Iterable, Iterator

from aggregators.company import Company, Entity
from aggregators.meaning import Meaning
from aggregators.state import PlainState, Statement
from events.topics import topic_of


class PackedCompany(Company):
    """Its entities come by `take`; opportunities are in tables (`tabled`)."""

    def __init__(self, meaning: Meaning) -> None:
        super().__init__(meaning)
        self._packed: dict[str, PlainState] = {}

    def take(self, kind: str, statements: Iterable[Statement]) -> None:
        """Take in statements about entities of a kind. Any order, any repetition gives the same company."""
        state = self._packed.get(kind)
        if state is None:
            state = self._packed[kind] = PlainState(topic_of(kind), 0, 1, "murmur2", self.meaning)
        opened = self._entities[kind]
        for subject in map(bytes.decode, state.take(statements)):
            opened.pop(subject, None)
            self._has_changed(kind, subject)

    def find(self, kind: str, entity_id: str) -> Entity | None:
        """The entity of that id, dead or alive; None if nothing was ever said of it."""
        if kind not in self._packed:
            return super().find(kind, entity_id)
        entity = self._entities[kind].get(entity_id)
        if entity is None:
            entity = self._apart(kind, entity_id)
            if not entity.events:
                return None
            self._entities[kind][entity_id] = entity
        return entity

    def all(self, kind: str) -> Iterator[Entity]:
        """Every entity of a kind, dead ones too, by id."""
        return (entity for entity_id in sorted(self._ids(kind)) if (entity := self.find(kind, entity_id)))

    def _kinds(self) -> Iterable[str]:
        return self._packed.keys() | self._entities.keys()

    def _ids(self, kind: str) -> Iterable[str]:
        return self._packed[kind].subjects() if kind in self._packed else super()._ids(kind)

    def _apart(self, kind: str, entity_id: str) -> Entity:
        if kind not in self._packed:
            return super()._apart(kind, entity_id)
        return Entity.of(kind, entity_id, self._packed[kind].events_of(entity_id))

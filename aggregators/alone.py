"""A question about one record: of all opportunities only that one is looked at.

What an opportunity adds to a figure hardly ever depends on other opportunities. So one record's story need not
walk over all of them again for each KPI and window.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from aggregators.ask import Ask
from aggregators.calendar import LAST_DAY, Span
from aggregators.company import Company, Entity
from aggregators.kpi import Kpi
from aggregators.kpis import plug_ins
from aggregators.opportunity import Deal, Opportunity
from aggregators.question import Question

_OF_OTHERS: Final = frozenset({"referrals", "ramp_up", "ramping_reps"})
"""Of a pair the first referral counts; a rep's clock ends with his first deal, whichever that is."""


class AskAlone(Ask):
    """A question to a company with one opportunity, or none; everything else is as it is."""

    def __init__(self, company: Company, question: Question, entity: Entity) -> None:
        super().__init__(company, question)
        is_deal = entity.kind == "opportunity" and bool(entity.statements)
        self._told = [Opportunity(company, entity)] if is_deal else []
        self._alive = self._told if entity.alive else []

    def histories(self, start_ms: int, end_ms: int) -> Sequence[Opportunity]:
        """The one, whenever it was open."""
        del start_ms, end_ms
        return self._told

    def stays(self, window: Span, start_ms: int, end_ms: int) -> Iterator[tuple[str, Deal, Deal, str | None]]:
        """None: `histories` has it."""
        del window, start_ms, end_ms
        return iter(())

    @property
    def deals(self) -> Sequence[Deal]:
        """The one as it stands at the as-of instant, if it is there."""
        return self.deals_at(self.as_of_ms)

    @property
    def latest_deals(self) -> Sequence[Deal]:
        """The one as it stands at last."""
        return self.deals_at(self.calendar.end_ms(LAST_DAY))

    def deals_at(self, instant_ms: int) -> list[Deal]:
        """The one at any other instant."""
        found = (opportunity.at(instant_ms, self.rates) for opportunity in self._alive)
        return [deal for deal in found if deal is not None]


def ask_about(entity: Entity, company: Company, question: Question, kpi: Kpi) -> Ask:
    """What gives all that a record adds to a KPI: alone where that is enough, else the whole company."""
    by_purchases = company.meaning.kpis.customer_basis == "purchases"
    if by_purchases or kpi.name in _OF_OTHERS or kpi in plug_ins():
        return Ask(company, question)
    return AskAlone(company, question, entity)

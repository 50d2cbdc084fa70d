"""A question put to a company: all that a KPI file needs to list its contributions."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NoReturn

from aggregators.accounts import Accounts
from aggregators.calendar import LAST_DAY, Span
from aggregators.company import Company
from aggregators.kpi import UNASSIGNED
from aggregators.money import Rates
from aggregators.opportunity import Deal, Opportunity
from aggregators.people import People
from aggregators.question import Question
from events.errors import DealpulseError


class NotOfferedError(DealpulseError):
    """A KPI asks for what a running system does not hold; the message says what to use in its place."""


class Ask:
    """One question at one instant. Everything in it is as of `as_of_ms`, with today's knowledge (F2)."""

    def __init__(self, company: Company, question: Question) -> None:
        self.company, self.question = company, question
        self.meaning, self.calendar = company.meaning, company.calendar
        self.as_of_ms = question.as_of_ms
        self.as_of_on = self.calendar.day(self.as_of_ms)
        self.now_on = self.as_of_on if question.now_ms is None else self.calendar.day(question.now_ms)
        self.attribution = question.attribution or self.meaning.kpis.attribution
        self.people = company.derived(People, lambda: People(company), "employee")
        self.accounts = company.derived(Accounts, lambda: Accounts(company), "account")
        self.rates = company.derived(
            (Rates, self.now_on), lambda: Rates(company, today=self.now_on), "fx_rate"
        )

    @property
    def opportunities(self) -> NoReturn:
        """Nothing: an exporter holds deals in tables, so that a KPI would be right on files and empty live."""
        raise NotOfferedError(
            "ask.opportunities is not offered to KPIs: use ask.deals (each opportunity as of the instant), "
            "ask.deals_at(instant_ms) for another instant, or ask.histories(start_ms, end_ms)"
        )

    def _living(self) -> Sequence[Opportunity]:
        """Every living opportunity with its whole history, by id: of a company without tables."""
        return self.company.derived(
            Opportunity,
            lambda: [Opportunity(self.company, entity) for entity in self.company.living("opportunity")],
        )

    def histories(self, start_ms: int, end_ms: int) -> Sequence[Opportunity]:
        """Opportunities with their whole history, deleted and merged ones too: for the waterfall.

        All that were open at any instant from `start_ms` to `end_ms` are there, unless `stays` has them;
        others may be.
        """
        if self.company.tabled is not None:
            return self.company.tabled.histories(self, start_ms, end_ms)
        return self.company.derived(
            "histories",
            lambda: [
                Opportunity(self.company, entity)
                for entity in self.company.all("opportunity")
                if entity.statements
            ],
        )

    def stays(self, window: Span, start_ms: int, end_ms: int) -> Iterator[tuple[str, Deal, Deal, str | None]]:
        """What fact tables already know of the waterfall: how a deal came, as what, left as what, and how."""
        tabled = self.company.tabled
        return iter(()) if tabled is None else tabled.stays(self, window, start_ms, end_ms)

    @property
    def deals(self) -> Sequence[Deal]:
        """Every opportunity that exists at the as-of instant, as it stands then, by id."""
        tabled = self.company.tabled
        key = (Deal, self.as_of_ms, self.now_on, tabled and tabled.version)
        return self.company.derived(key, lambda: self.deals_at(self.as_of_ms))

    @property
    def latest_deals(self) -> Sequence[Deal]:
        """The same as they stand at last, whatever the as-of instant: today's knowledge (F7)."""
        tabled = self.company.tabled
        key = (Deal, "latest", self.now_on, tabled and tabled.version)
        return self.company.derived(key, lambda: self.deals_at(self.calendar.end_ms(LAST_DAY)))

    def deals_at(self, instant_ms: int) -> list[Deal]:
        """The same for any other instant, priced as of that instant; not kept."""
        if self.company.tabled is not None:
            return self.company.tabled.deals_at(self, instant_ms)
        found = (opportunity.at(instant_ms, self.rates) for opportunity in self._living())
        return [deal for deal in found if deal is not None]

    def trailing_12m(self, until: date) -> Span:
        """The twelve months that end on a day."""
        return self.calendar.windows("trailing_12m", until)[0][1]

    def by(self, rep: str | None, on: date | None, **labels: str | None) -> tuple[str, ...]:
        """The labels of a record for the dimensions asked for, `unassigned` where there is none (F15).

        `rep` is the employee who gets the credit, `on` the day that decides his team and manager
        (G5); with `attribution = "current"` that is the as-of day. `labels` are the other dimensions.
        """
        on = self.as_of_on if self.attribution == "current" or on is None else on
        found: list[str | None] = []
        for dimension in self.question.by:
            if dimension == "rep":
                found.append(rep)
            elif dimension == "team":
                found.append(self.people.team(rep, on))
            elif dimension == "manager":
                found.append(self.people.manager(rep, on))
            else:
                found.append(labels[dimension])
        return tuple(label or UNASSIGNED for label in found)

    def by_deal(self, deal: Deal, rep: str | None, on: date | None) -> tuple[str, ...]:
        """The labels of a deal that counts for `rep` on the day `on`."""
        if not self.question.by:
            return ()
        account = self.accounts.find(deal.account_id)
        segment, region = (account.newest("segment"), account.newest("region")) if account else (None, None)
        return self.by(
            rep,
            on,
            type=deal.type,
            pipeline=deal.pipeline,
            currency=deal.currency,
            segment=segment,
            region=region,
            lead_source=deal.lead_source,
            stage=deal.stage_label,
        )

"""The companies to choose from, as plain values.

Figures are per rep and per 28 days, which always hold twenty weekdays, so that no calendar month
looks busier than another by its length.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Company:
    """A simulated company: what it sells to whom, and how it fares."""

    slug: str
    name: str
    created_per_rep_28d: float
    """New opportunities per planned rep in 28 days."""
    yearly_growth: float
    """Growth of the planned number of reps in a year, as a share."""
    yearly_attrition: float
    """Share of the reps that leave within a year."""
    yearly_churn: float
    """Share of contracts that are not renewed at their end."""
    deal_amount: float
    """Median amount of a deal, in USD, before the segment's factor."""
    dries_up: bool
    """Whether new opportunities cease from some day on."""


SAULS_DOLLS = Company(
    slug="sauls-dolls",
    name="Saul's Dolls",
    created_per_rep_28d=8.0,
    yearly_growth=0.25,
    yearly_attrition=0.15,
    yearly_churn=0.12,
    deal_amount=9_000.0,
    dries_up=False,
)

JOYS_TOYS = Company(
    slug="joys-toys",
    name="Joy's Toys",
    created_per_rep_28d=7.0,
    yearly_growth=0.0,
    yearly_attrition=0.22,
    yearly_churn=0.20,
    deal_amount=7_000.0,
    dries_up=True,
)

COMPANIES = {company.slug: company for company in (SAULS_DOLLS, JOYS_TOYS)}

DRYING_DAYS = 42
"""How long it takes from the first day of fewer new opportunities to the day of none."""

"""The configuration that gives events their meaning: company, pipelines, thresholds.

Plain frozen values. The command line reads them from `dealpulse.toml` and passes them down; nothing
here knows where they came from.
"""

import hashlib
from datetime import date
from functools import cached_property
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from events.currencies import EXPONENTS

StageKind = Literal["open", "won", "lost", "omitted"]
ForecastCategory = Literal["omitted", "pipeline", "best_case", "commit", "closed"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Company(_Section):
    """Who the company is: its zone, currency, calendar and hours."""

    name: str = Field("dealpulse", description="Shown on boards.")
    timezone: str = Field("UTC", description="IANA zone; it decides every period boundary.")
    currency: str = Field("USD", pattern="^[A-Z]{3}$", description="The reporting currency (ISO 4217).")
    fiscal_year_start_month: int = Field(1, ge=1, le=12, description="First month of the fiscal year.")
    fiscal_year_named_by: Literal["start", "end"] = Field(
        "end", description="Which calendar year names a fiscal year: the one it starts or ends in."
    )
    calendar: Literal["gregorian", "4-4-5"] = Field("gregorian", description="Calendar of fiscal periods.")
    sales_roles: tuple[str, ...] = Field(("sales",), description="Employee roles that make a rep.")
    holidays: tuple[date, ...] = Field((), description="With Saturdays and Sundays no business days.")
    office_hours: str = Field(
        "09:00-18:00", pattern=r"^\d\d:\d\d-\d\d:\d\d$", description="Local working hours, from-until."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone such as 'Asia/Taipei'") from error
        return name

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, code: str) -> str:
        if code not in EXPONENTS:  # nothing could be converted into it: every amount would be unpriced
            raise ValueError(f"{code!r} is no currency of ISO 4217 such as 'TWD'")
        return code

    @cached_property
    def zone(self) -> ZoneInfo:
        """The company's time zone."""
        return ZoneInfo(self.timezone)


class Stage(_Section):
    """One step of a pipeline."""

    name: str = Field(min_length=1, max_length=255, description="As the CRM writes it.")
    kind: StageKind = Field("open", description="open, won, lost or omitted (in no ratio).")
    probability: float = Field(0.0, ge=0, le=1, description="Chance of winning, 0 to 1; six decimals.")
    forecast_category: ForecastCategory = Field("pipeline", description="Forecast category of deals in it.")
    stalled_after_days: int | None = Field(None, ge=0, description="Idle days until stalled; absent: never.")

    @field_validator("probability")
    @classmethod
    def _six_decimals(cls, stated: float) -> float:
        return round(stated, 6)  # as an event's is read, so that both roads weigh with the same number


class Pipeline(_Section):
    """The ordered stages that a deal passes."""

    stages: tuple[Stage, ...] = Field(min_length=1, description="In order; only open stages are ordered.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stage {twice[0]!r} is listed twice")
        return self


class KpiSettings(_Section):
    """Every threshold of the KPI definitions."""

    renewal_grace_days: int = Field(30, ge=0, description="A renewal within it is continuous.")
    rehire_grace_days: int = Field(30, ge=0, description="A rehire within it is continuous.")
    tenure_months: int = Field(12, ge=1, description="T of the tenure readings of rep retention.")
    clv_margin: float = Field(1.0, ge=0, description="Margin of projected customer lifetime value.")
    clv_cap_years: int = Field(5, ge=1, description="Cap of projected customer lifetime value.")
    clv_min_customers: int = Field(20, ge=1, description="k: fewer customers give no projection.")
    freeze_after_business_days: int = Field(4, ge=0, description="As-reported figures freeze then.")
    fx_max_age_days: int = Field(7, ge=0, description="A rate older than this does not price.")
    fx_pivot: str = Field("", description="A currency through which others may be converted.")
    attribution: Literal["at_the_time", "current"] = Field(
        "at_the_time", description="Teams and managers of the day, or of the as-of day."
    )
    customer_basis: Literal["contracts", "purchases"] = Field(
        "contracts", description="What makes a customer: contracts in force, or purchases."
    )
    purchase_active_days: int = Field(365, ge=1, description="How long a purchase keeps a customer active.")
    customer_level: Literal["account", "parent"] = Field(
        "account", description="A customer is the account, or the top of its parents."
    )


def _plain_pipeline() -> dict[str, Pipeline]:
    stage = Stage
    return {
        "default": Pipeline(
            stages=(
                stage(name="Prospecting", probability=0.10, stalled_after_days=21),
                stage(name="Qualification", probability=0.20, stalled_after_days=21),
                stage(name="Needs Analysis", probability=0.35, stalled_after_days=21),
                stage(
                    name="Proposal", probability=0.55, forecast_category="best_case", stalled_after_days=14
                ),
                stage(
                    name="Negotiation", probability=0.80, forecast_category="commit", stalled_after_days=14
                ),
                stage(name="Closed Won", kind="won", probability=1.0, forecast_category="closed"),
                stage(name="Closed Lost", kind="lost", forecast_category="omitted"),
                stage(name="Disqualified", kind="omitted", forecast_category="omitted"),
            )
        )
    }


class Meaning(_Section):
    """Everything that the figures depend on, apart from the events."""

    company: Company = Company()
    pipelines: dict[str, Pipeline] = Field(default_factory=_plain_pipeline)
    kpis: KpiSettings = KpiSettings()

    @cached_property
    def stages(self) -> dict[tuple[str, str], tuple[int, Stage]]:
        """`(pipeline, stage name)` -> (order within the pipeline's open stages or -1, the stage)."""
        found: dict[tuple[str, str], tuple[int, Stage]] = {}
        for pipeline, definition in self.pipelines.items():
            order = 0
            for stage in definition.stages:
                if stage.kind == "open":
                    found[pipeline, stage.name] = (order, stage)
                    order += 1
                else:
                    found[pipeline, stage.name] = (-1, stage)
        return found

    @cached_property
    def digest(self) -> str:
        """A short digest that differs whenever a setting that figures depend on does: not name or hours."""
        stated = self.model_dump_json(exclude={"company": {"name", "office_hours"}})
        return hashlib.sha256(stated.encode()).hexdigest()[:16]

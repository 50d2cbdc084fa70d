"""The settings of the view: the exporter, the alerts' thresholds, the wall."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from events.duration import Duration
from events.listen import Listen


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


TrailingDays = Annotated[str, Field(pattern=r"^trailing_[1-9][0-9]{0,3}d$")]
"""A window of the last N days, such as `trailing_90d`."""


class ExporterSettings(_Section):
    """What is published, and how old it may be."""

    listen: Listen = Field("127.0.0.1:8402", description="Metrics, API and boards; port 0: any free one.")
    public_url: str = Field("", description="The address people use, for links; empty: the listening one.")
    refresh: Duration = Field(1.0, gt=0, description="Figures are evaluated anew at most so often.")
    max_staleness: Duration = Field(600.0, description="Older figures are left out of /metrics.")
    series_limit: int = Field(
        100_000, ge=0, description="Beyond it all series by rep are left out, and counted as suppressed."
    )
    rep_series: bool = Field(True, description="Whether there are series by rep at all.")
    rep_names: bool = Field(False, description="Whether dealpulse_rep_info tells the names of reps.")
    native_money: bool = Field(False, description="Whether amounts are shown in their own currencies too.")
    extra_windows: tuple[TrailingDays, ...] = Field(
        (), max_length=2, description="At most two more windows, such as trailing_90d."
    )


class Threshold(_Section):
    """When a sales alert fires; what an alert does not use stays empty."""

    ratio: float | None = Field(None, ge=0, description="A share or a factor.")
    samples: int | None = Field(None, ge=0, description="A number of records.")
    days: float | None = Field(None, gt=0, description="A length of time in days.")


def _at(
    alert: str, *, ratio: float | None = None, samples: int | None = None, days: float | None = None
) -> Threshold:
    default = Threshold(ratio=ratio, samples=samples, days=days)
    described: Threshold = Field(default, alias=alert, description=f"The thresholds of the alert {alert}.")
    return described


class AlertSettings(_Section):
    """The thresholds of the sales alerts, by the alert's name; Prometheus need not be touched."""

    sales_pipeline_stalled: Threshold = _at("SalesPipelineStalled", ratio=0.3)
    sales_pipeline_drying_up: Threshold = _at("SalesPipelineDryingUp", ratio=0.6, samples=12)
    pipeline_coverage_low: Threshold = _at("PipelineCoverageLow", ratio=2.0)
    new_opportunities_behind: Threshold = _at("NewOpportunitiesBehind", ratio=0.7)
    win_rate_drop: Threshold = _at("WinRateDrop", ratio=0.2, samples=20)
    target_pace_behind: Threshold = _at("TargetPaceBehind", ratio=0.8)
    customer_churn_spike: Threshold = _at("CustomerChurnSpike", ratio=2.0, samples=3)
    contracts_expiring_unrenewed: Threshold = _at("ContractsExpiringUnrenewed", samples=0)
    stalled_deals_rep: Threshold = _at("StalledDealsRep", samples=10)
    ramp_up_overdue: Threshold = _at("RampUpOverdue", days=30.0)

    @model_validator(mode="before")
    @classmethod
    def _keep_what_is_not_named(cls, given: object) -> object:
        """`WinRateDrop = {ratio = 0.25}` leaves its `samples` as they are."""
        if not isinstance(given, dict):
            return given
        merged = dict(given)
        for name, field in cls.model_fields.items():
            alert = field.alias or name
            stated = given.get(alert)
            if not isinstance(stated, dict):
                continue
            default = field.default.model_dump(exclude_none=True)
            useless = sorted(set(stated) - set(default))
            if useless:
                raise ValueError(f"{alert} has no {useless[0]!r}: it takes {', '.join(default)}")
            merged[alert] = default | stated
        return merged

    def by_alert(self) -> dict[str, Threshold]:
        """The thresholds, by the alert's name as Prometheus shows it."""
        fields = type(self).model_fields
        return {field.alias or name: getattr(self, name) for name, field in fields.items()}


class WallboardSettings(_Section):
    """What the wall shows where its address does not say it."""

    lang: Literal["en", "zh-TW"] = Field("en", description="The language.")
    theme: Literal["dark", "light", "auto"] = Field("dark", description="The colours.")
    rotate: Duration = Field(20.0, gt=0, description="How long a page stays.")
    sound: bool = Field(False, description="Whether a win is heard.")
    motion: bool = Field(True, description="Whether a win brings confetti and pages slide.")
    win_card: Duration = Field(8.0, description="How long a win stays on the screen.")
    show_customers: bool = Field(False, description="Whether the card of a win names the customer.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Rep ids and the names shown instead.")
    hidden_reps: tuple[str, ...] = Field((), description="Rep ids that no board shows.")
    token_secret: SecretStr = Field(
        SecretStr(""), description="Signs kiosk tokens; empty: boards open without a token."
    )
    revoked_tokens: tuple[str, ...] = Field(
        (), description="Ids of kiosk tokens that no longer open a board."
    )

"""The catalogue of KPI families: every row of ecosystem.md 1.2, in its order, all of them gauges."""

from collections.abc import Iterable, Mapping
from typing import Final

from exporters.family import Answer, Cells, Family, Part, Tier, cells_of
from exporters.labels import (
    AHEAD,
    BANDS,
    CONTRACT_TYPES,
    FLOWS,
    FORECAST_CATEGORIES,
    LEAVE_REASONS,
    MILESTONES,
    NOW,
    OUTCOMES,
    PLANS,
    PREFIX,
    QUARTERS,
    REP_PLANS,
    REP_WINDOWS,
    REPORTED,
    REVENUE_CHANGES,
    RUNNING_PLANS,
    WATERFALL_CHANGES,
    WIN_READINGS,
    YEAR,
)


def _at(kpi: str, reading: str, part: Part = "value") -> dict[str, Answer]:
    return {"": Answer(kpi, reading, part)}


def _by(kpi: str, readings: Mapping[str, str] | Iterable[str], part: Part = "value") -> dict[str, Answer]:
    pairs = readings if isinstance(readings, Mapping) else {name: name for name in readings}
    return {label: Answer(kpi, reading, part) for label, reading in pairs.items()}


def _kpi(
    stem: str,
    number: str,
    kpi: str,
    meaning: str,
    *,
    cells: Cells = ({},),
    free: tuple[str, ...] = (),
    reps: Cells | None = None,
    rep_free: tuple[str, ...] = (),
    money: bool = False,
    answers: Mapping[str, Answer] | None = None,
    by: str = "",
    tier: Tier = "team",
    opt_in: bool = False,
    version: int = 1,
) -> tuple[Family, ...]:
    """`dealpulse_<stem>`, and `dealpulse_rep_<stem>` where `reps` gives the cells that reps have."""
    found = answers or {}

    def made(name: str, tier: Tier, scope: tuple[str, ...], cells: Cells, free: tuple[str, ...]) -> Family:
        present = {cell.get(by, "") for cell in cells}
        return Family(
            name=PREFIX + name,
            type="gauge",
            tier=tier,
            labels=(*scope, *free, *cells[0], *(("currency",) if money else ())),
            meaning=meaning,
            cells=cells,
            number=number,
            kpi=kpi,
            version=version,
            money=money,
            opt_in=opt_in,
            answers={value: answer for value, answer in found.items() if not by or value in present},
            answer_label=by,
        )

    families = [made(stem, tier, ("team",) if tier == "team" else (), cells, free)]
    if reps is not None:
        families.append(made(f"rep_{stem}", "rep", ("rep", "team"), reps, rep_free))
    return tuple(families)


def _windows(*windows: str) -> Cells:
    return cells_of(window=windows)


_Q, _F, _P = _windows(*QUARTERS), _windows(*FLOWS), _windows(*PLANS)
_RUNNING, _AHEAD, _YEAR = _windows(*RUNNING_PLANS), _windows(*AHEAD), _windows(*YEAR)
_REP, _REP_PLAN, _REP_AHEAD = _windows(*REP_WINDOWS), _windows(*REP_PLANS), _windows("quarter_to_date")
_LEVEL: Cells = ({},)
_Q_TWIN, _F_TWIN = _windows(*QUARTERS, "previous_month"), _windows(*FLOWS, "previous_month")

_ACV_SPLIT = (
    *cells_of(reading=("booked",), contract_type=CONTRACT_TYPES, window=QUARTERS),
    *cells_of(reading=("active",), contract_type=CONTRACT_TYPES, window=(NOW,)),
)
_ACV = (*cells_of(reading=("booked",), window=QUARTERS), *cells_of(reading=("active",), window=(NOW,)))
_PER_CONTRACT = {"booked": "booked_per_contract", "active": "active_per_contract"}
_PER_CUSTOMER = {"booked": "booked_per_customer", "active": "active_per_customer"}
_CLV = cells_of(reading=("historic", "signed", "projected"))
_RETAINED = (
    *cells_of(reading=("trailing", "tenured"), window=YEAR),
    *cells_of(reading=("tenure",), window=(NOW,)),
)
_RAMP = cells_of(milestone=MILESTONES, window=QUARTERS)
_WIN = cells_of(reading=WIN_READINGS, window=QUARTERS)
_WIN_REP = cells_of(reading=("closed_count",), window=REP_WINDOWS)
_COHORT = cells_of(outcome=OUTCOMES, window=QUARTERS)
_CHANGES = cells_of(change=REVENUE_CHANGES, window=QUARTERS)
_REVENUE = cells_of(reading=("grr", "nrr"), window=QUARTERS)
# Goals of money have a currency, others an empty one, which is none.
_GOAL = ("kpi", "reading", "currency")
_FORECAST = cells_of(forecast_category=FORECAST_CATEGORIES, window=AHEAD)
_UNPRICED = (
    *cells_of(state=("open",), window=(NOW,)),
    *cells_of(state=("won", "lost"), window=QUARTERS),
)


def _twinned(cells: Cells) -> Cells:
    """The cells, and their restated twins of the last complete month beside the as-reported ones."""
    months = tuple({**cell, "window": "previous_month"} for cell in cells if cell["window"] == QUARTERS[0])
    return (*cells, *months)


def _as_reported(cells: Cells) -> Cells:
    rows = tuple(cell for cell in cells if cell["window"] == QUARTERS[0])
    return tuple({**cell, "window": window} for cell in rows for window in REPORTED)


def _reported(original: Family) -> Family:
    return Family(
        name=original.name.replace(PREFIX, PREFIX + "reported_", 1),
        type="gauge",
        tier="team",
        labels=original.labels,
        meaning="As reported (frozen after the period's end), absent until then: " + original.meaning,
        cells=_as_reported(original.cells),
        number=original.number,
        kpi=original.kpi,
        money=original.money,
        answers=original.answers,
        answer_label=original.answer_label,
    )


# One family is one entry of the catalogue.
# fmt: off
_ACV_FAMILIES = (
    *_kpi("acv_amount", "1", "acv",
        "Sum of annual contract values: booked in the window, or in force now.", cells=_ACV_SPLIT,
        money=True, by="reading", answers=_by("acv", _PER_CONTRACT, "numerator")),
    *_kpi("acv_contracts", "1", "acv",
        "Contracts with an annual value: booked in the window, or in force now.", cells=_ACV_SPLIT,
        by="reading", answers=_by("acv", _PER_CONTRACT, "denominator")),
    *_kpi("acv_per_contract_amount", "1", "acv", "Average ACV of a contract, the primary reading.",
        cells=_ACV, money=True, by="reading", answers=_by("acv", _PER_CONTRACT)),
    *_kpi("acv_per_contract_samples", "1", "acv", "Contracts behind the average ACV of a contract.",
        cells=_ACV, by="reading", answers=_by("acv", _PER_CONTRACT, "samples")),
    *_kpi("acv_per_customer_amount", "1", "acv", "Average ACV of a customer.", cells=_ACV, money=True,
        by="reading", answers=_by("acv", _PER_CUSTOMER)),
    *_kpi("acv_per_customer_samples", "1", "acv",
        "Distinct customers behind the average ACV of a customer.", cells=_ACV, by="reading",
        answers=_by("acv", _PER_CUSTOMER, "samples")),
)

_CLV_FAMILIES = (
    *_kpi("clv_accrued_amount", "2", "clv", "Value accrued until now from all contracts.", money=True,
        answers=_at("clv", "historic", "numerator")),
    *_kpi("clv_signed_amount", "2", "clv", "Value signed until now, less what cancellations took away.",
        money=True, answers=_at("clv", "signed", "numerator")),
    *_kpi("clv_per_customer_amount", "2", "clv",
        "Customer lifetime value: historic and signed over customers that ever bought, or projected.",
        cells=_CLV, money=True, by="reading", answers=_by("clv", ("historic", "signed", "projected"))),
    *_kpi("clv_per_customer_samples", "2", "clv", "Customers behind the customer lifetime value.",
        cells=_CLV, by="reading", answers=_by("clv", ("historic", "signed", "projected"), "samples")),
)

_NEW_FAMILIES = (
    *_kpi("opportunities_created", "3", "new_opportunities",
        "Opportunities created in the window, credited to the owner at creation.", cells=_F, reps=_REP,
        answers=_at("new_opportunities", "count")),
    *_kpi("opportunities_created_amount", "3", "new_opportunities",
        "Amount of the opportunities created in the window.", cells=_F, reps=_REP, money=True,
        answers=_at("new_opportunities", "amount")),
    *_kpi("opportunities_created_recent", "3", "new_opportunities",
        "Opportunities created in the last 28 days.", reps=_LEVEL),
    *_kpi("opportunities_created_baseline", "3", "new_opportunities",
        "A third of the opportunities created in the 84 days before the last 28.", reps=_LEVEL),
    *_kpi("opportunities_created_baseline_samples", "3", "new_opportunities",
        "Opportunities created in the 84 days before the last 28.", reps=_LEVEL),
    *_kpi("opportunities_needed", "3", "needed",
        "New opportunities that the target needs: target wins / win ratio of the trailing 12 months.",
        cells=_RUNNING, reps=_REP_PLAN, answers=_at("needed", "count")),
)

_OPEN_FAMILIES = (
    *_kpi("open_opportunities", "role", "open", "Opportunities open now, with their current owner.",
        free=("stage_name",), reps=_LEVEL, rep_free=("stage_name",), answers=_at("open", "count")),
    *_kpi("open_amount", "role", "open", "Amount of the opportunities open now.", free=("stage_name",),
        reps=_LEVEL, rep_free=("stage_name",), money=True, answers=_at("open", "amount")),
    *_kpi("stagnation_opportunity_seconds", "4", "stagnation",
        "Sum over open opportunities of the time since the last forward stage move.", free=("stage_name",),
        answers=_at("stagnation", "stagnation", "numerator")),
    *_kpi("age_opportunity_seconds", "4", "stagnation",
        "Sum over open opportunities of the time since creation.", free=("stage_name",),
        answers=_at("stagnation", "age", "numerator")),
    *_kpi("stage_age_opportunity_seconds", "4", "stagnation",
        "Sum over open opportunities of the time since they entered their current stage.",
        free=("stage_name",), answers=_at("stagnation", "time_in_stage", "numerator")),
    *_kpi("stagnation_average_seconds", "4", "stagnation",
        "Average time since the last forward stage move of an open opportunity, the primary reading.",
        reps=_LEVEL, answers=_at("stagnation", "stagnation")),
    *_kpi("stagnation_samples", "4", "stagnation", "Open opportunities behind the average stagnation.",
        reps=_LEVEL, answers=_at("stagnation", "stagnation", "samples")),
    *_kpi("age_average_seconds", "4", "stagnation", "Average age of an open opportunity.", reps=_LEVEL,
        answers=_at("stagnation", "age")),
    *_kpi("age_samples", "4", "stagnation",
        "Open opportunities with a known creation, behind the average age.", reps=_LEVEL,
        answers=_at("stagnation", "age", "samples")),
    *_kpi("stalled_opportunities", "4", "stalled",
        "Open opportunities past their stage's threshold since the last forward move.",
        free=("stage_name",), reps=_LEVEL, answers=_at("stalled", "count")),
    *_kpi("stalled_amount", "4", "stalled", "Amount of the stalled opportunities.", free=("stage_name",),
        reps=_LEVEL, money=True, answers=_at("stalled", "amount")),
    *_kpi("stage_threshold_seconds", "4", "stalled",
        "Configuration: how long a deal may idle in the stage before it is stalled.", tier="company",
        free=("stage_name",)),
    *_kpi("stage_order", "4", "stagnation",
        "Configuration: place of the stage among the open ones, from 0.", tier="company",
        free=("stage_name",)),
)

_CLOSED_FAMILIES = (
    *_kpi("opportunities_won", "5", "won", "Opportunities won in the window, with the owner at the close.",
        cells=_F_TWIN, reps=_REP, answers=_at("won", "count")),
    *_kpi("opportunities_lost", "5", "lost",
        "Opportunities lost in the window, with the owner at the close.", cells=_F_TWIN, reps=_REP,
        answers=_at("lost", "count")),
    *_kpi("won_amount", "5", "won", "Amount of the opportunities won in the window.", cells=_F_TWIN,
        reps=_REP, money=True, answers=_at("won", "amount")),
    *_kpi("opportunities_omitted", "5", "win_rate",
        "Opportunities closed in the window in an omitted stage (in no ratio).", cells=_Q),
    *_kpi("lost_amount", "5", "lost", "Amount of the opportunities lost in the window.", cells=_Q_TWIN,
        money=True, answers=_at("lost", "amount")),
    *_kpi("cohort_opportunities", "5", "win_rate",
        "Opportunities created in the window, by their state now.", cells=_twinned(_COHORT)),
    *_kpi("win_ratio", "5", "win_rate",
        "Conversion rate: won / (won + lost), the primary reading; of the cohort created; by amount.",
        cells=_WIN, reps=_WIN_REP, by="reading", answers=_by("win_rate", WIN_READINGS)),
    *_kpi("win_samples", "5", "win_rate", "Opportunities behind the conversion rate.",
        cells=_twinned(_WIN), reps=_WIN_REP, by="reading",
        answers=_by("win_rate", WIN_READINGS, "samples")),
    *_kpi("cohort_open_ratio", "5", "win_rate",
        "Share of the cohort created in the window that is still open.", cells=_Q,
        answers=_at("win_rate", "cohort_open")),
    *_kpi("cohort_open_samples", "5", "win_rate", "Opportunities of the cohort, less the omitted.",
        cells=_Q, answers=_at("win_rate", "cohort_open", "samples")),
)

_REP_RETENTION_FAMILIES = (
    *_kpi("reps_active", "6", "rep_retention", "Reps in a sales role now."),
    *_kpi("reps_hired", "6", "rep_retention", "Reps hired in the window, in neither number of retention.",
        cells=_YEAR),
    *_kpi("reps_retained", "6", "rep_retention",
        "Reps kept: of those in role at the start, of the tenured among them, or those that reached tenure.",
        cells=_RETAINED, by="reading",
        answers=_by("rep_retention", ("trailing", "tenured", "tenure"), "numerator")),
    *_kpi("reps_retained_ratio", "6", "rep_retention", "Rep retention.", cells=_RETAINED, by="reading",
        answers=_by("rep_retention", ("trailing", "tenured", "tenure"))),
    *_kpi("reps_retained_samples", "6", "rep_retention", "Reps behind the rep retention.", cells=_RETAINED,
        by="reading", answers=_by("rep_retention", ("trailing", "tenured", "tenure"), "samples")),
    *_kpi("reps_departed", "6", "rep_retention", "Reps that left in the window, of the trailing reading.",
        cells=cells_of(reason=LEAVE_REASONS, window=YEAR)),
)

_RAMP_FAMILIES = (
    *_kpi("ramp_up_rep_seconds", "7", "ramp_up",
        "Sum over reps hired in the window of the time from first day to milestone.", cells=_RAMP,
        by="milestone", answers=_by("ramp_up", MILESTONES, "numerator")),
    *_kpi("ramp_up_average_seconds", "7", "ramp_up",
        "Average ramp-up time of reps hired in the window that reached the milestone.", cells=_RAMP,
        by="milestone", answers=_by("ramp_up", MILESTONES)),
    *_kpi("ramp_up_samples", "7", "ramp_up", "Reps hired in the window that reached the milestone.",
        cells=_RAMP, by="milestone", answers=_by("ramp_up", MILESTONES, "samples")),
    *_kpi("ramping_reps", "7", "ramping_reps",
        "Reps hired in the window that have not reached the milestone.", cells=_RAMP, by="milestone",
        answers={"first_contact": Answer("ramping_reps", "count")}),
    *_kpi("ramping_rep_seconds", "7", "ramping_reps",
        "Sum of the running age of the reps that have not reached the milestone.", cells=_RAMP,
        by="milestone", answers={"first_contact": Answer("ramping_reps", "age", "numerator")}),
    *_kpi("ramp_up_clamped_reps", "7", "ramp_up",
        "Reps whose milestone lies before their first day, taken as 0.", cells=_RAMP),
)

_REFERRAL_FAMILIES = (
    *_kpi("referrals", "8", "referrals", "Referrals by active customers, once per referrer and referred.",
        cells=_Q, reps=_REP, answers=_at("referrals", "from_customers")),
    *_kpi("referrals_won", "8", "referrals", "Referrals by customers won in the window.", cells=_Q,
        reps=_REP, answers=_at("referrals", "won")),
    *_kpi("referrals_unqualified", "8", "referrals", "Referrals by accounts that were no customers.",
        cells=_Q, reps=_REP, answers=_at("referrals", "from_others")),
)

_CUSTOMER_FAMILIES = (
    *_kpi("customers_active", "9", "customers", "Customers with at least one contract in force now.",
        answers=_at("customers", "active")),
    *_kpi("customers_in_grace", "9", "customers",
        "Customers whose last contract ended within the renewal grace and who have none in force.",
        answers=_at("customers", "in_grace")),
    *_kpi("customers_retained", "9", "customer_retention",
        "Customers active at the window's start and at its end.", cells=_Q_TWIN,
        answers=_at("customer_retention", "logo", "numerator")),
    *_kpi("customers_churned", "9", "churn", "Customers active at the window's start, not at its end.",
        cells=_Q_TWIN, answers=_at("churn", "logo", "numerator")),
    *_kpi("customers_new", "9", "customers", "Customers active at the window's end, not at its start.",
        cells=_Q_TWIN, answers=_at("customers", "new")),
    *_kpi("customer_retention_ratio", "9", "customer_retention",
        "Customer retention: retained / active at start.", cells=_Q,
        answers=_at("customer_retention", "logo")),
    *_kpi("customer_churn_ratio", "9", "churn", "Churn rate: churned / active at start.", cells=_Q,
        answers=_at("churn", "logo")),
    *_kpi("customer_retention_samples", "9", "customer_retention",
        "Customers active at the window's start.", cells=_Q_TWIN,
        answers=_at("customer_retention", "logo", "samples")),
    *_kpi("recurring_start_amount", "9", "customer_retention",
        "Annual recurring revenue of the customers active at the window's start.", cells=_Q_TWIN,
        money=True, answers=_at("customer_retention", "grr", "denominator")),
    *_kpi("recurring_change_amount", "9", "customer_retention",
        "Signed change of that revenue over the window, of the same customers.", cells=_twinned(_CHANGES),
        money=True),
    *_kpi("revenue_retention_ratio", "9", "customer_retention",
        "Revenue retention: gross (without expansion, at most 1) and net (with it).", cells=_REVENUE,
        by="reading", answers=_by("customer_retention", ("grr", "nrr"))),
    *_kpi("revenue_retention_samples", "9", "customer_retention",
        "Customers behind the revenue retention.", cells=_REVENUE, by="reading",
        answers=_by("customer_retention", ("grr", "nrr"), "samples")),
    *_kpi("contracts_expiring", "9", "contracts_expiring",
        "Contracts that end inside the band, with nothing of the account in force after them.",
        cells=cells_of(band=BANDS), answers=_at("contracts_expiring", "count")),
    *_kpi("contracts_expiring_amount", "9", "contracts_expiring",
        "Annual value of the expiring contracts.", cells=cells_of(band=BANDS), money=True,
        answers=_at("contracts_expiring", "amount")),
)

_PLAN_FAMILIES = (
    *_kpi("target_amount", "role", "target", "Sales target of the whole period.", cells=_P, reps=_REP_PLAN,
        money=True, answers=_at("target", "amount")),
    *_kpi("target_wins", "role", "target",
        "Wins the target needs: as given, else the amount / deal size of the trailing 12 months.",
        cells=_P, reps=_REP_PLAN, answers=_at("target", "wins")),
    *_kpi("target_gap_amount", "role", "target", "What is missing to the target: max(0, target - won).",
        cells=_P, reps=_REP_PLAN, money=True),
    *_kpi("target_pace_amount", "role", "pace", "Target pro rata to this instant.", cells=_RUNNING,
        reps=_REP_PLAN, money=True, answers=_at("pace", "amount", "denominator")),
    *_kpi("attainment_ratio", "role", "attainment", "Attainment: amount won / target.", cells=_RUNNING,
        reps=_REP_PLAN, answers=_at("attainment", "amount")),
    *_kpi("pace_ratio", "role", "pace", "Pace: amount won / target pro rata to this instant.",
        cells=_RUNNING, reps=_REP_PLAN, answers=_at("pace", "amount")),
    *_kpi("attainment_samples", "role", "attainment", "Targets in scope.", cells=_RUNNING, reps=_REP_PLAN,
        answers=_at("attainment", "amount", "samples")),
    *_kpi("kpi_goal", "role", "goal",
        "The goal that a target event sets for a reading of a KPI, in that KPI's unit; never added up.",
        free=_GOAL, cells=_P, reps=_REP_PLAN, rep_free=_GOAL, version=2),
    *_kpi("sales_cycle_opportunity_seconds", "role", "sales_cycle",
        "Sum of close - creation over won opportunities with both days known.", cells=_Q, reps=_REP,
        answers=_at("sales_cycle", "mean", "numerator")),
    *_kpi("sales_cycle_average_seconds", "role", "sales_cycle",
        "Average sales cycle of won opportunities.", cells=_Q, reps=_REP,
        answers=_at("sales_cycle", "mean")),
    *_kpi("sales_cycle_samples", "role", "sales_cycle",
        "Won opportunities behind the average sales cycle.", cells=_Q, reps=_REP,
        answers=_at("sales_cycle", "mean", "samples")),
    *_kpi("deal_size_average_amount", "role", "deal_size", "Average amount of a won opportunity.",
        cells=_Q, reps=_REP, money=True, answers=_at("deal_size", "mean")),
    *_kpi("deal_size_samples", "role", "deal_size",
        "Priced won opportunities behind the average deal size.", cells=_Q, reps=_REP,
        answers=_at("deal_size", "mean", "samples")),
    *_kpi("velocity_amount_per_second", "role", "velocity",
        "Sales velocity: open count x win ratio x deal size / sales cycle.",
        cells=_windows("quarter_to_date", "trailing_12m"), money=True, answers=_at("velocity", "amount")),
    *_kpi("velocity_samples", "role", "velocity",
        "Won opportunities of the cycle behind the sales velocity.",
        cells=_windows("quarter_to_date", "trailing_12m"), answers=_at("velocity", "amount", "samples")),
    *_kpi("coverage_open_amount", "role", "coverage", "Open amount expected to close in the period.",
        cells=_AHEAD, reps=_REP_AHEAD, money=True, answers=_at("coverage", "amount", "numerator")),
    *_kpi("coverage_ratio", "role", "coverage",
        "Pipeline coverage: open amount expected in the period / gap to the target; absent without a gap.",
        cells=_AHEAD, reps=_REP_AHEAD, answers=_at("coverage", "amount")),
    *_kpi("coverage_samples", "role", "coverage", "Targets behind the pipeline coverage.",
        cells=_AHEAD, reps=_REP_AHEAD, answers=_at("coverage", "amount", "samples")),
    *_kpi("forecast_weighted_amount", "role", "weighted_forecast",
        "Stage probability x amount of open opportunities, by expected close.", cells=_AHEAD,
        reps=_REP_AHEAD, money=True, answers=_at("weighted_forecast", "amount")),
    *_kpi("forecast_amount", "role", "forecast",
        "Unweighted open amount by forecast category and expected close.", cells=_FORECAST, money=True,
        by="forecast_category", answers=_by("forecast", FORECAST_CATEGORIES)),
    *_kpi("forecast_opportunities", "role", "forecast",
        "Open opportunities by forecast category and expected close.", cells=_FORECAST,
        by="forecast_category", answers=_by("forecast", FORECAST_CATEGORIES, "samples")),
    *_kpi("waterfall_start_amount", "role", "waterfall",
        "Open amount of the window's universe at its start.", cells=_windows("quarter_to_date"),
        money=True, answers=_at("waterfall", "amount")),
    *_kpi("waterfall_change_amount", "role", "waterfall",
        "Signed change of the open amount; start + all changes = end, exactly.",
        cells=cells_of(change=WATERFALL_CHANGES, window=("quarter_to_date",)), money=True,
        answers=_at("waterfall", "amount")),
    *_kpi("waterfall_end_amount", "role", "waterfall", "Open amount of the window's universe now.",
        cells=_windows("quarter_to_date"), money=True, answers=_at("waterfall", "amount")),
)

_ALL_KPI_FAMILIES = (
    *_kpi("unpriced_opportunities", "role", "unpriced_opportunities",
        "Opportunities counted, but not priced: no exchange rate for their currency and day.",
        cells=_UNPRICED, by="state", answers=_by("unpriced_opportunities", ("open", "won", "lost"))),
    *_kpi("native_open_amount", "role", "open",
        "Open amount in the currency of the record; never summed over currency.", money=True, opt_in=True),
    *_kpi("native_won_amount", "role", "won",
        "Amount won in the currency of the record; never summed over currency.", cells=_Q, money=True,
        opt_in=True),
)

_INFO_FAMILIES = (
    Family(PREFIX + "kpi_info", "gauge", "company", ("kpi", "version"),
        "Constant 1: the KPI definitions in force and their versions."),
    Family(PREFIX + "config_info", "gauge", "company", ("currency", "time_zone", "fiscal_start_month"),
        "Constant 1: reporting currency, company time zone and first month of the fiscal year."),
    Family(PREFIX + "rep_info", "gauge", "rep", ("rep", "team", "rep_name"),
        "Constant 1: display names of reps.", opt_in=True),
)

_RESTATED = (
    *_ACV_FAMILIES,
    *_CLV_FAMILIES,
    *_NEW_FAMILIES,
    *_OPEN_FAMILIES,
    *_CLOSED_FAMILIES,
    *_REP_RETENTION_FAMILIES,
    *_RAMP_FAMILIES,
    *_REFERRAL_FAMILIES,
    *_CUSTOMER_FAMILIES,
    *_PLAN_FAMILIES,
    *_ALL_KPI_FAMILIES,
)

REPORTED_STEMS: Final = (
    "opportunities_won",
    "opportunities_lost",
    "won_amount",
    "lost_amount",
    "cohort_opportunities",
    "win_samples",
    "customers_retained",
    "customers_churned",
    "customers_new",
    "customer_retention_samples",
    "recurring_start_amount",
    "recurring_change_amount",
)
"""Families with an as-reported twin `dealpulse_reported_<stem>`."""

KPI_LIST: Final = (
    *_RESTATED,
    *(_reported(one) for one in _RESTATED if one.name.removeprefix(PREFIX) in REPORTED_STEMS),
    *_INFO_FAMILIES,
)
# fmt: on

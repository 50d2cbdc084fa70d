"""The public Maven CRM data as events, straight from its CSV files; its raw rows for counting by hand."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aggregators.meaning import Company, Meaning, Pipeline, Stage
from events.event import EPOCH_UNIX_S, Event

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "maven-crm"

MEANING = Meaning(
    company=Company(name="Maven", timezone="UTC", currency="USD"),
    pipelines={
        "default": Pipeline(
            stages=(
                Stage(name="Prospecting", probability=0.1),
                Stage(name="Engaging", probability=0.4, stalled_after_days=90),
                Stage(name="Won", kind="won", probability=1),
                Stage(name="Lost", kind="lost"),
            )
        )
    },
)


def raw(name: str) -> list[dict[str, str]]:
    """The rows of one file; skips the test where the data is not there."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def us_date(text: str) -> datetime:
    """`10/20/2016`, at midnight UTC."""
    return datetime.strptime(text, "%m/%d/%Y").replace(tzinfo=UTC)


def _ns(moment: datetime) -> int:
    return (int(moment.timestamp()) - EPOCH_UNIX_S) * 10**9


def _said(entity: str, subject: str, number: int, moment: datetime, data: dict[str, Any]) -> Event:
    return Event(
        entity, "changed", subject, "/maven", f"{subject}-{number}", _ns(moment), "", False, None, data
    )


def events() -> list[Event]:
    """Reps with team and manager, accounts, and each opportunity's creation and close."""
    found = []
    start = datetime(2016, 10, 1, tzinfo=UTC)
    for rep in raw("sales_teams"):
        data = {
            "name": rep["sales_agent"],
            "role": "sales",
            "team": rep["regional_office"],
            "manager_id": rep["manager"],
        }
        found.append(_said("employee", rep["sales_agent"], 1, start, data))
    for account in raw("accounts"):
        data = {
            "name": account["account"],
            "segment": account["sector"],
            "region": account["office_location"],
        }
        found.append(_said("account", account["account"], 1, start, data))
    for deal in raw("sales_pipeline"):
        found += _deal(deal, start)
    return found


def _deal(deal: dict[str, str], start: datetime) -> list[Event]:
    subject, stage = deal["opportunity_id"], deal["deal_stage"]
    data: dict[str, Any] = {"owner_id": deal["sales_agent"], "account_id": deal["account"] or None}
    if not deal["engage_date"]:
        return [_said("opportunity", subject, 1, start, {**data, "stage": stage, "created_at": None})]
    engaged = us_date(deal["engage_date"])
    data |= {"stage": "Engaging", "created_at": _ns(engaged) // 10**6}
    found = [_said("opportunity", subject, 1, engaged, data)]
    if deal["close_date"]:
        closed = us_date(deal["close_date"])
        close = {
            "stage": stage,
            "close_date": closed.date(),
            "amount": Decimal(deal["close_value"]),
            "currency": "USD",
        }
        found.append(_said("opportunity", subject, 2, closed, close))
    return found

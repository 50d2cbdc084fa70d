"""All the way: signed webhooks, gateway, Kafka, worker, Redis, exporter; against the exact road."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import Meaning
from aggregators.question import Question
from events.adapters.cloudevents import structured
from events.clock import Clock
from events.reader import read
from events.settings import KafkaSettings
from streams import topics
from tests.events.adapters.histories import TELLERS, deliveries, history
from tests.integration.gateway import GatewayProcess, Sender
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker
from tests.integration.test_gateway import until
from tests.integration.worker import Worker

COMPANY = {"COMPANY__TIMEZONE": "Asia/Taipei", "COMPANY__CURRENCY": "TWD"}


class Mapped(GatewayProcess):
    """A gateway that knows what the stages of the history's HubSpot account mean."""

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        _, settings = TELLERS["hubspot"]
        assert settings is not None
        stages = settings.opportunity.values["stage"]
        table = "\n".join(f"{theirs} = {json.dumps(ours)}" for theirs, ours in stages.items())
        with (folder / "dealpulse.toml").open("a") as config:
            config.write(f"[adapters.acme.opportunity.values.stage]\n{table}\n")


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_signed_webhooks_show_in_the_metrics_as_the_exact_road_says(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    steps = history(60, seed=11)
    meaning = Meaning(company=CompanySettings(timezone="Asia/Taipei", currency="TWD"))
    told = [one for body in deliveries("publisher", steps) for one in structured(body)]
    company = Company.from_events(meaning, [read(one.value, one.topic) for one in told])
    rows = answer(company, Question("open", Clock().now_ms()))
    expected = {row.reading: float(row.value or 0) for row in rows if not row.by}
    topics.ensure(KafkaSettings(brokers=empty_broker.brokers))

    with ExitStack() as stack:
        gateway = stack.enter_context(Mapped(empty_broker, **COMPANY))
        stack.enter_context(Worker(empty_broker.brokers, redis_url, group=unique, **COMPANY))
        exporter = stack.enter_context(
            ExporterProcess(redis_url, KAFKA__BROKERS=empty_broker.brokers, **COMPANY)
        )

        async def test() -> None:
            sender = Sender(gateway)
            await sender.send(deliveries("hubspot", steps))

            def shown() -> tuple[float, float]:
                _, text = exporter.get("/metrics")
                return total(text, "dealpulse_open_opportunities"), total(text, "dealpulse_open_amount")

            wanted = (expected["count"], expected["amount"] / 100)
            await until(lambda: shown() == wanted, seconds=60)

        asyncio.run(test())
    assert expected["count"] > 10


def total(text: str, family: str) -> float:
    """The sum of a family's series: every deal is in one team and one stage."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(family + "{"))

"""Nothing lost, nothing doubled: faults on purpose under load on real servers, and the proof after them."""

import pytest

from tests.chaos.faults import total
from tests.chaos.growth import KIND
from tests.chaos.record import write
from tests.chaos.run import run, run_in_rounds
from tests.integration.servers import kafka_is_required, why_no_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture(autouse=True)
def _kafka_can_run() -> None:
    if (why_not := why_no_kafka()) and not kafka_is_required():
        pytest.skip(why_not)


@pytest.mark.timeout(280)
def test_faults_of_most_kinds_leave_no_difference() -> None:
    found = run(seed=1, rate=1_000, short=True, pause_s=4)

    assert found["faults"] == total(short=True)
    assert found["proof"]["verify"]["differences"] == 0
    assert found["proof"]["answers"]["kpis"] >= 25
    assert found["sent"]["hot"] == 10_000


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_a_hundred_faults_in_ten_minutes_leave_no_difference() -> None:
    for found in run_in_rounds(seed=1, rate=5_000, rounds=4, least_s=600):
        write(found, "chaos.json")

    assert found["faults"] >= 100
    assert KIND in {kind["kind"] for kind in found["kinds"]}
    assert found["seconds"] >= 600
    assert found["rounds"] == 5
    assert found["proof"]["verify"]["differences"] == 0
    assert found["notes"]["writes of a zombie that were refused"] > 0

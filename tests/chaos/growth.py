"""Partitions that grow under load: workers see it and say what to do, and `dealpulse repartition` does it.

Nobody tells the publisher before all is done: what it sends meanwhile lies where four partitions put it.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from kafka import KafkaAdminClient

from tests.chaos.mess import GROWN
from tests.chaos.proof import run_dealpulse
from tests.chaos.system import System
from tests.integration.traffic import wait_until

KIND: Final = "Kafka: partitions grown from 4 to 8, then `dealpulse repartition`"
TOPIC: Final = "crm.opportunity"


def grow(system: System, say: Callable[[str], None], *, within_s: float) -> dict[str, Any]:
    """Let a topic grow with Kafka's own means, do what the workers say then, and set the new number.

    What became of it, as a fault of the run: how long figures stood still for it, and how long after that until
    they were current.
    """
    began = time.monotonic()
    admin = KafkaAdminClient(bootstrap_servers=system.broker.brokers)
    try:
        admin.create_partitions({TOPIC: GROWN})
    finally:
        admin.close()
    wait_until(
        lambda: all("dealpulse repartition" in worker.get("/readyz")[1] for worker in system.workers),
        "every worker says what to do about grown partitions",
        seconds=60,
    )
    at = time.monotonic()
    say(f"partitions of {TOPIC} grown to {GROWN}; all workers say so after {at - began:.1f} s")
    done = run_dealpulse(
        system, "repartition", "--partitions", str(GROWN), "--yes", "--json", seconds=within_s
    )
    assert done.returncode == 0, done.stderr
    moved = sum(shard["records_moved"] for shard in json.loads(done.stdout)["done"])
    assert moved > 0, "half of the keys belong on another partition now"
    system.regrown(GROWN)
    system.publishing.hear_of_growth()
    ended = time.monotonic()
    recovery_s = system.watch.recovery_s(ended, seconds=within_s)
    say(f"{moved:,} records moved in {ended - at:.1f} s, current after {recovery_s:.2f} s")
    return {"kind": KIND, "lasted_s": round(ended - began, 2), "recovery_s": round(recovery_s, 2)}

"""A topic whose partitions grow under load: workers see it and say what to do, and `dealpulse repartition` does it.

Nobody tells the publisher either: what it sends meanwhile lies where four partitions put it.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from kafka import KafkaAdminClient

from tests.chaos.proof import run_dealpulse
from tests.chaos.system import System
from tests.integration.traffic import wait_until

KIND: Final = "Kafka: partitions grown from 4 to 8, then `dealpulse repartition`"
TOPIC: Final = "crm.opportunity"
AFTER: Final = 8


def grow(system: System, say: Callable[[str], None]) -> None:
    """Let the topic grow with Kafka's own means, and wait until a worker says what to run."""
    began = time.monotonic()
    admin = KafkaAdminClient(bootstrap_servers=system.broker.brokers)
    try:
        admin.create_partitions({TOPIC: AFTER})
    finally:
        admin.close()
    wait_until(
        lambda: any("dealpulse repartition" in worker.get("/readyz")[1] for worker in system.workers),
        "a worker says what to do about grown partitions",
        seconds=60,
    )
    say(f"partitions of {TOPIC} grown to {AFTER}; a worker says so after {time.monotonic() - began:.1f} s")


def put_right(system: System, say: Callable[[str], None], *, within_s: float) -> dict[str, Any]:
    """Run the command and set the new number; what became of it, as a fault of the run."""
    at = time.monotonic()
    done = run_dealpulse(
        system, "repartition", "--partitions", str(AFTER), "--yes", "--json", seconds=within_s
    )
    assert done.returncode == 0, done.stderr
    moved = sum(shard["records_moved"] for shard in json.loads(done.stdout)["done"])
    assert moved > 0, "half of the keys belong on another partition now"
    system.regrown(AFTER)
    ended = time.monotonic()
    recovery_s = system.watch.recovery_s(ended, seconds=within_s)
    say(f"{moved:,} records moved in {ended - at:.1f} s, current after {recovery_s:.2f} s")
    return {"kind": KIND, "lasted_s": round(ended - at, 2), "recovery_s": round(recovery_s, 2)}

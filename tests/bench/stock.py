"""The same job as plain Faust does it: an agent with a table, keyed upserts and per-rep sums."""

import json
import os
import sys
import time
from typing import Any

import faust

EXPECTED = int(os.environ.get("EXPECTED", "0"))

app = faust.App(
    "stock",
    broker=f"kafka://{os.environ.get('BROKERS', '127.0.0.1:9092')}",
    store="memory://",
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
)
source = app.topic("stock", value_serializer="raw", key_serializer="raw", partitions=4)
deals: Any = app.Table("deals", default=dict, partitions=4)
reps: Any = app.Table("reps", default=int, partitions=4)
seen = 0
started_at = 0.0


@app.agent(source)
async def fold(stream: Any) -> None:
    """Keep the newest value of each field, and open deals by rep with retraction."""
    global seen, started_at  # noqa: PLW0603 - one agent, one process, one job
    async for key, value in stream.items():
        started_at = started_at or time.monotonic()
        event = json.loads(value)
        subject = key.decode()
        old = deals[subject]
        new = {**old, **event.get("data", {})}
        if old.get("owner_id") != new.get("owner_id"):
            if old.get("owner_id"):
                reps[old["owner_id"]] -= 1
            if new.get("owner_id"):
                reps[new["owner_id"]] += 1
        deals[subject] = new
        seen += 1
        if seen == EXPECTED:
            # Faust turns sys.stdout into log lines.
            print(
                "stock", time.process_time(), time.monotonic() - started_at, file=sys.__stdout__, flush=True
            )
            os._exit(0)


if __name__ == "__main__":
    app.main()

"""One bar over the work on many shards."""

import io

from dealpulse.progress import Progress, over_shards


def test_shards_add_up_in_one_line() -> None:
    now, stream = 0.0, io.StringIO()
    progress = Progress(1, stream=stream, now_s=lambda: now)
    show = over_shards(progress, 1_000)
    show("crm.opportunity/0", 200, 400)
    show("crm.opportunity/0", 400, 400)
    now = 11.0

    show("crm.opportunity/1", 100, 600)

    assert stream.getvalue().strip().startswith("50%  500 events")

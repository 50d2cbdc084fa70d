from exporters.letters import pending


def test_those_that_wait_are_those_counted_less_those_settled() -> None:
    dead = {"crm.opportunity": 5, "crm.contract": 0, "hr.employee": 2}
    assert pending(dead, {"crm.opportunity": 3}) == {
        ("crm.opportunity",): 2.0,
        ("crm.contract",): 0.0,
        ("hr.employee",): 2.0,
    }


def test_redis_may_remember_more_than_the_shards_count_but_none_wait_then() -> None:
    """Shards built anew are behind for a while; the number of those waiting is never negative."""
    assert pending({"crm.opportunity": 1}, {"crm.opportunity": 3}) == {("crm.opportunity",): 0.0}

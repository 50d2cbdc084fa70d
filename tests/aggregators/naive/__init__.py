"""A second implementation of every KPI, from kpi-definitions.md and events.md alone: slow and obvious.

Of `aggregators` it knows the configuration and the first and last day of `all`, nothing else: days are counted
one by one, lists are searched from end to end. What it gives is compared with the exact road in
`tests/aggregators/test_naive.py`, and so with the fast one, which answers like that.
"""

"""What dealpulse costs: `make bench` prints a table and writes JSON to `bench-results/`.

Absolute figures depend on the machine and on what else runs there; compare figures of one run.
"""

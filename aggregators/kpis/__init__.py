"""One file per KPI: its definition, and its arithmetic on the exact road."""

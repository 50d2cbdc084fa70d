"""The view: the merged snapshot as Prometheus exposition, JSON, dashboards, alerts and the wall."""

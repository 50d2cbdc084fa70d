"""The meaning: pure functions from a log of events to KPIs at an instant. No input, output or clock."""

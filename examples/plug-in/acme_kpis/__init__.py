"""KPIs of Acme's own."""

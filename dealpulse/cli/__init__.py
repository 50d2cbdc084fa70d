"""The command line."""

import click


@click.group()
def main() -> None:
    """Keep the sales KPIs of a company live."""

"""What a command knows about how it was called: its configuration, and how to talk."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dealpulse.config import Configuration, Settings


@dataclass(frozen=True)
class Invocation:
    """The options that every command has. A command takes it with `@pass_invocation`."""

    config: Path | None = None
    debug: bool = False
    quiet: bool = False
    no_color: bool = False

    @property
    def colour(self) -> bool | None:
        """False when colours are unwanted, None when the terminal decides."""
        return False if self.no_color or os.environ.get("NO_COLOR") else None

    def configuration(self, flags: Mapping[str, object] | None = None) -> "Configuration":
        """The configuration, with `flags` (dotted key -> value; None: not given) before all else.

        Raises ConfigurationError.
        """
        from dealpulse.config import load

        return load(self.config, flags=flags)

    def settings(self, flags: Mapping[str, object] | None = None, *, talks: bool = False) -> "Settings":
        """The settings, as `configuration`; logs are written as they say from now on.

        A command that `talks` says itself what it does: of its logs only warnings are shown, unless more
        is configured.
        """
        from events import log

        settings = self.configuration(flags).settings
        level = "warning" if talks and settings.log.level == "info" else settings.log.level
        log.configure(
            level="error" if self.quiet else level,
            form=settings.log.format,
            colour=self.colour is not False,
        )
        return settings

    def say(self, text: str) -> None:
        """Talk, on stderr; nothing with --quiet."""
        if not self.quiet:
            click.echo(text, file=sys.stderr)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)

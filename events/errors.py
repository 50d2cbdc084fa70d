"""Every error a caller may meet, one type per thing he may do about it.

DealpulseError
├── BadEventError        a record that cannot be read: a dead letter, with its reason
├── UsageError           a question or an option that cannot be answered as asked (exit code 2)
├── ConfigurationError   a setting that is missing, unknown or wrong (exit code 2)
├── UnreachableError     a server that does not answer (exit code 3)
└── FaultFoundError      the command ran and found a fault (exit code 1)
"""


class DealpulseError(Exception):
    """The root. Its message says what happened, where, and what to do next."""

    exit_code = 1


class BadEventError(DealpulseError):
    """A record that is no event of events.md. It goes to the dead letters, never to a fold.

    `reason` is one of `malformed`, `invalid_envelope`, `unknown_type`, `invalid_data`; `path` names
    the field, or is empty.
    """

    def __init__(self, reason: str, message: str, *, path: str = "") -> None:
        self.reason, self.path = reason, path
        super().__init__(f"{path}: {message}" if path else message)


class UsageError(DealpulseError):
    """A question or an option that cannot be answered as asked; the message lists what can be."""

    exit_code = 2


class ConfigurationError(DealpulseError):
    """A setting that is missing, unknown or wrong; the message names file, key, found and allowed."""

    exit_code = 2


class UnreachableError(DealpulseError):
    """A server (Kafka, Redis, an exporter) does not answer; the message names it and the address."""

    exit_code = 3


class FaultFoundError(DealpulseError):
    """The command did its work and found a fault: a mismatch, a failed check, a refused record."""

    exit_code = 1

"""For all tests: how hypothesis runs, and an environment without settings of the one who runs them."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.compared import COMPARED

# No deadline: how long an example takes says more about the machine's other work than about the code.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a run in parallel hands its counts on."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["compared"] = dict(COMPARED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take in what a worker counted."""
    COMPARED.update(getattr(node, "workeroutput", {}).get("compared", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases the tests of the two roads to a number compared."""
    if COMPARED:
        terminalreporter.section("two roads to each number, compared exactly")
        for what, count in sorted(COMPARED.items()):
            terminalreporter.line(f"{count:>9,} {what}")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """A DEALPULSE_ variable of the shell would change what commands under test do."""
    for name in [name for name in os.environ if name.startswith("DEALPULSE_") and "REQUIRE" not in name]:
        del os.environ[name]

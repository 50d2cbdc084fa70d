"""For all tests: how hypothesis runs, an environment without settings of the one who runs them, and which
tests hold which rule of docs/kpi-definitions.md (`pytest --rule F12`, `pytest --rules`)."""

import os
import signal
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

# A shell that runs the tests in its background has them, and every process they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests by the rule that they hold."""
    group = parser.getgroup("rules of docs/kpi-definitions.md")
    group.addoption("--rule", action="append", help="run only the tests that hold this rule, such as F12")
    group.addoption("--rules", action="store_true", help="list each rule and trap with its tests, run none")


def held_by(item: pytest.Item) -> list[str]:
    """The rules and traps that a test is marked with."""
    rules = [str(rule) for mark in item.iter_markers("rule") for rule in mark.args]
    return rules + [f"trap: {trap}" for mark in item.iter_markers("trap") for trap in mark.args]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the rules that were asked for."""
    asked = set(config.getoption("--rule") or ())
    if config.getoption("--rules"):
        asked |= {rule for item in items for rule in held_by(item)}
    if asked:
        config.hook.pytest_deselected(items=[each for each in items if not asked & set(held_by(each))])
        items[:] = [each for each in items if asked & set(held_by(each))]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run nothing where only a list is asked for."""
    if not session.config.getoption("--rules"):
        return None
    tests: dict[str, dict[str, None]] = {}
    for item in session.items:
        for rule in held_by(item):
            tests.setdefault(rule, {})[item.nodeid.partition("[")[0]] = None
    for rule in sorted(tests, key=lambda name: (len(name) > 3, name[:1], len(name), name)):
        print(f"\n{rule}", *tests[rule], sep="\n    ")
    return True


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

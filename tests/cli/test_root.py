"""The root command: help, faults, exit codes, and options that may stand anywhere."""

import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

from dealpulse import __version__, cli
from dealpulse.cli import COMMANDS, main
from dealpulse.cli.invocation import Invocation, pass_invocation
from events.errors import ConfigurationError, FaultFoundError, UnreachableError


def run(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(main, list(args), env=environ)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException | Invocation | None]:
    """A command `fails` that raises what the test puts into the dictionary."""
    state: dict[str, BaseException | Invocation | None] = {"error": None, "invocation": None}

    @click.command("fails")
    @pass_invocation
    def command(invocation: Invocation) -> None:
        state["invocation"] = invocation
        if isinstance(state["error"], BaseException):
            raise state["error"]

    module = ModuleType("dealpulse.cli.fails")
    module.__dict__["command"] = command
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "fails", (module.__name__, "Fails."))
    monkeypatch.setattr(cli, "find_spec", lambda name: name in sys.modules or find_spec(name))
    return state


def test_help_imports_no_command_and_no_server_library() -> None:
    script = (
        "import sys; from dealpulse.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'numpy', 'faust', 'redis', 'aiohttp', 'kafka', 'dealpulse.config'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("name", [name for name, (module, _) in COMMANDS.items() if find_spec(module)])
def test_each_command_explains_itself(name: str) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_version_is_the_packages() -> None:
    assert run("--version").output == f"dealpulse {__version__}\n"


def test_a_misspelt_command_names_the_nearest_and_exits_with_2() -> None:
    result = run("confg")

    assert result.exit_code == 2
    assert "Did you mean 'config'?" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FaultFoundError("2 figures differ."), 1),
        (ConfigurationError("kafka.partitions is 0."), 2),
        (UnreachableError("Redis does not answer."), 3),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_a_fault_is_one_line_on_stderr_and_an_exit_code(
    fails: dict[str, BaseException | Invocation | None], error: BaseException, code: int
) -> None:
    fails["error"] = error

    result = run("fails")

    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.output
    if str(error):
        assert str(error) in result.stderr


def test_a_fault_in_a_group_of_tasks_is_told_itself_with_its_place(
    fails: dict[str, BaseException | Invocation | None],
) -> None:
    fails["error"] = ExceptionGroup("unhandled errors in a TaskGroup", [KeyError("crm.account/3")])

    said = run("fails").stderr

    assert said.startswith("Error: a fault in dealpulse itself, KeyError: 'crm.account/3'")
    assert "TaskGroup" not in said


def test_debug_shows_the_traceback(fails: dict[str, BaseException | Invocation | None]) -> None:
    fails["error"] = UnreachableError("Redis does not answer.")

    assert isinstance(run("--debug", "fails").exception, UnreachableError)


def test_global_options_may_stand_after_the_command(
    fails: dict[str, BaseException | Invocation | None],
) -> None:
    result = run("fails", "--quiet", "--config", "some.toml", "--no-color")

    assert result.exit_code == 0, result.output
    invocation = fails["invocation"]
    assert isinstance(invocation, Invocation)
    assert (invocation.quiet, str(invocation.config), invocation.colour) == (True, "some.toml", False)


def test_no_color_in_the_environment_switches_colours_off() -> None:
    assert (
        "\x1b" not in CliRunner().invoke(main, ["config", "show"], color=True, env={"NO_COLOR": "1"}).output
    )


def test_config_show_prints_values_origins_and_no_secret() -> None:
    environ = {"DEALPULSE_KAFKA__BROKERS": "kafka:9092", "DEALPULSE_REDIS__PASSWORD": "hunter2"}

    result = run("config", "show", "--changed", **environ)

    assert result.stdout == (
        'kafka.brokers  = "kafka:9092"  # DEALPULSE_KAFKA__BROKERS\n'
        'redis.password = "****"  # DEALPULSE_REDIS__PASSWORD\n'
    )

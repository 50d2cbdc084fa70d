"""The distribution that goes into other people's environments: one package, and nothing it does not need."""

import ast
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import dealpulse
from events.schema import files

ROOT = Path(__file__).parents[2]
PUBLISHER = ROOT / "publisher"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(PUBLISHER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The wheel unpacked: what pip puts into an environment."""
    (wheel,) = built.glob("*.whl")
    folder = built / "installed"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


def modules() -> tuple[str, ...]:
    spec = spec_from_file_location("hatch_build", PUBLISHER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(module.MODULES)


def imported_by(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / "events" / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from [node.module] if node.module else [name.name for name in node.names]


def test_it_packs_what_publishers_import_and_nothing_else() -> None:
    needed, ahead = set[str](), ["publisher", "aio"]
    while ahead:
        if (module := ahead.pop()) not in needed:
            needed.add(module)
            ahead += imported_by(module)

    assert sorted(needed) == list(modules())


def test_it_has_the_version_of_dealpulse(built: Path) -> None:
    assert [path.name for path in built.glob("*.whl")] == [
        f"dealpulse_events-{dealpulse.__version__}-py3-none-any.whl"
    ]


def test_it_puts_one_package_into_the_environment(installed: Path) -> None:
    (package,) = (path for path in installed.iterdir() if not path.name.endswith(".dist-info"))

    assert package.name == "dealpulse_events"
    assert {path.stem for path in package.glob("*.py")} == {"__init__", *modules()}
    assert {path.name for path in (package / "schema").iterdir()} == set(files())
    assert (package / "py.typed").exists()


def test_the_source_distribution_holds_the_same_and_the_licence(built: Path, installed: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}

    wheel = {
        str(path.relative_to(installed))
        for path in installed.rglob("dealpulse_events/**/*")
        if path.is_file()
    }
    assert wheel <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_it_works_without_the_repository_and_loads_a_client_only_when_asked(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        "import dealpulse_events as d\n"
        "assert 'kafka' not in sys.modules and 'events' not in sys.modules\n"
        "from dealpulse_events.statements import record_of\n"
        "import json, pathlib\n"
        "said = json.loads(pathlib.Path(d.__file__).with_name('schema').joinpath('account.changed.json').read_text())\n"
        "print(record_of(said['examples'][0]).topic)\n"
        "assert all(getattr(d, name) for name in d.__all__)\n"
        "assert not {'events', 'faust', 'redis', 'msgspec', 'numpy', 'aiokafka'} & set(sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("crm.account\n", "", 0)


def test_what_is_typed_is_what_can_be_imported() -> None:
    tree = ast.parse((PUBLISHER / "dealpulse_events" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        name.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    homes = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME"
    )

    assert typed == homes

"""What is imported is declared, and the lock resolves for every Python that the project promises."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

OWN = {"quant_pipeline", "tests", "exchange_files", "factor_exact", "factor_peers", "qlib_needed"}
WITHOUT_WHEELS = {"antlr4-python3-runtime", "gym", "peewee"}
"""Pure Python that has source distributions only."""
PYTHONS = ("3.11", "3.12", "3.13")
OF_TORCH = re.compile(r"cuda|nvidia|triton")


def normal(name):
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~!; ]", name)[0]).lower()


@pytest.fixture(scope="module")
def configured(project_path):
    return tomllib.loads((project_path / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def locked(project_path):
    """Names and versions of the lock; a name has several versions where they differ by Python."""
    versions = {}
    for line in (project_path / "requirements.lock").read_text().splitlines():
        name, _, version = line.partition(";")[0].partition("==")
        versions.setdefault(normal(name), set()).add(version.strip())
    return versions


def declared_beside(file):
    """Return what a folder with an environment of its own declares, and the modules beside a script."""
    beside = file.parent / "requirements.txt"
    lines = beside.read_text().splitlines() if beside.exists() else []
    return {normal(line).removesuffix("-reloaded") for line in lines} | {
        normal(script.stem) for script in file.parent.glob("*.py")
    }


def imported_by(folder):
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            yield from ((name.partition(".")[0], file) for name in names)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src", ["boosters", "buckets", "cluster", "onnx", "postgres", "service"]),
        ("tests", ["dev", "service"]),
        ("adapters", []),
        ("benchmarks", ["bench", "dev", "service"]),
    ],
)
def test_everything_imported_is_declared(project_path, configured, folder, extras):
    declared = {normal(line) for line in configured["dependencies"]}
    for extra in extras:
        declared |= {normal(line) for line in configured["optional-dependencies"][extra]}
    providers = packages_distributions()
    missing = {
        f"{module} in {file.relative_to(project_path)}"
        for module, file in imported_by(project_path / folder)
        if module not in sys.stdlib_module_names | OWN
        and not {normal(name) for name in [module, *providers.get(module, [])]} & (declared | declared_beside(file))
    }
    assert missing == set()


def test_other_engines_know_the_project_by_its_files_alone(project_path, configured):
    """What runs in the environment of an engine imports nothing of ours, and nothing of ours imports an engine."""
    inside = [project_path / "adapters" / name for name in ("lumibot", "nautilus")]
    assert not [file for folder in inside for module, file in imported_by(folder) if module == "quant_pipeline"]
    engines = {"lumibot", "nautilus_trader"}
    assert not [file for module, file in imported_by(project_path / "src") if module in engines]
    contracts = tomllib.loads((project_path / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidding = [each for each in contracts if engines <= set(each.get("forbidden_modules", []))]
    assert [each["source_modules"] for each in forbidding] == [["quant_pipeline"]]
    extras = [line for lines in configured["optional-dependencies"].values() for line in lines]
    named = " ".join([*configured["dependencies"], *extras])
    assert not any(normal(engine) in normal(named) for engine in engines)


@pytest.mark.parametrize(("engine", "pinned"), [("lumibot", "lumibot==4"), ("nautilus", "nautilus-trader==2")])
def test_engines_are_pinned_with_their_licence(project_path, engine, pinned):
    lines = (project_path / "adapters" / engine / "requirements.txt").read_text().splitlines()
    assert re.search(r"GPL-3\.0", lines[0])
    assert any(line.startswith(pinned) for line in lines)
    assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_readme_promises_the_pythons_of_the_project(project_path, configured):
    first, end = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", configured["requires-python"]).groups()
    promised = [f"3.{minor}" for minor in range(int(first), int(end))]
    assert f"Python {', '.join(promised[:-1])} or {promised[-1]}" in (project_path / "README.md").read_text()


@pytest.fixture(scope="module")
def resolving(project_path, locked):
    """Resolutions for every Python, against the index and with wheels only: they wait for its answers side by side."""
    wheels = [option for name in locked if name not in WITHOUT_WHEELS for option in ("--only-binary", name)]
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--quiet"]
    command += ["--constraint", "requirements.lock", "--no-annotate", "--no-header", *wheels]
    started = {
        python: subprocess.Popen(
            [*command, "--python-version", python],
            cwd=project_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for python in PYTHONS
    }  # fmt: skip
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_resolves(locked, resolving, python):
    """Each package that is resolved is in the lock in its version."""
    printed, errors = resolving[python].communicate()
    if re.search(r"error sending request|dns error|Failed to fetch|timed out", errors) and (
        os.environ.get("CI") != "true"
    ):
        pytest.skip("the package index is not reachable")
    assert resolving[python].returncode == 0, errors[-2000:]
    resolved = dict(line.split("==") for line in printed.splitlines())
    astray = {
        f"{name}=={version}"
        for name, version in resolved.items()
        if not OF_TORCH.match(name) and version.partition("+")[0] not in locked.get(normal(name), set())
    }
    assert astray == set()
    assert ("pyqlib" in resolved) == (python != "3.13")

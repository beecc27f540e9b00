"""`make install`: with uv, with pip where uv fails, and after an interruption."""

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version

import pytest

TINY = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny"
version = "1"
requires-python = ">=3.11,<3.14"

[tool.setuptools]
py-modules = []
"""

MAKES_OWN = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "MAKE_TERMERR", "MAKE_TERMOUT"}


@pytest.fixture
def installer(project_path):
    spec = importlib.util.spec_from_file_location("install", project_path / "tools" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(project_path, tmp_path):
    """A project with one small dependency, in a folder with a space; `install(uv)` installs it with that uv."""
    folder = tmp_path / "tiny project"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(project_path / "tools" / "install.py", folder / "tools")
    shutil.copy(project_path / "Makefile", folder)
    (folder / "pyproject.toml").write_text(TINY)

    def install(uv):
        (folder / "requirements.lock").write_text(f"toolz==1.0.0\nuv=={uv}\n")
        done = make(folder, "install", f"PYTHON={sys.executable}")
        reachable = not any(sign in done.stderr for sign in ("NewConnectionError", "Name or service not known"))
        if done.returncode and not reachable and os.environ.get("CI") != "true":
            pytest.skip("the package index is not reachable")
        return done

    install.folder = folder
    return install


def make(folder, *words):
    """Run make as a user does, also where another make has started these tests."""
    environment = {name: value for name, value in os.environ.items() if name not in MAKES_OWN}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True)


def installed(folder):
    places = map(str, (folder / ".venv" / "lib").glob("python*/site-packages"))
    return {found.name: found.version for found in distributions(path=list(places))}


@pytest.mark.slow  # `make test` itself begins with such an installation.
def test_uv_of_the_lock_installs_and_a_second_make_has_nothing_to_do(tiny):
    done = tiny(version("uv"))
    assert done.returncode == 0, done.stderr
    assert "with uv" in done.stdout
    found = installed(tiny.folder)
    assert (found["toolz"], found["tiny"], found["uv"]) == ("1.0.0", "1", version("uv"))
    assert len(list((tiny.folder / ".venv" / "lib").glob("python*/site-packages/quant_pipeline_interrupt.pth"))) == 1
    again = make(tiny.folder, "install")
    assert again.stdout.strip() == "make: Nothing to be done for 'install'."


def test_pip_installs_where_uv_breaks_and_an_interrupted_installation_heals(tiny):
    # What Ctrl-C leaves: a mark, and an environment that cannot run anything.
    (tiny.folder / ".venv" / "bin").mkdir(parents=True)
    (tiny.folder / ".venv" / ".unfinished").touch()
    (tiny.folder / ".venv" / "bin" / "python").symlink_to("/nowhere/python")
    (tiny.folder / ".venv" / "half").mkdir()
    # A uv that is there and cannot start: its settings name a file that does not exist.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CONFIG_FILE", str(tiny.folder / "not there.toml"))
        done = tiny(version("uv"))
    assert done.returncode == 0, done.stderr
    assert "pip installs instead" in done.stdout
    assert installed(tiny.folder)["toolz"] == "1.0.0"
    assert not (tiny.folder / ".venv" / "half").exists()
    assert not (tiny.folder / ".venv" / ".unfinished").exists()


@pytest.mark.slow
def test_a_uv_that_cannot_be_had_is_no_obstacle_and_an_environment_without_a_mark_is_kept(tiny, installer, monkeypatch):
    monkeypatch.chdir(tiny.folder)
    subprocess.run([sys.executable, "-m", "venv", ".venv"], check=True)
    (tiny.folder / ".venv" / "of the user").touch()
    done = tiny("999.0")
    assert done.returncode == 0, done.stderr
    assert "pip installs instead" in done.stdout
    assert installed(tiny.folder)["toolz"] == "1.0.0"
    assert (tiny.folder / ".venv" / "of the user").exists()


@pytest.mark.slow
def test_a_file_of_requirements_goes_into_an_environment_of_its_own(tiny, tmp_path):
    (tiny.folder / "others.txt").write_text(f"toolz==1.0.0\nuv=={version('uv')}\n")
    command = [sys.executable, "tools/install.py", "build/others/environment", "others.txt"]
    done = subprocess.run(command, cwd=tiny.folder, capture_output=True, text=True)
    if "NewConnectionError" in done.stderr or "Name or service not known" in done.stderr:
        pytest.skip("the package index is not reachable")
    assert done.returncode == 0, done.stderr
    listed = [tiny.folder / "build/others/environment/bin/python", "-m", "pip", "list", "--format", "freeze"]
    found = subprocess.check_output(listed, text=True).splitlines()
    assert "toolz==1.0.0" in found
    assert not any(line.startswith("tiny") for line in found)
    assert not (tiny.folder / ".venv").exists()


def test_settings_of_pip_are_handed_on_to_uv(installer):
    listed = "\n".join(
        [
            ":env:.find-links='/wheels /more/wheels'",
            ":env:.default-timeout='180'",
            "global.find-links='/never'",
            "global.index-url='https://one.example/simple'",
            "install.index-url='https://two.example/simple'",
            "global.extra-index-url='\\nhttps://a.example\\nhttps://b.example'",
            "global.cert='/certificates.crt'",
        ]
    )
    assert installer.uv_settings(listed) == {
        "UV_FIND_LINKS": "/wheels,/more/wheels",
        "UV_DEFAULT_INDEX": "https://two.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/certificates.crt",
    }
    assert installer.uv_settings("") == {}


def test_another_python_is_one_line_with_the_remedy(tiny, installer, monkeypatch):
    monkeypatch.chdir(tiny.folder)
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    with pytest.raises(
        SystemExit, match=r"This is Python 3\.9; the project runs on 3\.11 to 3\.13.*PYTHON=python3\.11"
    ):
        installer.main([])

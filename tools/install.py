"""Install the project and everything of a lock into ``.venv``; `make` runs this with requirements.lock.

``python tools/install.py FOLDER REQUIREMENTS`` installs a file of requirements into an environment of its own instead,
without the project: what a comparison needs and the project does not.

uv does it in seconds and reads its own settings only, so those of pip are handed on to it. Where uv cannot be had or
fails, pip does the same in minutes. An interrupted installation is repeated.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

UV_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""What uv calls the settings of pip that say where packages come from."""
HOOK = "quant_pipeline_interrupt.pth"
HOOK_LINE = (
    'import sys, importlib.util; getattr(sys, "argv", None) and sys.argv[0].endswith(("/kedro", "/quant-pipeline")) '
    'and importlib.util.find_spec("quant_pipeline") '
    'and __import__("quant_pipeline.common.interruption", fromlist=["_"]).end_on_interrupt()\n'
)
"""What Python runs before any program: Ctrl-C ends `kedro` in one line from then on, also while Kedro is imported."""
NEAREST_LAST = ("global", "install", ":env:")
"""Sections of pip's configuration; a later one wins."""


class Target(NamedTuple):
    """What is installed where: a folder, a file of requirements, and whether the project comes along."""

    environment: Path = Path(".venv")
    requirements: Path = Path("requirements.lock")
    with_project: bool = True

    @property
    def unfinished(self) -> Path:
        """File that is there while an installation has not ended."""
        return self.environment / ".unfinished"

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.environment / "bin" / "python"

    def pip(self, *arguments: str) -> list[str]:
        """Return a command of pip."""
        return [str(self.python), "-m", "pip", *arguments]


def main(arguments: list[str]) -> None:
    """Install, or end with one line that says what is wrong."""
    _require_python()
    if len(arguments) > 2:
        sys.exit("Give a lock, or a folder and a file of requirements: python tools/install.py FOLDER REQUIREMENTS")
    places = [Path(argument) for argument in arguments]
    target = Target(*places, with_project=False) if len(places) == 2 else Target(Path(".venv"), *places)
    try:
        make_environment(target)
        if not install_with_uv(target):
            install_with_pip(target)
        if target.with_project:
            hook_interrupts(target)
        target.unfinished.unlink()
    except subprocess.CalledProcessError as error:
        sys.exit(f"Installing failed: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}. See above.")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next `make` begins the installation again.")


def _require_python() -> None:
    bounds = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', Path("pyproject.toml").read_text(encoding="utf-8"))
    first, end = (int(bound) for bound in bounds.groups())
    if not (3, first) <= sys.version_info[:2] < (3, end):
        sys.exit(
            f"This is Python {sys.version_info[0]}.{sys.version_info[1]}; the project runs on 3.{first} to "
            f"3.{end - 1}. Name one of them: make PYTHON=python3.{first} demo"
        )


def make_environment(target: Target) -> None:
    """Make the environment; replace it where an interrupted installation or one without pip lies there."""
    if target.environment.exists() and (target.unfinished.exists() or not _has_pip(target)):
        for entry in target.environment.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    target.environment.mkdir(parents=True, exist_ok=True)
    target.unfinished.touch()
    if not target.python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(target.environment)], check=True)


def _has_pip(target: Target) -> bool:
    asked = target.pip("--version")
    return target.python.exists() and subprocess.run(asked, capture_output=True, check=False).returncode == 0


def install_with_uv(target: Target) -> bool:
    """Install with the uv that the requirements name; return whether everything is there."""
    pinned = re.search(r"^uv==\S+", target.requirements.read_text(encoding="utf-8"), re.MULTILINE)
    had = subprocess.run(target.pip("install", "--quiet", pinned[0] if pinned else "uv"), check=False).returncode == 0
    if had:
        has_torch = "\ntorch==" in target.requirements.read_text(encoding="utf-8")
        largest = "; PyTorch is the largest part" if has_torch else ""
        print(f"Installing into {target.environment} with uv{largest}.", flush=True)
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        # As pip does it: without compiled modules every first command would compile what it imports.
        compiled = [*quiet, "--compile-bytecode"]
        uv = str(target.environment / "bin" / "uv")
        install = [uv, "pip", "install", *compiled, "--python", str(target.python)]
        environment = {**uv_settings(_settings_of_pip(target)), **os.environ}
        project = [["--no-deps", "--editable", "."]] if target.with_project else []
        had = all(
            subprocess.run([*install, *what], env=environment, check=False).returncode == 0
            for what in (["--requirement", str(target.requirements)], *project)
        )
    if not had:
        print("uv is not to be had or has failed (see above); pip installs instead, which takes minutes.", flush=True)
    return had


def install_with_pip(target: Target) -> None:
    """Install with pip what the requirements name, but uv: it may be what this machine cannot have."""
    lines = target.requirements.read_text(encoding="utf-8").splitlines(keepends=True)
    wanted = target.environment / target.requirements.name
    wanted.write_text("".join(line for line in lines if not line.startswith("uv==")), encoding="utf-8")
    subprocess.run(target.pip("install", "--quiet", "--requirement", str(wanted)), check=True)
    if target.with_project:
        subprocess.run(target.pip("install", "--quiet", "--no-deps", "--editable", "."), check=True)


def hook_interrupts(target: Target) -> None:
    """Let Ctrl-C end commands of the environment in one line from their very start."""
    asked = [str(target.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.check_output(asked, text=True).strip())
    (packages / HOOK).write_text(HOOK_LINE, encoding="utf-8")


def _settings_of_pip(target: Target) -> str:
    return subprocess.run(target.pip("config", "list"), capture_output=True, text=True, check=False).stdout


def uv_settings(listed: str) -> dict[str, str]:
    """Translate what ``pip config list`` prints into environment variables of uv.

    Parameters
    ----------
    listed
        Lines ``section.name='value'``; a value may hold several words. The environment wins over the files.
    """
    found: dict[str, dict[str, str]] = {section: {} for section in NEAREST_LAST}
    for line in listed.splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if equals and section in found and name in UV_SETTINGS:
            found[section][name] = str(ast.literal_eval(value))
    settings = {name: value for section in NEAREST_LAST for name, value in found[section].items()}
    given = {UV_SETTINGS[name]: _separated(name, value) for name, value in settings.items()}
    if "UV_INDEX" in given:
        # As pip does it: of all indexes the newest version, and not only of the first that knows the name.
        given["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return given


def _separated(name: str, value: str) -> str:
    return (",".join if name == "find-links" else " ".join)(value.split())


if __name__ == "__main__":
    main(sys.argv[1:])

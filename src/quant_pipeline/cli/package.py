"""``kedro package``: a wheel of the project and an archive of its configuration, without keys."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import click
from kedro.framework.startup import ProjectMetadata

from quant_pipeline.configuration import LOCAL
from quant_pipeline.exceptions import ConfigurationError

KEYS_OF_THE_SHELL = Path("base/credentials_environment.yml")
"""The only file with credentials in its name that is packed: it refers to variables of the shell."""


@click.command()
@click.pass_obj
def package(metadata: ProjectMetadata) -> None:
    """Write a wheel and an archive of conf/ into dist/; keys and conf/local stay out of both."""
    dist = metadata.project_path / "dist"
    # The build takes what an earlier one has left there, also modules that have been deleted since.
    shutil.rmtree(metadata.project_path / "build", ignore_errors=True)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(dist)]
    done = subprocess.run(build, cwd=metadata.project_path, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ConfigurationError(f"the wheel cannot be built:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    archive = dist / f"conf-{metadata.package_name}.tar.gz"
    for left_out in pack_configuration(metadata.project_path / "conf", archive):
        click.echo(f"left out conf/{left_out}")
    click.echo(f"wrote {archive.relative_to(metadata.project_path)} and the wheel beside it")


def pack_configuration(conf: Path, archive: Path) -> list[Path]:
    """Write an archive of a folder of configuration.

    Parameters
    ----------
    conf
        The folder.
    archive
        The ``.tar.gz`` to write; it is whole or not there.

    Returns
    -------
    list of Path
        Files that were left out, relative to the folder: those with keys and those of ``conf/local``.
    """
    files = [file.relative_to(conf) for file in sorted(conf.rglob("*")) if file.is_file()]
    kept = [file for file in files if _is_packed(file)]
    archive.parent.mkdir(exist_ok=True)
    unfinished = archive.with_name(f".{archive.name}")
    with tarfile.open(unfinished, "w:gz") as packed:
        for file in kept:
            packed.add(conf / file, Path("conf") / file)
    unfinished.replace(archive)
    return [file for file in files if file not in kept and not _is_hidden(file)]


def _is_packed(file: Path) -> bool:
    if file == KEYS_OF_THE_SHELL:
        return True
    return file.parts[0] != LOCAL and "credentials" not in file.as_posix().lower() and not _is_hidden(file)


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)

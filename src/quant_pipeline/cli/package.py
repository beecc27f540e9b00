"""``kedro package``: a wheel of the project and an archive of its configuration, without keys."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import yaml
from kedro.framework.startup import ProjectMetadata

from quant_pipeline.cli.literal_secrets import find_literal_secrets
from quant_pipeline.cli.options import ProjectCommand
from quant_pipeline.cli.sessions import as_typed, configuration_folder
from quant_pipeline.common.atomic import replacing_file
from quant_pipeline.common.environments import LOCAL
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.configuration_files import SUFFIXES

KEYS_OF_THE_SHELL = Path("base/credentials_environment.yml")
"""The only file with credentials in its name that is packed: it refers to variables of the shell."""


@click.command(cls=ProjectCommand)
@click.pass_obj
def package(metadata: ProjectMetadata) -> None:
    """Write a wheel and an archive of conf/ into dist/; keys and conf/local stay out of both."""
    conf, dist = configuration_folder(metadata), metadata.project_path / "dist"
    archive = dist / f"conf-{metadata.package_name}.tar.gz"
    left_out = pack_configuration(conf, archive)
    # The build takes what an earlier one has left there, also modules that have been deleted since.
    made = metadata.project_path / "build"
    for left in (made / "lib", *made.glob("bdist.*")):
        shutil.rmtree(left, ignore_errors=True)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(dist)]
    done = subprocess.run(build, cwd=metadata.project_path, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ConfigurationError(f"the wheel cannot be built:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    for file in left_out:
        click.echo(f"left out conf/{file}")
    click.echo(f"wrote {as_typed(archive)} and the wheel beside it")


def pack_configuration(conf: Path, archive: Path) -> list[Path]:
    """Write an archive of a folder of configuration.

    Parameters
    ----------
    conf
        The folder. Of a file that is a link, the archive holds the content.
    archive
        The ``.tar.gz`` to write; it is whole or not there.

    Returns
    -------
    list of Path
        Files that were left out, relative to the folder: those with keys, those of folders called ``local``, and those
        that are neither YAML nor JSON by their names.

    Raises
    ------
    ConfigurationError
        When a file that would be packed spells out a secret or cannot be read, or when a link leads to a folder or
        nowhere.
    """
    found = [path.relative_to(conf) for path in sorted(conf.rglob("*")) if path.is_symlink() or not path.is_dir()]
    files = [file for file in found if not _is_hidden(file)]
    kept = [file for file in files if _is_packed(file)]
    links_to_folders = [file for file in files if (conf / file).is_dir() and not _holds_keys(file)]
    for file in sorted([*kept, *links_to_folders]):
        _refuse_unfit(conf, file)
    with replacing_file(archive) as beside, tarfile.open(beside, "w:gz", dereference=True) as packed:
        for file in kept:
            packed.add(conf / file, Path("conf") / file)
    return [file for file in files if file not in kept]


def _is_packed(file: Path) -> bool:
    return file == KEYS_OF_THE_SHELL or (file.suffix in SUFFIXES and not _holds_keys(file))


def _holds_keys(file: Path) -> bool:
    return LOCAL in file.parts or "credentials" in file.as_posix().lower()


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def _refuse_unfit(conf: Path, file: Path) -> None:
    """Refuse a file that must not be packed, or cannot be."""
    path, name = conf / file, f"conf/{file.as_posix()}"
    if not path.is_file():
        raise ConfigurationError(
            f"{name} is a link to a folder or to nothing, which cannot be packed. Put the files themselves there, or "
            "remove it."
        )
    try:
        secrets = find_literal_secrets(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{name} is no YAML or JSON that can be looked through for keys, so it is not packed. Correct it, or take "
            "it out of conf/."
        ) from error
    if secrets:
        raise ConfigurationError(
            f"{name} spells out `{secrets[0]}`, which would be packed. Move it into credentials.yml of its "
            "environment, which is never packed, or into a variable of the shell: ${oc.env:NAME}."
        )

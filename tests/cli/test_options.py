"""What all commands share: errors of storage, and a folder without a configuration."""

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kedro.framework.session import KedroSession

import quant_pipeline.cli
from quant_pipeline.__main__ import Place
from quant_pipeline.cli.account import account
from quant_pipeline.cli.compile import compile_kernels
from quant_pipeline.cli.models import models
from quant_pipeline.cli.options import ProjectCommand, ProjectGroup, TypedPath
from quant_pipeline.cli.package import package
from quant_pipeline.cli.replay import replay
from tests.helpers.c_library import take_library

COMMANDS = (account, models, compile_kernels, package, replay)


def refused(command, words, place):
    done = CliRunner().invoke(command, words, obj=Place(place))
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    (line,) = done.output.strip().splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_tells_errors_of_storage_in_one_line(command):
    assert isinstance(command, ProjectCommand)


@pytest.mark.parametrize("kind", [ProjectCommand, ProjectGroup])
def test_a_full_disk_is_one_line_whatever_the_command_was_doing(kind, tmp_path):
    def write():
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"content")

    command = click.command(cls=ProjectCommand)(write)
    words = []
    if kind is ProjectGroup:
        command, words = ProjectGroup("group", commands={"write": click.Command("write", callback=write)}), ["write"]
    assert "no space is left on the disk" in refused(command, words, tmp_path)


def test_a_path_that_is_typed_may_be_an_address_or_begin_at_home_and_is_none_of_a_bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = []
    command = click.Command(
        "read", params=[click.Option(["--path"], type=TypedPath())], callback=lambda path: given.append(path)
    )
    for written in ("~/bars", (tmp_path / "bars").as_uri(), "bars"):
        assert CliRunner().invoke(command, [f"--path={written}"]).exit_code == 0
    assert given == [tmp_path / "bars", tmp_path / "bars", Path("bars")]
    assert "--path cannot lie at s3://desk/bars: it needs a folder of this machine" in refused(
        command, ["--path", "s3://desk/bars"], tmp_path
    )


def test_every_command_takes_paths_as_they_are_typed():
    """`click.Path` makes a folder called ``~`` and one called ``s3:``."""
    sources = Path(quant_pipeline.cli.__file__).parent.glob("*.py")
    assert [file.name for file in sources if "click.Path(" in file.read_text()] == []


def test_an_account_of_a_read_only_project_is_refused_in_one_line(tmp_path, monkeypatch):
    # The superuser may write anywhere, so the refusal of the system is raised where the system would raise it.
    (tmp_path / "conf" / "sim").mkdir(parents=True)

    def read_only(folder, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(folder))

    monkeypatch.setattr(Path, "mkdir", read_only)
    line = refused(account, ["new", "mine"], tmp_path)
    assert f"{tmp_path}/conf/.mine." in line
    assert "it cannot be written. Give this user the right to write there" in line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (account, ["show"]),
        (account, ["halt"]),
        (account, ["new", "mine"]),
        (models, ["list"]),
        (replay, ["--from", "2025-01-02", "--to", "2025-01-03"]),
        (package, []),
    ],
    ids=["show", "halt", "new", "models", "replay", "package"],
)
def test_without_a_configuration_the_advice_is_one_that_the_command_can_follow(command, words, tmp_path):
    assert refused(command, words, tmp_path) == (
        f"Error: There is no conf/ in {tmp_path}; start in the folder that holds it, or unpack the archive of the "
        "configuration there."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_replay_keeps_large_blocks_from_its_first_session_on(project_path, monkeypatch):
    asked, at_runs = take_library(monkeypatch), []
    monkeypatch.setattr(KedroSession, "run", lambda self, **what: at_runs.append((what, list(asked))))
    words = ["--from", "2025-01-02", "--to", "2025-01-03"]
    done = CliRunner().invoke(replay, words, obj=Place(project_path), catch_exceptions=False)
    assert done.output.strip().endswith("replayed 2 sessions, 2025-01-02 to 2025-01-03")
    assert at_runs == [({"pipeline_names": ["daily"]}, [(-3, 2**28), (-1, 2**30)])] * 2

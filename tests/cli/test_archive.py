"""`kedro archive` in a project: what goes, what is refused, and the way back."""

import shutil

import pytest
from click.testing import CliRunner

from quant_pipeline.cli.archive import archive


@pytest.fixture
def project(tmp_path, project_path):
    shutil.copytree(project_path / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf/local").mkdir()
    for day in range(1, 31):
        for path in (f"orders/2024-01-{day:02}.csv", f"08_reporting/2024-01-{day:02}/report.html"):
            file = tmp_path / "data/accounts/sim" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)
    return tmp_path


def call(project, *arguments):
    class Place:
        project_path = project

    return CliRunner().invoke(archive, [*arguments], obj=Place)


def files(project):
    return {str(path.relative_to(project)) for path in (project / "data/accounts").rglob("2024-*.csv")}


def test_old_sessions_go_and_come_back(project):
    before = files(project)
    dry = call(project, "--keep", "10", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "40 of 60 files of sessions, 2024-01-01 to 2024-01-20" in dry.output
    assert files(project) == before
    done = call(project, "--keep", "10")
    assert done.exit_code == 0, done.output
    assert "40 moved" in done.output
    assert not (project / "data/accounts/sim/orders/2024-01-20.csv").exists()
    assert (project / "data/accounts/sim/orders/2024-01-21.csv").exists()
    assert "nothing to move" in call(project, "--keep", "10").output
    assert "40 files in data/archive are as they were moved" in call(project, "verify").output
    assert "2 files are in their places again" in call(project, "restore", "2024-01-05").output
    assert (
        project / "data/accounts/sim/08_reporting/2024-01-05/report.html"
    ).read_text() == "08_reporting/2024-01-05/report.html"
    assert "38 files are in their places again" in call(project, "restore").output
    assert files(project) == before


def test_nearly_everything_goes_only_by_force(project):
    refused = call(project, "--keep", "1")
    assert refused.exit_code == 1
    assert "58 of 60 files of sessions would be moved, nearly all" in refused.output
    assert call(project, "--keep", "1", "--force").exit_code == 0


def test_a_changed_file_of_the_archive_is_found(project):
    call(project, "--keep", "10")
    (project / "data/archive/data/accounts/sim/orders/2024-01-01.csv").write_text("changed")
    wrong = call(project, "verify")
    assert wrong.exit_code == 1
    assert "2024-01-01.csv in the archive has another content" in wrong.output


def test_without_an_archive_the_command_that_makes_one_is_named(project):
    for command in ("verify", "restore"):
        missing = call(project, command)
        assert missing.exit_code == 1
        assert "there is no archive in data/archive; `kedro archive` makes one" in missing.output

"""`kedro ranking verify`: what it says of a file, and of a manifest that is none."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from quant_pipeline.cli.ranking import ranking


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ranking.csv").write_bytes(b"instrument\nAAA\n")
    stated = {
        "session": "2024-01-04",
        "execution_session": "2024-01-05",
        "sources": {"both": {"bundles": {"ridge": "B1"}}, "file": {"bundles": {}}},
        "files": {"ranking.csv": hashlib.sha256(b"instrument\nAAA\n").hexdigest()},
        "rows_sha256": "",
    }
    (tmp_path / "ranking_manifest.json").write_text(json.dumps(stated))
    return tmp_path


def verify(folder):
    return CliRunner().invoke(ranking, ["verify", str(folder / "ranking.csv")])


def test_an_unchanged_file_is_named_with_what_made_its_scores(folder):
    done = verify(folder)
    assert done.exit_code == 0, done.output
    assert "as it was written for 2024-01-04, to execute on 2024-01-05" in done.output
    assert "both: ridge B1" in done.output
    assert "file: made elsewhere" in done.output


def test_a_changed_file_ends_with_a_status(folder):
    (folder / "ranking.csv").write_bytes(b"instrument\nAAB\n")
    done = verify(folder)
    assert done.exit_code == 1
    assert "its hash differs" in done.output


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"files": {}}', None])
def test_a_manifest_that_is_none_is_named(folder, content):
    manifest = folder / "ranking_manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    done = verify(folder)
    assert done.exit_code == 1
    assert "manifest" in done.output

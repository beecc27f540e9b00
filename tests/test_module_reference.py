"""The reference of modules says what the sources say."""

import pytest

from tests.helpers.tools import load_tool


@pytest.fixture(scope="module")
def reference(project_path):
    return load_tool(project_path, "module_reference")


def test_the_page_is_what_make_reference_writes(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_module_says_what_it_is(reference):
    assert [path for path in reference.PACKAGE.rglob("*.py") if not reference.summary(path)] == []


def test_paths_of_the_architecture_exist(reference, project_path):
    page = (project_path / "docs/architecture.md").read_text(encoding="utf-8")
    quoted = page.replace("|", " ").split("`")
    paths = {word for word in quoted if word.endswith(".py") and "/" in word and "<" not in word}
    assert len(paths) > 50
    assert [path for path in sorted(paths) if not [*reference.PACKAGE.glob(path), *project_path.glob(path)]] == []

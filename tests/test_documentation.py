"""The pages lead to each other, and to nothing that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def targets(page):
    """Return where the links of a page within the project lead to: file, and heading or nothing."""
    inside = [target.partition("#") for target in LINK.findall(page.read_text()) if "://" not in target]
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in inside]


def headings(page):
    """Return the headings of a page as the parts of addresses that GitHub makes of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for file, heading in targets(page):
        assert file.exists(), file
        assert not heading or heading in headings(file), f"{file}#{heading}"


def test_the_contents_name_every_page():
    contents = ROOT / "docs" / "README.md"
    assert {file for file, _ in targets(contents)} >= {*PAGES} - {contents}

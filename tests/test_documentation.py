"""The pages lead to each other, and to nothing that is not there."""

import re
from pathlib import Path

import pytest

from quant_pipeline.factors import alpha158
from quant_pipeline.factors.signals import KINDS

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


def test_the_page_about_alpha158_explains_every_factor():
    page = (ROOT / "docs/concepts/alpha158.md").read_text()
    explained = set(re.findall(r"`(\w+)`", page))
    assert [name for name in alpha158.EXPRESSIONS if not {name, name.rstrip("0123456789")} & explained] == []


def test_the_guide_to_signals_lists_every_kind():
    page = (ROOT / "docs/guides/signals.md").read_text()
    assert [kind for kind in KINDS if kind != "expression" and f"| `{kind}` | " not in page] == []

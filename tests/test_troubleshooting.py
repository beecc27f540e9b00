"""The page on error messages quotes messages that the code can raise."""

import re

import pytest


@pytest.fixture(scope="module")
def sources(project_path):
    """Every source in one text, with strings that are split over lines joined."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in (project_path / "src").rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", text)


def quoted(page):
    return re.findall(r"^\| `([^`]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_quoted_message_is_one_of_the_code(sources, project_path):
    messages = quoted(project_path / "docs/troubleshooting.md")
    assert len(messages) > 20
    assert [message for message in messages if message not in sources] == []

"""Every Python block of README, guides and concepts runs on the tables of a finished run, as it stands there.

Blocks of docs/extending are files that `test_extending.py` writes. Blocks of a page share their names, as in notebooks.
"""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.http_service import running_service

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.parent.name != "extending" and BLOCK.search(page.read_text())
]


SERVICE = "http://127.0.0.1:8600"
"""Where the pages say that the service answers."""


def run_page(page, folder, monkeypatch):
    """Run the blocks of a page in the folder of a project; return the names that they leave."""
    monkeypatch.chdir(folder)
    text = page.read_text()
    if SERVICE not in text:
        return run_blocks(page, text)
    with running_service(folder) as running:
        return run_blocks(page, text.replace(SERVICE, running.url))


def run_blocks(page, text):
    names: dict = {}
    for number, block in enumerate(BLOCK.findall(text), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    return names


@pytest.fixture(scope="module")
def pages_ran():
    return {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_blocks_of_a_page_run(page, module_project, monkeypatch, pages_ran):
    pages_ran[page.stem if page.parent.name == "guides" else f"concepts/{page.stem}"] = run_page(
        page, module_project.path, monkeypatch
    )


def test_a_backtest_of_predictions_begins_at_their_first_test_session(module_project, monkeypatch, pages_ran):
    names = pages_ran.get("backtest") or run_page(ROOT / "docs/guides/backtest.md", module_project.path, monkeypatch)
    assert names["result"].nav.index[0] == pd.Timestamp("2024-04-01")
    predictions = names["catalog"].load("ridge_alpha158_predictions")
    assert set(predictions["segment"]) == {"valid", "test"}
    assert predictions.index[0][0] < names["market"].sessions[0]
    assert set(names["report"].metrics) >= {"sharpe", "alpha", "cost_drag"}

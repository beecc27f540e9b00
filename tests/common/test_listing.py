"""Messages about thousands of names: the first few, the count, and where all of them are."""

import ast
import json
import logging
from pathlib import Path

import pytest

import quant_pipeline
from quant_pipeline.common.listing import LISTED, first_of, say_first
from quant_pipeline.project.log_file import log_to_file

NAMES = [f"N{number:04d}" for number in range(4000)]
SOURCES = Path(quant_pipeline.__file__).parent
WHOLE = {
    "backtest/other_engines": "kinds of orders and columns of one file",
    "cli/archive.py": "four kinds of what is old",
    "cli/account_why.py": "reasons of one instrument, asked for",
    "cli/backtest.py": "a cell of a table",
    "cli/opened_models.py": "three segments, parts of a fingerprint",
    "cli/options.py": "a parameter as it is written",
    "common/machine_code/emission.py": "functions of a library",
    "common/parameters.py": "former names of one block",
    "datasets/panel_years.py": "levels of an index",
    "datasets/score_file.py": "three columns",
    "factors/expression/graph.py": "arguments of one operator",
    "factors/label_lookup.py": "levels of an index",
    "market/sources/alpaca_actions.py": "endings of one listing",
    "market/sources/files/checking.py": "kinds with their counts",
    "market/sources/files/discovery.py": "six endings",
    "market/sources/files/recognition.py": "columns of ours",
    "market/sources/files/tables.py": "a row as it stands",
    "market/sources/files/workbooks.py": "text in which other things are looked for",
    "models/gbdt.py": "measures of one round",
    "pipelines/analysis/figures.py": "a fixed number of styles and parts",
    "pipelines/backtest": "members of a combination as data; two names",
    "pipelines/execution": "counts of five states",
    "pipelines/factor_evaluation/figures.py": "three factors",
    "pipelines/model_report/page.py": "reasons of one model",
    "pipelines/order_generation/parameters.py": "kinds of stops",
    "pipelines/reporting": "sides, causes, the best three",
    "pipelines/results.py": "sides, hyperparameters, the first five, reasons of one model",
    "pipelines/signal_evaluation/page.py": "parameters of one signal",
    "project/cluster.py": "three roles",
    "project/context.py": "blocks of parameters, each of which is listed",
    "reports/wording.py": "dates, with a limit that says how many come before",
    "service/opening.py": "keys of one token",
    "service/page/panes": "facts about one thing, cells of tables",
    "service/problems.py": "cut at the length of a message",
    "service/routes": "cells of tables",
    "trading/activities/corporate.py": "records of one corporate action",
    "trading/brokers/registry.py": "parts of an adapter",
    "trading/ledger/missed.py": "kinds of what was missed",
    "trading/statements": "kinds and columns of one row",
}
"""Where a list is written whole, or up to a limit of its own, and why it is never one of a market."""


@pytest.fixture
def log(tmp_path):
    log_to_file(tmp_path, "desk")
    yield tmp_path / "logs" / "desk.jsonl"
    for handler in [each for each in logging.getLogger().handlers if each.get_name() == "log file of the environment"]:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("whole lists").removeHandler(handler)
        handler.close()


def messages(log):
    return [json.loads(line)["message"] for line in log.read_text().splitlines()]


def test_few_names_are_written_as_they_are():
    assert first_of(NAMES[:LISTED]) == ", ".join(NAMES[:LISTED])
    assert first_of([]) == ""
    assert first_of([3, None], "; ") == "3; None"


def test_thousands_of_names_become_a_line_that_says_where_all_of_them_are(log, capsys):
    assert first_of(NAMES, whole="table holdings", limit=2) == "N0000, N0001 and 3,998 more (all: table holdings)"
    assert log.read_text() == ""
    said = first_of(NAMES, limit=2)
    assert said == "N0000, N0001 and 3,998 more (all: logs/desk.jsonl)"
    assert messages(log) == [f"4000 in all: {', '.join(NAMES)}"]
    assert "N3999" not in "".join(capsys.readouterr())


def test_without_a_log_file_no_place_is_named(capsys):
    assert first_of(NAMES, "\n", limit=1) == "N0000\nand 3,999 more"
    assert capsys.readouterr() == ("", "")


def test_a_command_that_is_silent_names_no_log_that_it_does_not_write(log):
    logging.disable(logging.CRITICAL)
    try:
        assert first_of(NAMES, limit=1) == "N0000 and 3,999 more"
    finally:
        logging.disable(logging.NOTSET)
    assert log.read_text() == ""


def test_lines_are_said_up_to_the_limit_and_the_rest_is_counted(log):
    said = []
    say_first(said.append, NAMES, limit=3)
    assert said == ["N0000", "N0001", "N0002", "and 3,997 more (all: logs/desk.jsonl)"]
    assert messages(log)[-1].endswith("N3999")


def lists_without_end(code):
    """Return the lines of a source that join names themselves, or cut them at a limit of their own."""
    found = []
    for node in ast.walk(ast.parse(code)):
        is_join = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join"
        if is_join and isinstance(node.func.value, ast.Constant) and node.func.value.value in (", ", "; "):
            constant = isinstance(node.args[0], ast.Name) and node.args[0].id.isupper()
            if not constant:
                found.append(node.lineno)
        if isinstance(node, ast.FormattedValue):
            shown = node.value.value if isinstance(node.value, ast.Subscript) else node.value
            if isinstance(shown, ast.Call) and isinstance(shown.func, ast.Name) and shown.func.id == "list":
                found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "code",
    [
        'logger.warning("gone: %s", ", ".join(names))',
        "raise MarketDataError(f\"no bars of {', '.join(missing[:5])} …\")",
        'text = "; ".join(f"{name} failed" for name in names)',
        'f"it has {list(table.columns)[:8]}"',
        'f"it has {list(table.columns)}"',
    ],
)
def test_a_list_without_end_is_found_in_a_source(code):
    assert lists_without_end(code) == [1]


def test_no_message_of_the_project_lists_names_without_end():
    found = {}
    for file in sorted(SOURCES.rglob("*.py")):
        name = file.relative_to(SOURCES).as_posix()
        if name.startswith(("testing/", "common/listing.py", *WHOLE)):
            continue
        if lines := lists_without_end(file.read_text(encoding="utf-8")):
            found[name] = lines
    assert found == {}, "write it with common.listing.first_of, or say in WHOLE why it cannot be one of a market"
    unused = [place for place in WHOLE if not any((SOURCES / place).rglob("*.py")) and not (SOURCES / place).is_file()]
    assert unused == []

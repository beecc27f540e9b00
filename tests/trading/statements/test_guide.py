"""The examples of the guide do what the guide says."""

import re
from decimal import Decimal

import pytest
import yaml

from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.statements import StatementImportParameters, import_statements
from tests.helpers.broker_statements import csv_file, xlsx_file


@pytest.fixture(scope="module")
def guide(project_path):
    return (project_path / "docs/guides/statements.md").read_text(encoding="utf-8")


def test_the_file_written_by_hand(guide, read):
    text = re.search(r"```\n(date,kind.*?)```", guide, re.DOTALL).group(1)
    state = fold([entry.event for entry in read(csv_file(text, "plain.csv"))])
    assert state.cash == Decimal("1012.5")
    assert (state.positions["GE"].cost, state.positions["GEV"].cost) == (400, 100)


def test_another_broker_without_code(guide):
    block = yaml.safe_load(re.search(r"```yaml\n(.*?)```", guide, re.DOTALL).group(1))
    parameters = StatementImportParameters.model_validate(block["statement_import"])
    header = [
        "Reference",
        "Booked",
        "Type",
        "Market",
        "Ticker",
        "Pieces",
        "Rate",
        "Commission",
        "Tax",
        "Debit",
        "Balance",
    ]
    rows = [
        [1, "02.01.2025", "Transfer in", "", "", "", "", "", "", -1000, 1000],
        [2, "03.01.2025", "Purchase", "Xetra", "SAP", 3, 240.5, 4.9, 0.1, 726.5, 273.5],
        [3, "06.01.2025", "Sale", "Xetra", "SAP", 1, 250, 4.9, 1.1, -244, 517.5],
        [4, "06.01.2025", "Transfer out", "", "", "", "", "", "", 17.5, 500],
        ["", "", "Total", "", "", "", "", "", "", "", ""],
    ]
    entries = import_statements([xlsx_file(rows, "my_broker.xlsx", header)], parameters, "XNYS").entries
    state = fold([entry.event for entry in entries])
    assert state.cash == 500
    assert state.positions["DESAP"].quantity == 2

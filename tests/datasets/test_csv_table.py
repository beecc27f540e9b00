"""CSV that a spreadsheet opens as text, and that is read back as it was saved."""

import csv

import pandas as pd
import pytest

from quant_pipeline.datasets.atomic import CsvTable

PAYLOADS = ["=cmd|'/C calc'!A0", "+1+1", "-Delta($close, 5)", "@SUM(A1)", "\t=1"]


def saved(tmp_path, table):
    dataset = CsvTable(filepath=str(tmp_path / "orders.csv"), save_args={"index": False})
    dataset.save(table)
    return dataset


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_begins_as_a_formula_and_loading_gives_the_text_back(tmp_path, payload):
    table = pd.DataFrame({"instrument": [payload, "AAPL"], "quantity": [-5, 3]})
    dataset = saved(tmp_path, table)
    with (tmp_path / "orders.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [f"'{payload}", "-5"]
    pd.testing.assert_frame_equal(dataset.load(), table)


def test_numbers_and_plain_texts_stay_as_they_are(tmp_path):
    table = pd.DataFrame(
        {"amount": ["-1.50", "+2"], "reason": ["rank 1 - among the best", None], "weight": [-0.5, 0.5]}
    )
    saved(tmp_path, table)
    assert (
        tmp_path / "orders.csv"
    ).read_text() == "amount,reason,weight\n-1.50,rank 1 - among the best,-0.5\n+2,,0.5\n"


def test_text_with_an_apostrophe_of_its_own_comes_back(tmp_path):
    table = pd.DataFrame({"name": ["'quoted'", "d'Or"]})
    pd.testing.assert_frame_equal(saved(tmp_path, table).load(), table)

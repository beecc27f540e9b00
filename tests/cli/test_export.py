"""Tables of the catalog as files to open, in the project of a small copy of the configuration."""

import shutil
from types import SimpleNamespace

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.io import DataCatalog, MemoryDataset

from quant_pipeline.cli.export import export, table_of
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.models.panels import MemoryPanel

HELD = pd.DataFrame({"instrument": ["AAA", "=B"], "quantity": [10, 5], "price": [0.1 + 0.2, 2.0]})


@pytest.fixture
def run(project_path, tmp_path, monkeypatch):
    shutil.copytree(project_path / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/accounts/sim/holdings"
    folder.mkdir(parents=True)
    HELD.to_parquet(folder / "2024-12-31.parquet")
    return lambda *words: CliRunner().invoke(export, words, obj=SimpleNamespace(project_path=tmp_path))


def test_a_table_becomes_a_csv_with_rounded_numbers_and_no_formula(run, tmp_path):
    done = run("holdings", "--params", "as_of=2024-12-31")
    assert done.output == "holdings: 2 rows in exports/holdings.csv\n"
    assert (tmp_path / "exports/holdings.csv").read_text() == "instrument,quantity,price\nAAA,10,0.3\n'=B,5,2.0\n"


def test_a_table_becomes_a_workbook(run, tmp_path):
    assert run("holdings", "--to", "xlsx", "--path", "mine.xlsx", "--params", "as_of=2024-12-31").exit_code == 0
    rows = list(openpyxl.load_workbook(tmp_path / "mine.xlsx")["holdings"].values)
    assert rows == [("instrument", "quantity", "price"), ("AAA", 10, 0.3), ("'=B", 5, 2)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("holdngs", "the catalog has no dataset 'holdngs'; did you mean 'holdings'?"),
        ("backtest_nav", "nothing is stored in 'backtest_nav' yet"),
    ],
)
def test_what_cannot_be_exported_is_named(run, name, said):
    done = run(name)
    assert done.exit_code == 1
    assert said in done.output


def test_a_panel_gets_its_index_as_columns_and_a_mapping_is_one_row():
    index = pd.MultiIndex.from_tuples([(pd.Timestamp("2024-01-02"), "A")], names=["datetime", "instrument"])
    catalog = DataCatalog(
        {
            "panel": MemoryDataset(pd.DataFrame({"score": [1.0]}, index=index)),
            "facts": MemoryDataset({"sharpe": 1.5, "of": {"model": "a"}}),
            "stored": MemoryDataset(MemoryPanel(pd.DataFrame({"factor": [2.0]}, index=index))),
            "text": MemoryDataset("a page"),
        }
    )
    assert table_of(catalog, "panel").columns.tolist() == ["datetime", "instrument", "score"]
    assert table_of(catalog, "stored").columns.tolist() == ["datetime", "instrument", "factor"]
    assert table_of(catalog, "facts").to_dict("records") == [{"sharpe": 1.5, "of.model": "a"}]
    with pytest.raises(ConfigurationError, match="'text' is no table but str"):
        table_of(catalog, "text")

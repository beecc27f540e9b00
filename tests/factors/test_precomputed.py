"""A file of factors computed elsewhere is checked before it counts."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.datasets.factor_file import FactorFile
from quant_pipeline.factors.precomputed import check_precomputed

SESSIONS = pd.bdate_range("2024-01-01", periods=5)
INSTRUMENTS = pd.Index(["AAA", "BBB"])


def table(**columns):
    rows = pd.DataFrame({"datetime": SESSIONS.repeat(2), "instrument": ["BBB", "AAA"] * 5})
    return rows.assign(**({"alpha": np.arange(10.0)} | columns))


def check(given):
    return check_precomputed(given, SESSIONS, INSTRUMENTS)


@pytest.mark.parametrize(
    "given",
    [
        table(),
        table().rename(columns={"datetime": "date"}),
        table().set_index(["datetime", "instrument"]),
        table().set_index(["instrument", "datetime"]),
        table().set_index("datetime"),
        table(alpha=np.arange(10)),
        table().rename(columns={"instrument": "ticker"}),
        table().assign(datetime=[day.date() for day in SESSIONS.repeat(2)]),
        table()
        .set_index(["datetime", "instrument"])
        .set_axis(pd.MultiIndex.from_tuples([("feature", "alpha")]), axis=1),
    ],
    ids=[
        "columns",
        "date",
        "index",
        "turned index",
        "half an index",
        "whole numbers",
        "ticker",
        "days of polars",
        "RD-Agent",
    ],
)
def test_every_usual_layout_becomes_a_sorted_panel(given):
    panel = check(given)
    assert panel.index.names == ["datetime", "instrument"]
    assert panel.index.is_monotonic_increasing
    assert panel["alpha"].dtype == "float32"
    assert panel.loc[(SESSIONS[1], "AAA"), "alpha"] == 3.0


def test_a_column_without_a_name_is_called_by_its_number():
    unnamed = table().set_index(["datetime", "instrument"]).set_axis(pd.Index([0]), axis=1)
    assert check(unnamed).columns.tolist() == ["0"]


def test_infinite_values_are_missing():
    assert np.isnan(check(table(alpha=[np.inf, *range(9)])).loc[(SESSIONS[0], "BBB"), "alpha"])


def test_instruments_outside_the_market_are_left_out_and_counted(caplog):
    panel = check(pd.concat([table(), table().assign(instrument="ZZZ").drop_duplicates("datetime")]))
    assert len(panel) == 10
    assert "5 rows" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (table().head(0), "no rows"),
        (table().drop(columns="instrument"), "needs 'datetime' and 'instrument'"),
        (table().assign(date=SESSIONS.repeat(2)), "needs 'datetime' and 'instrument'"),
        (table().drop(columns="alpha"), "no factor"),
        (table(alpha=list("abcdefghij")), "'alpha' of the factor file holds"),
        (table(alpha=[True, False] * 5), "'alpha' of the factor file holds bool"),
        (table().assign(datetime=table()["datetime"].dt.strftime("%Y-%m-%d")), "not timestamps"),
        (table().assign(datetime=table()["datetime"].dt.tz_localize("UTC")), "time zone UTC"),
        (table(instrument=[1, 2] * 5), "no text"),
        (table(instrument=["AAA", None] * 5), "missing sessions"),
        (pd.concat([table(), table().head(1)]), "1 duplicate rows, the first for BBB on 2024-01-01"),
        (table().assign(datetime=table()["datetime"] + pd.Timedelta(hours=16)), "not on sessions"),
        (table().assign(datetime=table()["datetime"] + pd.Timedelta(days=365)), "not on sessions up to 2024-01-05"),
        (table().assign(instrument=["aaa", "bbb"] * 5), "no instrument of the factor file"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(given, message):
    with pytest.raises(FactorError, match=message):
        check(given)


def test_a_repeated_name_is_refused():
    given = table(beta=1.0).set_index(["datetime", "instrument"]).set_axis(["alpha", "alpha"], axis=1)
    with pytest.raises(FactorError, match="'alpha' twice"):
        check(given)


def test_no_file_is_a_valid_answer_and_a_wrong_one_is_not(tmp_path):
    assert FactorFile(None).load() is None
    table().to_parquet(tmp_path / "factors.parquet")
    assert len(FactorFile(str(tmp_path / "factors.parquet")).load()) == 10
    with pytest.raises(Exception, match="no factor file"):
        FactorFile(str(tmp_path / "absent.parquet")).load()
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(Exception, match="cannot be read as Parquet"):
        FactorFile(str(tmp_path / "broken.parquet")).load()

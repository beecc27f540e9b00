"""A file of factors computed elsewhere is checked before it counts."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.datasets.factor_file import FactorFile
from quant_pipeline.factors.precomputed import check_precomputed

SESSIONS = pd.bdate_range("2024-01-01", periods=5)
INSTRUMENTS = pd.Index(["AAA", "BBB"])
FAR = pd.Timestamp("9999-12-31").as_unit("us")


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
        (table(fold=1).set_index(["datetime", "instrument", "fold"]), "the index of the factor file holds 'fold'"),
        (table().rename_axis("row"), "the index of the factor file holds 'row'"),
        (table(alpha=list("abcdefghij")), "'alpha' of the factor file holds"),
        (table(alpha=[True, False] * 5), "'alpha' of the factor file holds bool"),
        (table().assign(datetime=table()["datetime"].dt.strftime("%Y-%m-%d")), "not timestamps"),
        (table().assign(datetime=table()["datetime"].dt.tz_localize("UTC")), "time zone UTC"),
        (table(instrument=[1, 2] * 5), "no text"),
        (table(instrument=["AAA", None] * 5), "missing sessions"),
        (pd.concat([table(), table().head(1)]), "1 duplicate rows, the first for BBB on 2024-01-01"),
        (table().assign(datetime=table()["datetime"] + pd.Timedelta(hours=16)), "not on sessions"),
        (table().assign(datetime=table()["datetime"] + pd.Timedelta(days=365)), "not on sessions up to 2024-01-05"),
        (table().assign(datetime=[*[day.date() for day in SESSIONS.repeat(2)][:9], date(9999, 12, 31)]), "9999-12-31"),
        (table().assign(datetime=SESSIONS.repeat(2).as_unit("us").where([True] * 9 + [False], FAR)), "9999-12-31"),
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


# RD-Agent's files: a panel of several factors, float32, with values that are missing.
FACTORS = pd.DataFrame(
    {"RESI5": np.linspace(-1, 1, 10, dtype="float32"), "MOM_10": [np.nan, *range(9)], "VOL": 0.5},
    index=pd.MultiIndex.from_product([SESSIONS, ["AAA", "BBB"]], names=["datetime", "instrument"]),
)
RD_AGENT = {
    "columns of two levels": FACTORS.set_axis(pd.MultiIndex.from_product([["feature"], FACTORS.columns]), axis=1),
    "instrument first": FACTORS.swaplevel().sort_index(),
    "nullable numbers": FACTORS.astype("Float32"),
    "microseconds": FACTORS.set_axis(FACTORS.index.set_levels(SESSIONS.astype("datetime64[us]"), level=0)),
    "a category of instruments": FACTORS.reset_index().astype({"instrument": "category"}),
}


@pytest.mark.parametrize("given", RD_AGENT.values(), ids=RD_AGENT)
def test_several_factors_of_rd_agent_are_read_with_what_is_missing(given):
    panel = check(given)
    assert panel.columns.tolist() == ["RESI5", "MOM_10", "VOL"]
    assert set(panel.dtypes.astype(str)) == {"float32"}
    assert panel["MOM_10"].isna().tolist() == [True] + [False] * 9
    assert panel.loc[(SESSIONS[4], "BBB"), "MOM_10"] == 8.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (FACTORS.rename_axis([None, None]), "needs 'datetime' and 'instrument'"),
        (FACTORS.set_axis(FACTORS.index.set_levels(SESSIONS + pd.Timedelta("15h"), level=0)), "at midnight"),
        (FACTORS.astype(object), "'RESI5' of the factor file holds object, not numbers"),
        (FACTORS.rename(index=str.lower, level=1), "no instrument of the factor file is in the market"),
        (FACTORS.assign(CAP=1e39), "factor 'CAP' of the factor file reaches 1e\\+39, more than the float32"),
    ],
)
def test_a_panel_of_rd_agent_that_would_be_read_wrong_is_refused(given, words):
    with pytest.raises(FactorError, match=words):
        check(given)


def test_a_factor_without_any_value_is_named(caplog):
    check(FACTORS.assign(NOTHING=np.nan))
    assert "without any value: NOTHING" in caplog.text


def test_a_file_of_hdf_is_refused_with_the_command_that_converts_it(tmp_path):
    file = tmp_path / "result.h5"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    with pytest.raises(DatasetError, match=r"pandas.read_hdf\('result.h5'\)"):
        FactorFile(str(file)).load()

"""Factor files of Kenneth French's data library: what they are read as, and bad ones refused with the row."""

import numpy as np
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.evaluation.risk_factors.published import read_published_factors

HEAD = """This file was created by CMPT_ME_BEME_RETS_DAILY using the 202410 CRSP database.
The Tbill return is the simple daily rate that, over the number of trading days

,Mkt-RF,SMB,HML,RF
"""
ROWS = """20240102,   -0.70,   -1.03,    1.61,   0.022
20240103,   -0.99, -99.99,    0.44,   0.022
20240104,   -0.25,   -0.11,  -999,   0.022
"""
FOOT = """
  Annual Factors: January-December
,Mkt-RF,SMB,HML,RF
  2023,   21.69,   -3.94,  -13.70,   4.95

Copyright 2024 Eugene F. Fama and Kenneth R. French
"""


def test_percent_become_fractions_codes_become_missing_and_the_annual_section_is_left_out():
    table = read_published_factors(HEAD + ROWS + FOOT, "F-F.csv")
    assert list(table.columns) == ["Mkt-RF", "SMB", "HML", "RF"]
    assert [f"{day:%Y-%m-%d}" for day in table.index] == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert table.iloc[0].tolist() == pytest.approx([-0.007, -0.0103, 0.0161, 0.00022])
    assert np.isnan(table["SMB"].iloc[1])
    assert np.isnan(table["HML"].iloc[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS, "has no header"),
        (HEAD, "has no rows below its header"),
        (HEAD + ROWS.replace("20240103", "202401"), "row 6: '202401' is no day; download the daily file"),
        (HEAD + ROWS.replace("20240103", "2024"), "row 6: '2024' is no day"),
        (HEAD + ROWS.replace("20240103", "20240230"), "row 6: '20240230' is no date"),
        (HEAD + ROWS.replace("20240103", "20240102"), "row 6: 20240102 comes after 20240102"),
        (HEAD + ROWS.replace("0.44", "o.44"), "row 6, column HML: 'o.44' is no number"),
        (HEAD + ROWS.replace("0.44", ""), "row 6, column HML: '' is no number"),
        (HEAD + ROWS.replace("0.44", "nan"), "row 6, column HML: nan per cent in a day cannot be"),
        (HEAD + ROWS.replace("0.44", "440"), "row 6, column HML: 440 per cent in a day cannot be"),
        (HEAD + ROWS.replace(",   0.022\n20240104", "\n20240104"), "row 6 has 3 values for 4 factors"),
        (HEAD.replace("HML", "SMB") + ROWS, "row 4: a factor is named twice"),
        (HEAD + ROWS.replace("20240103", "2O240103"), "row 6: '2O240103' is no date; correct or remove the row"),
        (HEAD + ROWS.replace("20240104", "2024-01-04"), "row 7: '2024-01-04' is no date; correct or remove the row"),
        (HEAD + ROWS.replace("20240104", "") + FOOT, "row 7: '' is no date; correct or remove the row"),
        (
            HEAD + ROWS.replace("20240103", "\n20240103"),
            "row 6: it is empty, and days go on in row 7; correct or remove",
        ),
        (HEAD + ROWS.replace("20240103", "no data\n20240103"), "row 6: 'no data' is no date, and days go on in row 7"),
        (HEAD + ROWS.replace("20240103", "20240103x"), "row 6: '20240103x' is no date"),
        (HEAD + ROWS.replace("20240103,   -0.99", "x,   o.99"), "row 6: 'x' is no date, and days go on in row 7"),
    ],
)
def test_bad_files_are_refused_with_the_row(text, message):
    with pytest.raises(MarketDataError, match=message):
        read_published_factors(text, "F-F.csv")


def test_second_section_of_days_has_its_own_header_and_is_left_out():
    table = read_published_factors(
        HEAD + ROWS + "\n  Equal weighted\n" + HEAD.splitlines()[-1] + "\n" + ROWS, "F-F.csv"
    )
    assert len(table) == 3


def test_return_without_risk_has_one_name():
    assert list(read_published_factors(HEAD.replace("RF", "rf") + ROWS, "F-F.csv").columns)[-1] == "RF"


def test_fractions_are_not_taken_for_per_cent():
    random = np.random.default_rng(1)
    rows = [f"202401{day:02d}, {random.normal(0, 0.01):.4f}, 0.001, 0.001, 0.0001" for day in range(1, 31)]
    with pytest.raises(MarketDataError, match="seem to be fractions"):
        read_published_factors(HEAD + "\n".join(rows), "F-F.csv")

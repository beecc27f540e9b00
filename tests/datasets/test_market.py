"""Market sources as the catalog sees them."""

import pandas as pd
import pytest
from kedro.io import DatasetError

from quant_pipeline.datasets.market import Market

SMALL = {"seed": 3, "n_instruments": 6, "start": "2021-01-04", "end": "2021-06-30"}


def test_the_embedded_market_is_cut_at_the_session(tmp_path):
    market = Market("simulated", as_of="2021-03-31", parameters=SMALL).load()
    assert market.as_of == pd.Timestamp("2021-03-31")
    assert market.bars["date"].max() == pd.Timestamp("2021-03-31")


def test_a_market_is_observed_not_written():
    with pytest.raises(DatasetError, match="source 'simulated' is read-only"):
        Market("simulated", as_of="2021-03-31", parameters=SMALL).save(pd.DataFrame())


def test_files_of_the_embedded_market_are_the_embedded_market(tmp_path):
    market = Market("simulated", as_of="2021-03-31", parameters=SMALL).load()
    folder = tmp_path / "files"
    folder.mkdir()
    for instrument, bars in market.bars.groupby("instrument"):
        bars.drop(columns="instrument").to_csv(folder / f"{instrument}.csv", index=False)
    read = Market("files", "2021-03-31", {"folder": str(folder)}, cache=str(tmp_path / "cache")).load()
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(read.bars[columns], market.bars[columns])
    earlier = Market("files", "2021-02-26", {"folder": str(folder)}, cache=str(tmp_path / "cache")).load()
    assert earlier.bars["date"].max() == pd.Timestamp("2021-02-26")

"""Market sources as the catalog sees them."""

from dataclasses import replace

import pandas as pd
import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets.market import Market, require_names

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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../../evil", "holds a sign that names of files cannot have"),
        ("/abs/path", "holds a sign that names of files cannot have"),
        ("..", "is a path"),
        ("A\nB", "holds a sign that names of files cannot have"),
        ("A" * 101, "is longer than 100 signs"),
    ],
)
def test_a_name_that_could_be_a_path_is_refused_whatever_source_it_comes_from(name, words):
    market = Market("simulated", as_of="2021-03-31", parameters=SMALL).load()
    first = market.instruments["instrument"].iloc[0]
    for table in ("bars", "instruments"):
        changed = getattr(market, table).replace({"instrument": {first: name}})
        with pytest.raises(MarketDataError, match=f"market source 'mine' .*{words}"):
            require_names(replace(market, **{table: changed}), "mine")


def test_names_that_differ_by_capital_letters_only_are_refused():
    market = Market("simulated", as_of="2021-03-31", parameters=SMALL).load()
    first, second = market.instruments["instrument"].iloc[:2]
    bars = market.bars.replace({"instrument": {second: first.lower()}})
    with pytest.raises(MarketDataError, match=f"{first} and {first.lower()} differ by capital letters only"):
        require_names(replace(market, bars=bars), "mine")

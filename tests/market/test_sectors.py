"""Sectors beside the bars."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.sectors import add_sector_numbers

INSTRUMENTS = pd.DataFrame({"instrument": ["AAA", "BBB", "CCC", "DDD"], "sector": ["Tech", "Energy", "Tech", ""]})


def test_instruments_of_a_sector_share_a_number():
    bars = pd.DataFrame({"instrument": ["CCC", "AAA", "BBB", "DDD"], "close": 1.0})
    numbered = add_sector_numbers(bars, INSTRUMENTS)
    assert numbered["sector"].tolist() == [2.0, 2.0, 1.0, 0.0]
    assert "sector" not in bars


def test_an_unknown_instrument_is_named():
    with pytest.raises(MarketDataError, match="'ZZZ' has bars but no row"):
        add_sector_numbers(pd.DataFrame({"instrument": ["AAA", "ZZZ"]}), INSTRUMENTS)

import numpy as np
import pandas as pd

from quant_pipeline.market.volume import has_traded


def test_a_bar_is_of_trades_when_it_has_a_close_and_a_volume_that_is_not_zero():
    bars = pd.DataFrame({"close": [10.0, 10.0, np.nan, 10.0, 10.0], "volume": [1.0, 0.0, 5.0, np.nan, 0.4]})
    # Four tenths of a coin are a trade; a volume that is not known is none of zero.
    assert has_traded(bars).tolist() == [True, False, False, True, True]
    assert has_traded(bars[["close"]]).tolist() == [True, True, False, True, True]

"""What ingestion refuses before the first table is stored."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.delistings import EndedBars
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.pipelines.ingestion.nodes import read_market

AS_OF = "2024-06-28"


@pytest.mark.parametrize(
    ("universe", "message"),
    [
        ("csi300", "no universe 'csi300': its market source has none"),
        ({"sectors": ["Enery"]}, "unknown sector 'Enery'"),
    ],
)
def test_a_universe_that_the_market_lacks_stops_the_node_that_makes_every_table(universe, message):
    market = generate_market(SimulatedMarketParameters(n_instruments=3, start="2024-01-02", end=AS_OF))
    with pytest.raises(ConfigurationError, match=message):
        read_market(
            market.as_of(pd.Timestamp(AS_OF)),
            UniverseParameters.model_validate(universe),
            EndedBars(),
            MarketRules(),
            AS_OF,
        )

"""Every shipped source passes the contract that the project ships."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.market import Market
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.market.sources.source import SHIPPED
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, MarketTape
from quant_pipeline.testing.market_source_contract import MarketSourceContract


class TestSimulated(MarketSourceContract):
    source = "simulated"

    def make_parameters(self, folder):
        return {"seed": 3, "n_instruments": 6, "start": "2021-01-04", "end": "2021-06-30"}


class TestChina(MarketSourceContract):
    source = "china"
    calendar = "XSHG"

    def make_parameters(self, folder):
        return {"simulated": {"seed": 3, "n_instruments": 8, "start": "2021-01-04", "end": "2021-06-30"}}


class TestFiles(MarketSourceContract):
    source = "files"

    def make_parameters(self, folder):
        self.example().bars.to_parquet(folder / "bars.parquet")
        return {"folder": str(folder), "bars": "bars.parquet"}


class TestQlib(MarketSourceContract):
    source = "qlib"

    def make_parameters(self, folder):
        market = self.example()
        sessions = pd.DatetimeIndex(sorted(market.bars["date"].unique()))
        adjusted = adjust_bars(market.bars, market.corporate_actions)
        write_provider(adjusted, sessions, folder / "qlib", benchmark=market.benchmark)
        return {"provider_uri": str(folder / "qlib")}


class TestAlpaca(MarketSourceContract):
    source = "alpaca"
    credentials = {"api_key": API_KEY, "secret_key": SECRET_KEY}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _server(self):
        market = self.example()
        bars = market.bars.drop(columns="vendor_adjusted_close")
        # Alpaca has bars of every symbol that is asked for, also at the earlier session.
        self.names = sorted(bars.loc[bars["date"] == bars["date"].min(), "instrument"])
        self.server = FakeAlpaca(tape=MarketTape(bars, market.corporate_actions[:0])).start()
        yield
        self.server.stop()

    def make_parameters(self, folder):
        return {
            "symbols": self.names[:-1],
            "benchmark": self.names[-1],
            "start": "2021-01-04",
            "url": self.server.url,
            "pause_seconds": 0.001,
        }


def test_every_shipped_source_is_tested_here():
    tested = {case.source for case in MarketSourceContract.__subclasses__() if case.__module__ == __name__}
    assert tested == set(SHIPPED)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"source": "file"}, "there is no market source 'file'. Did you mean 'files'?"),
        ({"source": "my_sources.nowhere.MINE"}, "put it into src/ of the project"),
        (
            {"source": "files", "parameters": {"bars": 3, "folder": "."}},
            "market source 'files': `bars` is 3; it should",
        ),
    ],
)
def test_a_source_that_cannot_be_used_names_the_remedy(entry, words):
    with pytest.raises(ConfigurationError) as raised:
        Market(as_of="2021-03-31", **entry)
    assert words in raised.value.message


def test_the_example_has_halts_and_ends_after_the_session():
    example = MarketSourceContract.example()
    bars = example.bars.pivot(index="date", columns="instrument", values="close")
    assert bars.isna().any(axis=None)
    assert example.as_of > pd.Timestamp(MarketSourceContract.as_of)

"""The contract of market sources, as tests to inherit; every shipped source passes them.

    class TestMine(MarketSourceContract):
        source = "my_sources.sqlite.SQLITE"

        def make_parameters(self, folder):
            return {"database": write_database(folder, self.example())}

pytest finds the inherited tests. A source that reads what a test can write is given `example`, a small market; one that
asks a vendor names symbols, and sessions that the vendor has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.market import Market
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.schemas import BARS_SCHEMA, CORPORATE_ACTIONS_SCHEMA, INSTRUMENTS_SCHEMA
from quant_pipeline.market.sources.derived import mean_benchmark
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

BENCHMARK_COLUMNS = ["date", "open", "high", "low", "close", "volume", "total_return_close", "dividend_return"]


class MarketSourceContract:
    """What every market source must do.

    Attributes
    ----------
    source
        Short name or dotted path of the source.
    credentials
        Keys, for a source that needs them.
    earlier, as_of
        Two sessions at which the market is observed.
    calendar
        Exchange calendar of the sessions.
    """

    source: ClassVar[str]
    credentials: ClassVar[dict[str, str | None]] = {}
    earlier: ClassVar[str] = "2021-02-26"
    as_of: ClassVar[str] = "2021-03-31"
    calendar: ClassVar[str] = "XNYS"

    def make_parameters(self, folder: Path) -> dict[str, Any]:
        """Return the source's own block; `folder` is empty, for what the source is to read."""
        return {}

    @staticmethod
    def example() -> MarketData:
        """Return a small market up to `as_of` and beyond: six instruments, one of which is halted now and then."""
        parameters = SimulatedMarketParameters(
            seed=3, n_instruments=6, start="2021-01-04", end="2021-06-30", halt_rate=0.01
        )
        return generate_market(parameters).as_of(pd.Timestamp("2021-06-30"))

    def read(self, folder: Path, as_of: str | None = None) -> MarketData:
        """Read the market through the dataset of the catalog."""
        folder.mkdir(exist_ok=True)
        return Market(
            self.source,
            as_of or self.as_of,
            self.make_parameters(folder),
            credentials=self.credentials,
            credentials_name="contract",
        ).load()

    def test_the_tables_fit_their_schemas(self, tmp_path: Path) -> None:
        """Deliver the columns, types and keys that the catalog checks."""
        market = self.read(tmp_path)
        BARS_SCHEMA.validate(market.bars)
        CORPORATE_ACTIONS_SCHEMA.validate(market.corporate_actions)
        INSTRUMENTS_SCHEMA.validate(market.instruments)
        assert _benchmark_of(market).columns.tolist() == BENCHMARK_COLUMNS
        assert market.bars.equals(market.bars.sort_values(["instrument", "date"], ignore_index=True))

    def test_nothing_later_than_the_session_is_delivered(self, tmp_path: Path) -> None:
        """Observe the market at the close of `as_of`."""
        market = self.read(tmp_path)
        cut = pd.Timestamp(self.as_of)
        assert market.as_of == cut
        assert market.bars["date"].max() == cut
        assert _benchmark_of(market)["date"].max() == cut
        assert (market.corporate_actions["date"] <= cut).all()
        assert (market.instruments["listed"] <= cut).all()

    def test_what_was_known_earlier_is_not_restated(self, tmp_path: Path) -> None:
        """Deliver prices as traded: later splits and dividends change no earlier bar."""
        early, late = self.read(tmp_path / "early", self.earlier), self.read(tmp_path / "late")
        keys = ["instrument", "date", "open", "high", "low", "close", "volume"]
        known = late.bars[late.bars["date"] <= pd.Timestamp(self.earlier)]
        pd.testing.assert_frame_equal(early.bars[keys], known[keys].reset_index(drop=True), check_exact=True)

    def test_bars_are_of_sessions_and_consistent(self, tmp_path: Path) -> None:
        """Deliver one bar per instrument and session of the calendar; a halt is an absent row."""
        bars = self.read(tmp_path).bars
        sessions = TradingCalendar.of(self.calendar, bars["date"].min(), pd.Timestamp(self.as_of)).sessions
        assert bars["date"].isin(sessions).all()
        assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
        assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()

    def test_every_instrument_with_bars_is_listed(self, tmp_path: Path) -> None:
        """Name every instrument, and list it no later than its first bar."""
        market = self.read(tmp_path)
        listed = market.instruments.set_index("instrument")["listed"]
        first = market.bars.groupby("instrument")["date"].min()
        assert set(first.index) <= set(listed.index)
        assert (listed.reindex(first.index) <= first).all()

    def test_bars_and_corporate_actions_can_be_adjusted(self, tmp_path: Path) -> None:
        """Deliver what ingestion makes adjusted bars of."""
        market = self.read(tmp_path)
        adjusted = adjust_bars(market.bars, market.corporate_actions)
        assert len(adjusted) == len(market.bars)
        assert (adjusted[["open", "high", "low", "close", "factor"]] > 0).all(axis=None)

    def test_reading_twice_gives_the_same(self, tmp_path: Path) -> None:
        """Depend on nothing but the parameters and the session."""
        first, second = self.read(tmp_path / "first"), self.read(tmp_path / "second")
        for name in ("bars", "corporate_actions", "instruments"):
            pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
        pd.testing.assert_frame_equal(_benchmark_of(first), _benchmark_of(second), check_exact=True)

    def test_a_misspelt_parameter_is_refused_by_its_key(self, tmp_path: Path) -> None:
        """Declare parameters as typed fields."""
        refusal = ""
        try:
            Market(self.source, self.as_of, {**self.make_parameters(tmp_path), "a_misspelt_key": 1})
        except ConfigurationError as error:
            refusal = error.message
        assert "a_misspelt_key" in refusal

    def test_no_key_is_described(self, tmp_path: Path) -> None:
        """Keep keys out of logs and descriptions."""
        keys: dict[str, str | None] = {"api_key": "a-key-of-no-account", "secret_key": "a-secret-of-no-account"}
        described = repr(Market(self.source, self.as_of, self.make_parameters(tmp_path), credentials=keys))
        assert "of-no-account" not in described


def _benchmark_of(market: MarketData) -> pd.DataFrame:
    """Return the benchmark that ingestion stores."""
    return mean_benchmark(market.bars, market.corporate_actions) if market.benchmark is None else market.benchmark

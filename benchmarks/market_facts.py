"""Stylised facts of the embedded market beside those of a real one.

``python benchmarks/market_facts.py --market-folder path/to/real/bars`` prints the table of
``docs/concepts/simulated-market.md``.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

REAL_FILES = FilesMarketParameters(
    bars="us_daily.parquet", benchmark="us_benchmark_daily.parquet", securities="us_securities.csv"
)


def facts_of(market: MarketData) -> dict[str, float]:
    """Measure one market on its adjusted bars."""
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    prices = ("open", "high", "low", "close")
    wide = {name: adjusted.pivot(index="date", columns="instrument", values=name) for name in prices}
    returns = np.log(wide["close"]).diff()
    common = returns.mean(axis=1)
    own = returns.sub(common, axis=0)
    gap = np.log(wide["open"] / wide["close"].shift())
    day = np.log(wide["close"] / wide["open"])
    pairs = returns.corr().to_numpy()[np.triu_indices(returns.shape[1], 1)]
    score = -((wide["close"] - wide["low"]) / (wide["high"] - wide["low"])).rolling(5).mean()
    label = wide["open"].shift(-2) / wide["open"].shift(-1) - 1
    index = ["datetime", "instrument"]
    rank_ic = information_coefficients(score.stack().rename_axis(index), label.stack().rename_axis(index))["rank_ic"]
    return {
        "volatility of an instrument, per year": returns.std().median() * np.sqrt(252),
        "kurtosis of an instrument": returns.kurt().median(),
        "volatility of the mean, per year": common.std() * np.sqrt(252),
        "kurtosis of the mean": common.kurt(),
        "correlation of two instruments": float(np.nanmean(pairs)),
        "autocorrelation of returns, lag 1": own.apply(lambda column: column.autocorr(1)).median(),
        "autocorrelation of |returns|, lag 1": returns.abs().apply(lambda column: column.autocorr(1)).median(),
        "autocorrelation of |returns|, lag 20": returns.abs().apply(lambda column: column.autocorr(20)).median(),
        "daily range, part of close": ((wide["high"] - wide["low"]) / wide["close"]).median().median(),
        "overnight volatility, per year": gap.std().median() * np.sqrt(252),
        "intraday volatility, per year": day.std().median() * np.sqrt(252),
        "rank IC of one simple score": rank_ic.mean(),
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market-folder", default=os.environ.get("QUANT_PIPELINE_MARKET_DATA"))
    folder = parser.parse_args().market_folder
    last = pd.Timestamp("2024-12-31")
    columns = {
        "simulated": generate_market().as_of(last),
        "simulated, no signal": generate_market(SimulatedMarketParameters(signal=0.0)).as_of(last),
    }
    if folder:
        real = read_market_files(Path(folder), REAL_FILES, as_of="2020-06-30")
        since = pd.Timestamp("2010-06-30")
        columns["real, 2010-2020"] = MarketData(
            real.bars[real.bars["date"] > since].reset_index(drop=True),
            real.corporate_actions[real.corporate_actions["date"] > since],
            real.instruments,
            real.benchmark,
            real.as_of,
        )
    table = pd.DataFrame({name: facts_of(market) for name, market in columns.items()})
    print("| fact | " + " | ".join(table.columns) + " |")
    print("|---|" + "---|" * table.shape[1])
    for fact, row in table.iterrows():
        print(f"| {fact} | " + " | ".join(f"{value:.3f}" for value in row) + " |")


if __name__ == "__main__":
    main()

"""Let another engine execute exchange folders, and compare its fills; ``make adapter-lumibot`` and its like run this.

``python adapters/compare.py nautilus PYTHON [FOLDER …]``: ``PYTHON`` is the interpreter of the engine's environment.
Without a folder two are written: five years of momentum on the embedded market, and the same on the real stocks of the
folder that ``QUANT_PIPELINE_MARKET_DATA`` names, each traded by the event engine. An engine that decides too gets a
third one: the backtest of a ridge that the demo trains, with its stored scores and its bundle. The last line is one
JSON object.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.backtest.other_engines.agreement import Agreement, compare_fills
from quant_pipeline.backtest.other_engines.folder import BUNDLE, ENGINES, FinishedBacktest, write_exchange
from quant_pipeline.backtest.other_engines.verdicts import read_executed, read_facts
from quant_pipeline.backtest.other_engines.wording import describe
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.testing.small_project import copy_files, run_kedro

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "adapters"
REAL_FILES = FilesMarketParameters(
    bars="us_daily.parquet", benchmark="us_benchmark_daily.parquet", securities="us_securities.csv"
)
FIRST, LAST = pd.Timestamp("2015-01-02"), pd.Timestamp("2019-12-31")
LOOK_BACK = 120
STRATEGY = StrategyRules(topk=20, n_drop=2)
DECIDES = ("lumibot",)
"""Engines whose adapters let them decide too: from the stored scores, and from a bundle where there is one."""
DECIDED = ("decided_from_scores.parquet", "decided_from_bundle.parquet")
MODEL = "ridge_alpha158"
ALONE = {"default": "alone", "combinations": {"alone": {"models": [MODEL], "member_weights": "equal"}}}
"""A combination of one model, so that its bundle decides what the stored scores decide."""


def main(engine: str, python: str, folders: list[str]) -> None:
    """Execute and compare, and end with 1 where the engine does not confirm a backtest."""
    places = [Path(folder) for folder in folders] or write_markets()
    if not folders and engine in DECIDES:
        places.append(write_stored())
    figures: dict[str, Any] = {}
    for place in places:
        facts = read_facts(place)
        print(f"{facts['backtest']}: {facts['orders']:,} orders, {facts['first']} to {facts['last']} ({place})")
        execute(engine, python, place)
        executed = next(each for each in read_executed(place, facts) if each.name == engine)
        agreement = compare_fills(place, executed)
        print("\n".join(describe(agreement)), flush=True)
        found = figures[facts["backtest"]] = summarise(agreement)
        if not folders and engine in DECIDES:
            found["failures"] += [f"{name} is empty" for name in DECIDED if not has_decided(place, engine, name)]
    print(json.dumps({"engine": engine, **figures}))
    sys.exit(1 if any(each["failures"] for each in figures.values()) else 0)


def has_decided(place: Path, engine: str, name: str) -> bool:
    """Return whether an engine has decided orders of its own, as far as the folder lets it."""
    if "bundle" in name and not (place / BUNDLE).is_dir():
        return True
    file = place / ENGINES / engine / name
    return file.is_file() and len(pd.read_parquet(file)) > 0


def execute(engine: str, python: str, place: Path) -> None:
    """Run the adapter of an engine in its environment; what it writes beside the folder it writes into `build`."""
    work = BUILD / engine / "work"
    work.mkdir(parents=True, exist_ok=True)
    adapter = HERE / engine / "run.py"
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    subprocess.run(
        [str(Path(python).absolute()), str(adapter), str(place.absolute())], check=True, cwd=work, env=environment
    )


def summarise(agreement: Agreement) -> dict[str, Any]:
    """Return the figures of one folder."""
    return {
        "orders": len(agreement.orders),
        "fills": agreement.fills,
        "equal_fills": agreement.equal_fills,
        "causes": {str(cause): int(count) for cause, count in agreement.causes.items()},
        "unexplained": agreement.unexplained,
        "failures": list(agreement.failures),
        "nav_sessions": agreement.nav_sessions,
        "nav_difference": agreement.nav_difference,
        "measured": dict(agreement.executed.verdict.measured),
        "seconds": round(agreement.executed.verdict.seconds, 1),
    }


def write_markets() -> list[Path]:
    """Trade momentum on both markets and write what another engine needs to repeat it."""
    markets = {"embedded": generate_market(SimulatedMarketParameters(start="2014-01-02")).as_of(LAST)}
    folder = os.environ.get("QUANT_PIPELINE_MARKET_DATA")
    if folder is None:
        print("QUANT_PIPELINE_MARKET_DATA is not set: the embedded market only")
    else:
        markets["real"] = read_market_files(Path(folder), REAL_FILES, as_of=LAST)
    return [write_market(name, market) for name, market in markets.items()]


def write_stored() -> Path:
    """Run the demo in a copy of the project, with a combination of one model, and export its backtest and bundle."""
    project, place = BUILD / "project", BUILD / "markets" / "stored"
    shutil.rmtree(project, ignore_errors=True)
    copy_files(HERE.parent, project)
    (project / "conf" / "sim" / "parameters_alone.yml").write_text(yaml.safe_dump({"ensemble": ALONE}))
    run_kedro(project, "run")
    run_kedro(project, f"backtest export own --bundle {MODEL} --path {shlex.quote(str(place))}")
    return place


def write_market(name: str, market: MarketData) -> Path:
    """Trade momentum on one market through the event engine and write the exchange folder."""
    rules, cost_rules, account = MarketRules.preset("US"), CostRules.preset("US"), AccountParameters(name=name)
    sessions = TradingCalendar.of(rules.calendar, f"{FIRST:%Y-%m-%d}", f"{LAST:%Y-%m-%d}").sessions
    scores = momentum(market, sessions)
    bars, actions = (
        table[table["date"].between(FIRST, LAST)].reset_index(drop=True)
        for table in (market.bars, market.corporate_actions)
    )
    traded = TradingMarket.from_bars(bars, actions, sessions, rules)
    started = time.process_time()
    result = run_events(
        RebalanceStrategy(traded, STRATEGY, cost_rules), traded, bars, cost_rules, account.initial_cash, scores=scores
    )
    blocks = {"strategy": STRATEGY, "market_rules": rules, "cost_rules": cost_rules, "account": account}
    finished = FinishedBacktest(
        name=name,
        trades=result.trades,
        nav=pd.DataFrame({"nav": result.nav, "cash": result.cash}).rename_axis("date").reset_index(),
        bars=bars,
        corporate_actions=actions,
        scores=scores.rename_axis(["date", "instrument"]).reset_index(),
        parameters={block: each.model_dump(mode="json") for block, each in blocks.items()},
        made_of={"engine": "event", "seconds": round(time.process_time() - started, 1), "currency": "USD"},
    )
    place = BUILD / "markets" / name
    write_exchange(place, finished)
    return place


def momentum(market: MarketData, sessions: pd.DatetimeIndex) -> pd.Series:
    """Score every instrument by its return up to a month ago, known after the close of each session."""
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    close = adjusted.pivot(index="date", columns="instrument", values="close").ffill()
    scores = close.shift(20) / close.shift(LOOK_BACK) - 1
    known = scores.reindex(sessions).rename_axis(index="datetime", columns="instrument")
    traded = market.bars.pivot(index="date", columns="instrument", values="close").reindex(sessions).notna()
    return known.where(traded).stack().rename("score").astype("float64")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
    except QuantPipelineError as error:
        sys.exit(f"Error: {error.message}")

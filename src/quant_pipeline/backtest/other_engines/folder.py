"""The exchange folder: what another engine reads of a finished backtest.

``docs/concepts/other-engines.md`` describes the files. An engine runs in an environment of its own and knows these
files only; nothing here imports it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from quant_pipeline.common.atomic import replacing_folder
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.exchange.money import TICKS_PER_UNIT

VERSION: Final = 1
"""Version of the format; a reader refuses another one."""
FACTS: Final = "exchange.json"
OURS: Final = "ours"
"""Folder of the fills of this project's engine."""
ENGINES: Final = "engines"
"""Folder of the folders of other engines, by name."""
BUNDLE: Final = "bundle"
"""Folder of a model: ``model.onnx``, what its input is, and ``inputs.parquet``."""
PLAN = ("order", "decided", "date", "instrument", "side", "quantity", "kind")
FILLS = ("order", "quantity", "price", "fee", "message")
BARS = ("date", "instrument", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class FinishedBacktest:
    """A backtest whose orders another engine is to execute.

    Attributes
    ----------
    name
        What it is called.
    trades
        Every order with its fill, see `backtest.result.BacktestResult`; in the order of execution.
    nav
        ``date``, ``nav``, ``cash`` of every session.
    bars, corporate_actions
        The market as traded.
    scores
        ``date``, ``instrument``, ``score``; known after the close of ``date``.
    parameters
        Blocks ``strategy``, ``market_rules``, ``cost_rules`` and ``account``, complete.
    made_of
        What the reader may want to know: the engine, the combination, the bundles behind the scores.
    """

    name: str
    trades: pd.DataFrame
    nav: pd.DataFrame
    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    scores: pd.DataFrame
    parameters: Mapping[str, Any]
    made_of: Mapping[str, Any]


def write_exchange(folder: Path, backtest: FinishedBacktest, write_bundle: Callable[[Path], None] | None = None) -> int:
    """Write a finished backtest as an exchange folder; one that is there is replaced, with what engines wrote into it.

    Parameters
    ----------
    folder
        Where to write.
    backtest
        What is written.
    write_bundle
        Writes a model into the folder `BUNDLE`, if one is handed over too.

    Returns
    -------
    int
        Number of orders.

    Raises
    ------
    ConfigurationError
        When its orders are not all market orders that execute at the open.
    StaleDataError
        When the bars are not those that it has traded.
    """
    _require_market_on_open(backtest)
    tape = _tape(backtest)
    plan, fills = _plan_and_fills(backtest.trades)
    _require_same_opens(backtest, plan, fills, tape)
    span = backtest.nav["date"].iloc[0], backtest.nav["date"].iloc[-1]
    with replacing_folder(folder) as beside:
        plan.to_parquet(beside / "plan.parquet", index=False)
        tape.to_parquet(beside / "tape.parquet", index=False)
        for name in ("corporate_actions", "scores"):
            table: pd.DataFrame = getattr(backtest, name)
            table[table["date"].between(*span)].to_parquet(beside / f"{name}.parquet", index=False)
        _write_json(beside / "rules.json", backtest.parameters)
        if write_bundle is not None:
            write_bundle(beside / BUNDLE)
        facts = {
            "version": VERSION,
            "fingerprint": _fingerprint(beside),
            "backtest": backtest.name,
            "first": f"{span[0]:%Y-%m-%d}",
            "last": f"{span[1]:%Y-%m-%d}",
            "orders": len(plan),
            **backtest.made_of,
        }
        _write_json(beside / FACTS, facts)
        (beside / OURS).mkdir()
        fills.to_parquet(beside / OURS / "fills.parquet", index=False)
        backtest.nav[["date", "nav", "cash"]].to_parquet(beside / OURS / "nav.parquet", index=False)
    return len(plan)


def _require_market_on_open(backtest: FinishedBacktest) -> None:
    price = backtest.parameters["market_rules"]["deal_price"]
    if price != "open":
        raise ConfigurationError(
            f"the orders of backtest '{backtest.name}' execute at the {price}; other engines are asked for "
            "market orders at the open: `market_rules.deal_price: open`"
        )
    kinds = set(backtest.trades["kind"]) - {"market"} if "kind" in backtest.trades else set()
    if kinds:
        raise ConfigurationError(
            f"backtest '{backtest.name}' has orders of the kind {', '.join(sorted(kinds))}; other engines are asked "
            "for market orders at the open: run one without `backtest.events.protective`"
        )


def _tape(backtest: FinishedBacktest) -> pd.DataFrame:
    sessions = pd.Index(backtest.nav["date"])
    tape = backtest.bars.loc[backtest.bars["date"].isin(sessions), list(BARS)]
    return tape.sort_values(["date", "instrument"]).reset_index(drop=True)


def _plan_and_fills(trades: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split orders from what became of them."""
    numbered = trades.reset_index(drop=True).rename_axis("order").reset_index()
    plan = numbered.assign(quantity=numbered["requested"], kind="market_on_open")
    fills = [*FILLS, "market_price", "status"]
    return plan[list(PLAN)], numbered[fills]


def _require_same_opens(
    backtest: FinishedBacktest, plan: pd.DataFrame, fills: pd.DataFrame, tape: pd.DataFrame
) -> None:
    """Bars may have been corrected since the backtest: its fills are then not those of this tape."""
    opens = plan.merge(tape[["date", "instrument", "open"]], on=["date", "instrument"], how="left")["open"]
    executed = fills["quantity"].to_numpy() > 0
    apart = np.abs(opens.to_numpy() - fills["market_price"].to_numpy()) > 0.6 / TICKS_PER_UNIT
    changed = executed & (apart | opens.isna().to_numpy())
    if changed.any():
        row = plan.iloc[int(np.flatnonzero(changed)[0])]
        raise StaleDataError(
            f"backtest '{backtest.name}' has traded {row['instrument']} on {row['date']:%Y-%m-%d} at another open than "
            "the bars have now; run it again: `kedro run --pipelines backtest`"
        )


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")

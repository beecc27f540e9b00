"""Node of the comparison with Qlib."""

import logging
from pathlib import Path

import pandas as pd

from quant_pipeline.backtest.qlib_comparison import (
    TOLERANCE,
    compare_with_qlib,
    exchange_rules_of,
    strategy_rules_of,
)
from quant_pipeline.backtest.qlib_quotes import QlibMarket
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.market_tables import TradingRules
from quant_pipeline.pipelines.wiring import takes_records

logger = logging.getLogger(__name__)


@takes_records(rules=TradingRules)
def compare_backtests(
    fused_scores: pd.DataFrame,
    adjusted_bars: pd.DataFrame,
    sessions: pd.DataFrame,
    qlib_provider: Path,
    ensemble: EnsembleParameters,
    rules: TradingRules,
) -> pd.DataFrame:
    """Trade the default combination by Qlib's rules, here and in Qlib itself.

    Parameters
    ----------
    fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score``.
    adjusted_bars, sessions
        The market.
    qlib_provider
        The provider that ingestion has written from it.
    ensemble
        Names the default combination.
    rules
        Rules of the account, as far as Qlib's strategy and exchange know them.

    Returns
    -------
    pandas.DataFrame
        See `compare_with_qlib`.

    Raises
    ------
    StrategyError
        When the two differ by more than rounding in any session.
    """
    chosen = fused_scores[fused_scores["combination"] == ensemble.default]
    scores = chosen.set_index(["datetime", "instrument"])["score"]
    calendar = pd.DatetimeIndex(sessions["date"])
    traded = calendar[calendar > scores.index.get_level_values(0).min()]
    if len(traded) < 2:
        raise StrategyError(
            f"combination '{ensemble.default}' has scores of one session only; run `kedro run --pipelines ensemble`"
        )
    # Qlib cannot trade the last day of its calendar: it looks for the one after it.
    start, end = traded[0], traded[-2]
    exchange = exchange_rules_of(rules.market_rules, rules.cost_rules, start)
    market = QlibMarket.from_adjusted_bars(adjusted_bars, calendar, start, end, exchange)
    strategy = strategy_rules_of(rules.strategy)
    compared = compare_with_qlib(scores, market, strategy, rules.account.initial_cash, qlib_provider)
    worst = compared.loc[compared["difference"].idxmax()]
    if not worst["difference"] <= TOLERANCE:
        raise StrategyError(
            f"our backtest and Qlib's differ by {worst['difference']:.1e} of the account on {worst['date']:%Y-%m-%d}: "
            f"{worst['account']:.6f} and {worst['account_qlib']:.6f}. Run `kedro run --pipelines ingestion` if the "
            "provider is older than the bars; else report it"
        )
    logger.info(
        "our backtest and Qlib's agree in all of %d sessions, %s to %s: largest difference %.1e of the account",
        len(compared), f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}", worst["difference"],
    )  # fmt: skip
    return compared

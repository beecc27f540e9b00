"""Nodes of the analysis: models, execution, portfolio, risk factors; each makes the tables of its section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.evaluation.drift import DriftParameters
from quant_pipeline.evaluation.risk_factors.attribution import RiskModel
from quant_pipeline.evaluation.risk_factors.exposures import HISTORY, STYLES, measure_exposures
from quant_pipeline.evaluation.risk_factors.published import read_published_factors
from quant_pipeline.evaluation.risk_factors.regression import MARKET, estimate_factors
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.market.benchmark import levels_in
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.analysis import execution, models, portfolio, risk
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.profit_parts import profit_parts
from quant_pipeline.trading.ledger.session_effects import walk_effects


@dataclass(frozen=True)
class ModelRules:
    """How models are fused, and what they are measured on."""

    ensemble: EnsembleParameters
    label: LabelParameters
    strategy: StrategyRules
    monitoring: DriftParameters
    analysis: AnalysisParameters


@takes_records(rules=ModelRules)
def analyse_models(
    labels: pd.DataFrame, analysed_weights: pd.DataFrame | None, rules: ModelRules, **predictions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure the models out of sample, what each adds to the default combination, and how alike they are.

    Returns
    -------
    tuple of pandas.DataFrame
        See `measure_models`, `leave_one_out`, `follow_correlations`.
    """
    own, tables = rules.analysis, {name.removesuffix("_predictions"): table for name, table in predictions.items()}
    horizon, known = rules.label.horizon, labels["label"].dropna()
    measured = models.measure_models(tables, known, rules.strategy.topk, horizon, rules.monitoring, own)
    empty = pd.DataFrame({"combination": [], "model": [], "weight": []})
    weights = empty if analysed_weights is None else analysed_weights
    left_out = models.leave_one_out(tables, known, rules.ensemble, weights, horizon, own)
    return measured, left_out, models.follow_correlations(tables, own)


def analyse_execution(
    order_shortfall: pd.DataFrame,
    closed_lots: pd.DataFrame,
    adjusted_bars: pd.DataFrame,
    market_rules: MarketRules,
    cost_rules: CostRules,
    analysis: AnalysisParameters,
    as_of: str,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Sum up what executing has cost, and propose slippage for the backtest.

    Returns
    -------
    tuple of pandas.DataFrame
        See `group_shortfall`, `group_surroundings`, `measure_excursions`, `propose_slippage`.
    """
    recent = _newest(order_shortfall, analysis.sessions)
    lots = closed_lots[closed_lots["closed"] <= pd.Timestamp(as_of)]
    names = adjusted_bars["instrument"].isin(lots["instrument"])
    days = adjusted_bars["date"].isin(recent["date"])
    return (
        execution.group_shortfall(recent, market_rules.calendar, analysis),
        execution.group_surroundings(recent, adjusted_bars[days], market_rules.calendar, analysis),
        execution.measure_excursions(lots, adjusted_bars[names]),
        execution.propose_slippage(recent, cost_rules.at(pd.Timestamp(as_of)), analysis),
    )


@dataclass(frozen=True)
class AccountTables:
    """The account as post-trade has left it: amounts, holdings, sold lots, fills."""

    daily_amounts: pd.DataFrame
    holding_log: pd.DataFrame
    closed_lots: pd.DataFrame
    trade_log: pd.DataFrame


@takes_records(account_tables=AccountTables)
def analyse_portfolio(
    account_tables: AccountTables,
    benchmark: pd.DataFrame,
    bars: pd.DataFrame,
    market_rules: MarketRules,
    analysis: AnalysisParameters,
    as_of: str,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure what the portfolio has earned and risked.

    Returns
    -------
    tuple of pandas.DataFrame
        See `measure_portfolio`, `group_round_trips`, `measure_concentration`, `measure_exit`.
    """
    amounts = account_tables.daily_amounts.tail(analysis.sessions + 1)
    days = pd.DatetimeIndex(amounts["date"])
    levels = levels_in(benchmark, days, market_rules.dividend_tax_rate) if len(days) else pd.Series(dtype="float64")
    fills = account_tables.trade_log
    traded = (fills["quantity"] * fills["price"]).groupby(fills["date"]).sum()
    turnover = traded.reindex(days).fillna(0.0) / amounts.set_index("date")["nav"].shift(1)
    held = account_tables.holding_log
    # The newest close, whether anything was held or not.
    newest = held[held["date"] == days[-1]] if len(days) else held.head(0)
    nav = float(amounts["nav"].iloc[-1]) if len(days) else float("nan")
    known = bars[bars["date"] <= pd.Timestamp(as_of)]
    return (
        portfolio.measure_portfolio(amounts, levels, turnover, market_rules.risk_free_rate, analysis),
        portfolio.group_round_trips(account_tables.closed_lots, analysis),
        portfolio.measure_concentration(held, amounts.tail(analysis.sessions)),
        portfolio.measure_exit(newest, known, nav, analysis),
    )


@dataclass(frozen=True)
class TradedMarket:
    """The market that an account trades on, as traded and adjusted, with its universe."""

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    sessions: pd.DataFrame
    market_rules: MarketRules
    adjusted_bars: pd.DataFrame
    universe_members: pd.DataFrame
    instruments: pd.DataFrame

    def risk_model(self, as_of: str, sessions: int) -> RiskModel:
        """Estimate exposures and factors of the newest sessions up to a close."""
        days = pd.DatetimeIndex(self.sessions["date"])
        days = days[days <= pd.Timestamp(as_of)][-(sessions + HISTORY) :]
        exposures = measure_exposures(self.adjusted_bars, self.universe_members, self.instruments, days)
        return RiskModel(exposures, estimate_factors(exposures))


@dataclass(frozen=True)
class Compared:
    """What the account is compared with: its holdings, the backtest, published factors; None where there are none."""

    holding_log: pd.DataFrame
    daily_amounts: pd.DataFrame
    analysed_backtest_positions: pd.DataFrame | None
    analysed_backtest_nav: pd.DataFrame | None
    published_factors: str | None

    @property
    def portfolios(self) -> dict[str, pd.DataFrame]:
        """Holdings with their values in every session, of account and backtest; see `compare_exposures`."""
        found = {
            "account": _in_sessions(self.holding_log.rename(columns={"market_value": "value"}), self.daily_amounts)
        }
        positions, curve = self.analysed_backtest_positions, self.analysed_backtest_nav
        if positions is not None and curve is not None:
            found["backtest"] = _in_sessions(positions, curve)
        return {name: table for name, table in found.items() if len(table)}

    def returns(self, sessions: pd.DatetimeIndex) -> dict[str, pd.Series]:
        """Return by name what account and backtest have earned from session to session."""
        found = {"account": self.daily_amounts.set_index("date")["return"]}
        if self.analysed_backtest_nav is not None:
            found["backtest"] = self.analysed_backtest_nav.set_index("date")["nav"].pct_change()
        return {name: risk.returns_of_one_session(series, sessions) for name, series in found.items()}


def _in_sessions(held: pd.DataFrame, amounts: pd.DataFrame) -> pd.DataFrame:
    return amounts[["date", "nav"]].merge(held[["date", "instrument", "value"]], on="date", how="left")


@takes_records(traded=TradedMarket, compared=Compared)
def analyse_risk(
    events: Sequence[Event], traded: TradedMarket, compared: Compared, analysis: AnalysisParameters, as_of: str
) -> tuple[pd.DataFrame, ...]:
    """Cut every session's change of the net asset value into factors; compare exposures of account and backtest.

    Returns
    -------
    tuple of pandas.DataFrame
        Attribution by session and summed up (`attribute_sessions`, `summarise_attribution`), exposures
        (`compare_exposures`), loadings (`measure_all_loadings`), returns of the factors and how well sessions are
        explained (`FactorReturns`).
    """
    model = traded.risk_model(as_of, analysis.sessions)
    days, bars, actions = known_at(as_of, traded.sessions, traded.bars, traded.corporate_actions)
    market = market_of(bars, actions, days, traded.market_rules)
    last = pd.Timestamp(as_of)
    closed = [event.session for event in events if event.kind is EventKind.SESSION_CLOSED and event.session <= last]
    wanted = closed[-analysis.sessions :]
    walked = walk_effects(events, market, wanted[0], wanted[-1]) if wanted else ()
    profits, holdings = profit_parts(walked)
    attribution = risk.attribute_sessions(profits, holdings, model)
    factors = model.factors.table()
    styles = factors.pivot(index="date", columns="factor", values="value")
    own = {"own styles": styles.reindex(columns=[MARKET, *STYLES])}
    if compared.published_factors is not None:
        own["published"] = read_published_factors(compared.published_factors, "published_factors.csv")
    return (
        attribution,
        risk.summarise_attribution(attribution, profits, analysis),
        risk.compare_exposures(compared.portfolios, model, analysis),
        risk.measure_all_loadings(compared.returns(pd.DatetimeIndex(traded.sessions["date"])), own, analysis),
        factors,
        model.factors.quality(),
    )


def _newest(table: pd.DataFrame, sessions: int) -> pd.DataFrame:
    kept = table["date"].drop_duplicates().sort_values().tail(sessions)
    return table[table["date"].isin(kept)]

"""The strategy function, for tables: scores, positions, prices and rules in; an explained order table out.

`rebalance` is the decision for tables; it runs the kernel :mod:`quant_pipeline.strategy.decision`, as the engines do.
The daily loop and the backtest therefore cannot decide differently.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.account_arrays import HELD, ORDERS, AccountArrays, net_asset_value, new_accounts, open_slot
from quant_pipeline.exchange.costs import cost_terms
from quant_pipeline.exchange.lots import lots_of
from quant_pipeline.exchange.money import cash_to_ticks, ticks_to_float, to_ticks
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy import reasons
from quant_pipeline.strategy.decision import decide
from quant_pipeline.strategy.fused_scores import FusedScores, rough_gap, score_table
from quant_pipeline.strategy.placing import Decision
from quant_pipeline.strategy.ranking import DecisionBuffers, new_decision_buffers
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.terms import strategy_terms

SOLD_UNSCORED = "sold: it has no score"
ORDER_COLUMNS = ["instrument", "side", "quantity", "reference_price", "score", "rank", "reason"]


def rebalance(
    scores: pd.Series,
    positions: pd.DataFrame,
    prices: pd.Series,
    tradable: pd.Series,
    cash: Decimal | float | int,
    rules: StrategyRules,
    market_rules: MarketRules,
    cost_rules: CostRules,
    preferences: pd.Series | None = None,
    classification: Classification | None = None,
) -> pd.DataFrame:
    """Decide at the close of a session what to sell, buy and hold.

    Everything given must be known after the close of the decision's session ``t``; the orders execute in ``t + 1``.

    Parameters
    ----------
    scores
        Scores of session ``t`` by instrument; NaN or infinite means no score.
    positions
        Holdings after the close of ``t`` by instrument: columns ``quantity`` (whole shares) and ``sessions_held``
        (closes seen, 1 on the day of the purchase).
    prices
        Closes of ``t`` as traded; for an instrument without bar in ``t`` the last known close, adjusted for splits.
    tradable
        Whether the instrument has a bar in ``t``; a missing instrument is not tradable.
    cash
        Cash after the close of ``t``.
    rules, market_rules, cost_rules
        Rules; costs that change by date as those of the session, ``cost_rules.at(session)``.
    preferences
        Factor of the weight of each instrument, needed for target weights that depend on past returns.
    classification
        Sectors and companies, needed for the rules about them.

    Returns
    -------
    pandas.DataFrame
        Columns ``instrument``, ``side`` (``buy``, ``sell`` or ``hold``), ``quantity``, ``reference_price``,
        ``score``, ``rank`` (1 = best of the scored instruments) and ``reason``: first the sales, then the buys, both
        in the order in which they are to execute, then what is held. A wanted buy below one lot is a ``hold`` of 0, and
        so is one that a portfolio rule refuses.

    Raises
    ------
    StrategyError
        If no instrument has a score, a holding has no price, or the tables are malformed.

    Examples
    --------
    >>> rules = StrategyRules(topk=1, n_drop=1, risk_degree=1.0)
    >>> empty = pd.DataFrame({"quantity": [], "sessions_held": []}, index=pd.Index([], dtype=str))
    >>> prices, scores = pd.Series({"A": 10.0, "B": 20.0}), pd.Series({"A": 0.2, "B": 0.9})
    >>> orders = rebalance(scores, empty, prices, prices > 0, 1000, rules, MarketRules(), CostRules())
    >>> orders[["instrument", "side", "quantity", "reason"]].to_numpy().tolist()
    [['B', 'buy', 50, 'bought: rank 1 of 2, score 0.9, among the best 1']]
    """
    instruments = _instruments_of(scores, positions)
    score_array = _finite_scores(scores, instruments)
    price_array = to_ticks(prices.reindex(instruments).to_numpy(dtype=np.float64, na_value=np.nan))
    tradable_array = tradable.reindex(instruments).eq(True).to_numpy(dtype=bool) & (price_array > 0)
    accounts = _account_of(positions, instruments, price_array, cash)

    value = int(net_asset_value(accounts, 0, price_array))
    table = score_table(score_array[np.newaxis, np.newaxis])
    gap = np.float32(rough_gap(1, table.largest[0]))  # Python is given a double, another type than that of searches.
    buffers = new_decision_buffers(len(instruments))
    decide(
        Decision(
            accounts=accounts,
            a=0,
            value=value,
            fused=FusedScores(table.exact[0], np.zeros(1, dtype=np.uint32), 1, 1.0, table.rough[0, 0], gap),
            tradable=tradable_array,
            prices=price_array,
            preferences=_preferences_of(preferences, instruments, rules),
            terms=strategy_terms(rules, market_rules, instruments, classification),
            costs=cost_terms(cost_rules),
            buffers=buffers,
        )
    )
    return _explained(accounts, buffers, instruments, score_array, price_array, rules, market_rules, classification)


def _preferences_of(
    preferences: pd.Series | None, instruments: pd.Index, rules: StrategyRules
) -> npt.NDArray[np.float64]:
    if not rules.weighs_by_returns:
        return np.ones(len(instruments))
    if preferences is None:
        raise StrategyError(f"Weights by {rules.position_weights} need past returns. Give `preferences`.")
    # A copy: pandas lends a view that may only be read, and kernels would be compiled once more for that type.
    return preferences.reindex(instruments).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def score_ranks(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rank scores as the strategy does: 1 = best, equal scores by instrument order, 0 where there is no score."""
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    ranks = np.zeros(len(scores), dtype=np.int64)
    ranks[order] = np.arange(1, len(scores) + 1)
    ranks[np.isnan(scores)] = 0
    return ranks


def _instruments_of(scores: pd.Series, positions: pd.DataFrame) -> pd.Index:
    for name, table in (("scores", scores), ("positions", positions)):
        if not table.index.is_unique:
            twice = table.index[table.index.duplicated()][0]
            raise StrategyError(f"The {name} name instrument {twice!r} more than once. Keep one row per instrument.")
    missing = {"quantity", "sessions_held"} - set(positions.columns)
    if missing:
        raise StrategyError(f"The positions lack the column {min(missing)!r}. Give quantity and sessions_held.")
    return scores.index.union(positions.index).sort_values()


def _finite_scores(scores: pd.Series, instruments: pd.Index) -> npt.NDArray[np.float64]:
    values = scores.reindex(instruments).to_numpy(dtype=np.float64, na_value=np.nan).copy()
    values[~np.isfinite(values)] = np.nan
    if np.isnan(values).all():
        raise StrategyError("No instrument has a finite score. Run the prediction of this session before the decision.")
    return values


def _account_of(
    positions: pd.DataFrame, instruments: pd.Index, prices: npt.NDArray[np.int64], cash: Decimal | float | int
) -> AccountArrays:
    accounts = new_accounts(1, len(instruments), cash_to_ticks(cash))
    indices = instruments.get_indexer(positions.index)
    for index, instrument, quantity, sessions in zip(
        indices.tolist(), positions.index, positions["quantity"], positions["sessions_held"], strict=True
    ):
        if quantity != int(quantity) or quantity <= 0:
            raise StrategyError(f"The position of {instrument} is {quantity}. Give a positive whole number of shares.")
        if prices[index] == 0:
            raise StrategyError(
                f"The holding {instrument} has no price. Give its last known close, or remove it if it was delisted."
            )
        open_slot(accounts, 0, index, int(quantity), int(sessions))
    return accounts


def _explained(
    accounts: AccountArrays,
    buffers: DecisionBuffers,
    instruments: pd.Index,
    scores: npt.NDArray[np.float64],
    prices: npt.NDArray[np.int64],
    rules: StrategyRules,
    market_rules: MarketRules,
    classification: Classification | None,
) -> pd.DataFrame:
    ranks = score_ranks(scores)
    n_scored = int((ranks > 0).sum())
    rows = []
    for order in range(accounts.totals[0, ORDERS]):
        index = int(accounts.order_instrument[0, order])
        shares = int(accounts.order_shares[0, order])
        rows.append((index, "sell" if shares < 0 else "buy" if shares > 0 else "hold", abs(shares),
                     int(accounts.order_reason[0, order])))  # fmt: skip
    ordered = {row[0] for row in rows}
    kept = [slot for slot in range(accounts.totals[0, HELD]) if accounts.slot_instrument[0, slot] not in ordered]
    for slot in sorted(kept, key=lambda slot: accounts.slot_instrument[0, slot]):
        index = int(accounts.slot_instrument[0, slot])
        rows.append((index, "hold", int(accounts.slot_shares[0, slot]), int(buffers.slot_decision[slot])))

    lots = lots_of(market_rules, instruments)
    texts = []
    for index, _, _, code in rows:
        name, rank = str(instruments[index]), int(ranks[index])
        where = f"rank {rank} of {n_scored}, score {scores[index]:.6g}" if rank else "it has no score"
        text = _text_of_rule(code, where, name, rules, classification)
        texts.append(text or _reason_text(code, name, where, rank, rules, int(lots.fewest[index])))
    indices = np.array([row[0] for row in rows], dtype=np.int64)
    return pd.DataFrame(
        {
            "instrument": pd.Series(instruments.to_numpy()[indices], dtype="str"),
            "side": pd.Series([row[1] for row in rows], dtype="str"),
            "quantity": pd.Series([row[2] for row in rows], dtype="int64"),
            "reference_price": ticks_to_float(prices[indices]),
            "score": scores[indices],
            "rank": ranks[indices],
            "reason": pd.Series(texts, dtype="str"),
        },
        columns=ORDER_COLUMNS,
    )


def _text_of_rule(code: int, where: str, name: str, rules: StrategyRules, classification: Classification | None) -> str:
    """Say what a portfolio rule decided; empty for what none did."""
    match code:
        case reasons.SELL_BLACKLISTED:
            return "sold: it is on the blacklist"
        case reasons.KEEP_TURNOVER:
            return f"held: {where}, should go, but max_turnover {rules.max_turnover:.0%} leaves no room for its sale"
        case reasons.SKIP_TURNOVER:
            return f"not bought: {where}, but max_turnover {rules.max_turnover:.0%} is used up"
        case reasons.SKIP_SMALL:
            least = f"min_position_weight {rules.min_position_weight:.2%}"
            return f"not bought: {where}, but there is too little money for {least}"
        case reasons.SKIP_SECTOR:
            sector = "its sector" if classification is None else f"sector {classification.sector_of(name)}"
            return (
                f"not bought: {where}, but {sector} has no room below max_sector_weight {rules.max_sector_weight:.0%}"
            )
        case reasons.SKIP_COMPANY:
            return f"not bought: {where}, but another listing of its company is held or bought"
    return ""


def _reason_text(code: int, name: str, where: str, rank: int, rules: StrategyRules, lot: int) -> str:
    weakest = f"among the {rules.n_drop} weakest of holdings and candidates"
    if rules.method != "topk_drop":
        weakest = f"below the best {rules.topk + rules.buffer} tradable"
    due = f"{where}, {weakest}" if rank else "it has no score"
    due = "it is on the blacklist" if name in rules.blacklist else due
    if code == reasons.BUY_RANKED:
        among = f"among the best {rules.topk}" if rank <= rules.topk else "the best that is not held and tradable"
        return f"bought: {where}, {among}"
    if code == reasons.SKIP_BELOW_LOT:
        means = "target weight" if rules.method == "target_weights" else "budget"
        return f"not bought: {where}, but its {means} does not pay for one lot of {lot}"
    if code == reasons.SELL_DROPPED:
        return f"sold: {where}, {weakest}"
    if code == reasons.SELL_TRIMMED:
        return f"sold down: {where}, above its target weight"
    if code == reasons.BUY_RAISED:
        return f"bought more: {where}, below its target weight"
    if code == reasons.SELL_ORPHAN:
        return SOLD_UNSCORED
    if code == reasons.KEEP_YOUNG:
        return f"held: {due}, but not held for {rules.hold_threshold} sessions yet"
    if code == reasons.KEEP_UNTRADABLE:
        return f"held: {due}, but it cannot trade"
    if code == reasons.KEEP_UNSCORED:
        return "held: it has no score, and orphans are kept"
    return f"held: {where}"

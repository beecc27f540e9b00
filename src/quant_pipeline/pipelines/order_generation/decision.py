"""The inputs of a decision and the decision itself, for orders and opinions; alternates, remarks on what is denied."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.backtest.weight_multipliers import daily_returns, newest_preferences
from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.lots import lots_of
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_float
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.classification import Classification
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.order_generation.limits import PlannedPortfolio
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rebalance import SOLD_UNSCORED, rebalance
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import decides_on
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.history import account_history
from quant_pipeline.trading.orders.position_sizing import choose_exposure
from quant_pipeline.trading.orders.remarks import AccountRemarks, account_remarks
from quant_pipeline.trading.orders.stop_rules import STOPPED, StopRules, apply_stops, cooling_down, find_stops

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecisionRules:
    """Rules of the backtest, and those that only an account follows."""

    strategy: StrategyRules
    market_rules: MarketRules
    cost_rules: CostRules
    order_generation: OrderGenerationParameters


@dataclass(frozen=True)
class Situation:
    """Account and market at the close of a session.

    Attributes
    ----------
    state, events
        The account, and the ledger up to the session.
    positions
        ``quantity`` and ``sessions_held`` by instrument, of what can be traded.
    carried
        Why, by instrument, what else is held is kept and not traded: fractions of a share, and what has no price.
    prices
        Last known closes by instrument.
    tradable
        Whether an instrument has a bar in the session.
    market
        The market up to the session.
    bars, corporate_actions
        What it was built from; they may reach further.
    remarks
        The trading state of the account, and which orders of the next session it denies.
    classification
        Sectors and companies of the instruments.
    """

    state: AccountState
    events: tuple[Event, ...]
    positions: pd.DataFrame
    carried: dict[str, str]
    prices: pd.Series
    tradable: pd.Series
    market: TradingMarket
    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    remarks: AccountRemarks
    classification: Classification

    @classmethod
    def at(
        cls,
        as_of: str,
        events: Sequence[Event],
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        sessions: pd.DataFrame,
        instruments: pd.DataFrame,
        market_rules: MarketRules,
        account: AccountParameters,
    ) -> "Situation":
        """Describe the close of a session.

        Raises
        ------
        StaleDataError
            When the ledger or the market does not reach it.
        """
        state = booked_up_to(pd.Timestamp(as_of), events)
        days, bars, corporate_actions = known_at(as_of, sessions, bars, corporate_actions)
        market = market_of(bars, corporate_actions, days, market_rules)
        return cls.of(state, events, market, bars, corporate_actions, instruments, account)

    @classmethod
    def of(
        cls,
        state: AccountState,
        events: Sequence[Event],
        market: TradingMarket,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        instruments: pd.DataFrame,
        account: AccountParameters,
    ) -> "Situation":
        """Describe the close of the last session of a market; see `booked_up_to` for the account."""
        session, rules = market.sessions[-1], market.rules
        prices = pd.Series(ticks_to_float(market.arrays.mark[-1]), index=market.instruments)
        carried = _carried(state, prices)
        whole = state.positions_table()
        return cls(
            state,
            tuple(event for event in events if event.session <= session),
            whole[~whole.index.isin(list(carried))],
            carried,
            prices,
            pd.Series(market.arrays.has_bar[-1], index=market.instruments),
            market,
            bars,
            corporate_actions,
            account_remarks(events, execution_session(_calendar(rules, session), session), account.filled_by),
            Classification.of(instruments),
        )

    @property
    def session(self) -> pd.Timestamp:
        """Session at whose close it is."""
        return self.market.sessions[-1]

    def decide(self, scores: pd.Series, rules: DecisionRules) -> pd.DataFrame:
        """Run the decision of the backtest with the account's exposure, then add sales by stops; see `rebalance`."""
        stops = rules.order_generation.stop_rules
        banned = cooling_down(stops, self.events, self.market.sessions) - set(self.positions.index)
        scores = scores.drop(list(banned), errors="ignore")
        strategy = self._sized(scores, rules.strategy, rules.order_generation)
        preferred = pd.Series(newest_preferences(self.market, strategy), index=self.market.instruments)
        orders = rebalance(
            scores,
            self.positions,
            self.prices,
            self.tradable,
            self.state.cash,
            strategy,
            rules.market_rules,
            rules.cost_rules.at(self.session),
            preferred,
            self.classification,
        )
        traded = {name: self.state.positions[name] for name in self.positions.index}
        found = find_stops(stops, traded, self.prices, *self._tables_of(stops))
        return self._with_carried(apply_stops(orders, found, self.positions))

    def decide_by_schedule(self, scores: pd.Series, rules: DecisionRules) -> pd.DataFrame:
        """Run the decision; on a session without one everything is held but for what a stop sells."""
        orders = self.decide(scores, rules)
        if decides_on(_calendar(rules.market_rules, self.session), self.session, rules.strategy.schedule):
            return orders
        # Stops have no schedule.
        stopped = orders["reason"].str.startswith(STOPPED)
        held = orders[~stopped & (orders["side"] != "buy")]
        return pd.concat(
            [orders[stopped], held.assign(side="hold", reason="the schedule decides nothing today")], ignore_index=True
        )

    def planned(self, orders: pd.DataFrame) -> PlannedPortfolio:
        """Return the account as it would be if every order executed at its reference price."""
        held = self.state.positions
        shares = pd.Series({name: float(position.quantity) for name, position in held.items()}, dtype="float64")
        return PlannedPortfolio.of(orders, shares, self.prices, float(self.state.cash), self.classification)

    def _with_carried(self, orders: pd.DataFrame) -> pd.DataFrame:
        """Show what is held and not traded below the decision."""
        held = {name: self.state.positions[name] for name in sorted(set(self.carried) - set(orders["instrument"]))}
        if not held:
            return orders
        rows = pd.DataFrame(
            {
                "instrument": pd.Series(list(held), dtype="str"),
                "side": "hold",
                "quantity": [int(position.quantity) for position in held.values()],
                "reference_price": [
                    float(self.prices.get(name) or position.cost / position.quantity) for name, position in held.items()
                ],
                "score": float("nan"),
                "rank": 0,
                "reason": [self.carried[name] for name in held],
            }
        )
        return pd.concat([orders, rows.astype(orders.dtypes.to_dict())], ignore_index=True)

    def _tables_of(self, stops: StopRules) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the bars and actions up to the session that stops look at, which is none but for a trailing one."""
        if stops.trailing_stop is None:
            return self.bars.head(0), self.corporate_actions.head(0)
        bars, actions = (table[table["date"] <= self.session] for table in (self.bars, self.corporate_actions))
        return bars, actions

    def _sized(
        self, scores: pd.Series, strategy: StrategyRules, order_generation: OrderGenerationParameters
    ) -> StrategyRules:
        """Invest as much as the position sizing allows."""
        sizing = order_generation.position_sizing
        if sizing.method == "fixed":
            return strategy
        best = scores.sort_index().sort_values(ascending=False, kind="stable").index[: strategy.topk]
        table = pd.DataFrame(daily_returns(self.market.arrays), columns=self.market.instruments)
        amounts = account_history(self.events, self.market, self.session).amounts
        basket = table.reindex(columns=best).mean(axis=1)
        chosen = choose_exposure(sizing, strategy.risk_degree, basket, amounts, self.market.rules.deal_price)
        logger.info("%.2f%% of the account may be invested (%s)", 100 * chosen.degree, chosen.reason)
        return strategy.model_copy(update={"risk_degree": chosen.degree})


def booked_up_to(session: pd.Timestamp, events: Sequence[Event]) -> AccountState:
    """Return the account at the close of a session.

    Raises
    ------
    StaleDataError
        When the ledger does not reach it.
    """
    state = fold(events, up_to=session)
    if state.last_session != session:
        raise StaleDataError(
            f"orders of {session:%Y-%m-%d} need the account of that session, but the ledger is booked up to "
            f"{state.last_session}. Run `kedro run --pipelines post_trade --params as_of={session:%Y-%m-%d}` first."
        )
    return state


def _calendar(market_rules: MarketRules, session: pd.Timestamp) -> TradingCalendar:
    return TradingCalendar.of(market_rules.calendar, session, session)


def _carried(state: AccountState, prices: pd.Series) -> dict[str, str]:
    """Say what is held and cannot be traded, and why."""
    carried = {}
    for name, position in state.positions.items():
        if not prices.get(name, 0) > 0:
            carried[name] = f"kept: the market has no price of it; {position.quantity:f} are valued at cost"
        elif position.quantity < 1:
            carried[name] = f"kept: {position.quantity:f} of a share cannot be traded on an exchange"
    return carried


def require_coverage(scores: pd.Series, members: pd.Index, min_coverage: float, session: pd.Timestamp) -> None:
    """Refuse scores of a small part of the universe: what is held and has no score is sold.

    Raises
    ------
    StaleDataError
        When a smaller share of the members has a score.
    """
    scored = members.isin(scores.dropna().index)
    if len(members) and scored.mean() < min_coverage:
        missing = first_of(members[~scored])
        raise StaleDataError(
            f"only {scored.sum()} of the {len(members)} members of the universe have a score for {session:%Y-%m-%d} "
            f"({missing} have none); what is held and has no score would be sold. Score them too, or set "
            f"order_generation.min_coverage, which is {min_coverage:g}"
        )


def explain_unscored(orders: pd.DataFrame, members: pd.Index) -> pd.DataFrame:
    """Say of holdings that are sold without a score whether they are in the universe."""
    is_sold = orders["reason"] == SOLD_UNSCORED
    where = (
        orders["instrument"].isin(members).map({True: "although it is in the universe", False: "it left the universe"})
    )
    return orders.assign(reason=orders["reason"].where(~is_sold, orders["reason"] + ", " + where))


def mark_denied(orders: pd.DataFrame, situation: Situation) -> pd.DataFrame:
    """Add a column ``remark`` that says which orders the trading state denies, and what lifts it; else it is empty.

    The reason of such an order begins with it.
    """
    remarks, environment = situation.remarks, situation.state.name
    denial = remarks.are_denied(orders).map({True: remarks.denial_in(environment), False: ""})
    return orders.assign(remark=denial.astype("str"), reason=remarks.reasons(orders, environment))


def add_alternates(orders: pd.DataFrame, scores: pd.Series, situation: Situation, rules: DecisionRules) -> pd.DataFrame:
    """Append the alternates for buys that cannot be executed, flagged as such.

    Parameters
    ----------
    orders
        The decision.
    scores
        Score by instrument.
    situation
        Account and market.
    rules
        How many alternates, which names the strategy may buy, and sizes that an order may have.

    Returns
    -------
    pandas.DataFrame
        The orders with a column ``alternate``: 0 for what is decided, 1 for the first to step in, and so on. The side
        of an alternate is ``alternate``, never ``buy``, so it cannot be sent by mistake. Its quantity is what the mean
        value of the buys pays for.
    """
    flagged = orders.assign(alternate=0)
    buys = orders[(orders["side"] == "buy") & (orders["quantity"] > 0)]
    free = scores.drop(orders["instrument"], errors="ignore").dropna()
    free = free[free.index.map(situation.tradable).fillna(False).astype(bool)]
    budget = (buys["quantity"] * buys["reference_price"]).mean() if len(buys) else 0.0
    if rules.strategy.binds_portfolio:
        planned = situation.planned(orders)
        free = free[[planned.may_take(str(name), float(budget), rules.strategy) for name in free.index]]
    number = rules.order_generation.alternates if len(buys) else 0
    chosen = free.sort_index().sort_values(ascending=False, kind="stable").head(number)
    prices = situation.prices.reindex(chosen.index)
    ranks = scores.rank(ascending=False, method="first").reindex(chosen.index)
    indices = range(1, len(chosen) + 1)
    lots = lots_of(rules.market_rules, pd.Index(chosen.index))
    quantity = (budget / prices // lots.step * lots.step).astype("int64")
    quantity = quantity.where(quantity >= lots.fewest, 0)
    alternates = pd.DataFrame(
        {
            "instrument": pd.Series(chosen.index, dtype="str"),
            "side": "alternate",
            "quantity": quantity.to_numpy(),
            "reference_price": prices.to_numpy(),
            "estimated_value": (quantity * prices).to_numpy(),
            "score": chosen.to_numpy(),
            "rank": ranks.astype("int64").to_numpy(),
            "reason": [
                f"alternate {index}, never sent: the next best where a buy is not executed" for index in indices
            ],
            "alternate": list(indices),
        }
    )
    return pd.concat([flagged, alternates], ignore_index=True)[[*flagged.columns]] if len(alternates) else flagged

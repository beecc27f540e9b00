"""A backtest for one question: market and scores stay in memory, so that a question costs the backtest alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pydantic import ValidationError

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters, describe_faults
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.factors.labels import require_price, stated_label
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.pipelines.backtest.measuring import measure_backtest
from quant_pipeline.pipelines.market_tables import TradingRules
from quant_pipeline.service.answers import CODE, flattened, require_cells, rows_of
from quant_pipeline.service.factor_answers import require_known, span_of
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import BacktestQuestion, ScoreColumns
from quant_pipeline.service.results import ResultStore
from quant_pipeline.service.served_project import ServedProject
from quant_pipeline.strategy.rules import StrategyRules

MARKET = ("bars", "corporate_actions", "sessions", "benchmark", "instruments")


def backtest(
    served: ServedProject, store: ResultStore, question: BacktestQuestion, max_cells: int
) -> Mapping[str, Any]:
    """Trade scores by the rules of the account, or return the stored answer to the same question.

    Returns
    -------
    Mapping
        ``id``, ``performance`` (measures by name), ``nav`` (``columns``, ``rows``) and ``trades`` (hash of the table).

    Raises
    ------
    QuantPipelineError
        When the scores, the rules or the dates do not allow a backtest.
    """
    known = served.known
    name = _identity(served, question)
    stored = store.document(name)
    # The hash of a table that made room for others would lead nowhere: it is made again.
    if stored is not None and all(store.has(str(stored.get(table))) for table in ("trades", "positions")):
        return {**stored, "answered_from": "store"}
    rules = _rules(served, question)
    scores = _scores(served, question, rules)
    require_cells(len(scores), 1, max_cells)
    first = pd.Timestamp(scores.index.get_level_values("datetime").min())
    market = _market(served, first, question, rules)
    cash = rules.account.initial_cash if question.initial_cash is None else question.initial_cash
    result = run_backtest(scores, market, rules.strategy, rules.cost_rules, cash)
    benchmark = served.market_tables().benchmark_levels(market)
    nav, performance = measure_backtest(result, benchmark, rules.market_rules.risk_free_rate)
    document = {
        "id": name,
        "watermark": known.watermark,
        "code": CODE,
        "strategy": rules.strategy.model_dump(mode="json"),
        "performance": {key: None if pd.isna(value) else value for key, value in performance.items()},
        "nav": {"columns": list(nav.columns), "rows": rows_of(nav)},
        "trades": store.put(result.trades),
        "positions": store.put(result.positions),
    }
    if _identity(served, question) != name:
        text = "the market or the parameters have changed while it was computed"
        raise Refused(503, "changed meanwhile", text, "Ask again.", headers={"Retry-After": "1"})
    store.put_document(name, document)
    return {**document, "answered_from": "computation"}


def _dataset_of(question: BacktestQuestion) -> tuple[str, ...]:
    """Return the dataset of the scores; none where the question brings them, or names a model that is refused later."""
    if question.combination is not None:
        return ("fused_scores",)
    return () if question.model is None else (f"{question.model}_predictions",)


def _identity(served: ServedProject, question: BacktestQuestion) -> str:
    """Return the hash of a question and of all that its answer depends on."""
    files = served.fingerprint(*MARKET, *_dataset_of(question))
    known = {"files": files, "parameters": served.parameters_hash(), "code": CODE}
    text = json.dumps({**known, "question": question.model_dump(mode="json")}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _rules(served: ServedProject, question: BacktestQuestion) -> TradingRules:
    rules = served.trading_rules()
    return TradingRules(
        _changed(rules.strategy, question.changes(), StrategyRules, "strategy"),
        rules.market_rules,
        _changed(rules.cost_rules, question.costs, CostRules, "costs"),
        rules.account,
    )


def _changed(rules: Any, changes: Mapping[str, Any], kind: type[Parameters], block: str) -> Any:
    """Return rules with some keys changed, checked as those of the files are."""
    if not changes:
        return rules
    try:
        return kind.model_validate({**rules.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        faults = describe_faults(error, kind, block)
        raise Refused(422, "invalid request", faults, f"Correct the keys of '{block}'.", block) from error


def _scores(served: ServedProject, question: BacktestQuestion, rules: TradingRules) -> pd.Series:
    """Return scores by ``(datetime, instrument)`` in the span that was asked for."""
    if question.scores is not None:
        scores = _given(served, question.scores)
    else:
        scores = _stored(served, question, rules.market_rules.deal_price)
    if question.start is not None or question.end is not None:
        days = scores.index.get_level_values("datetime")
        start = days.min() if question.start is None else pd.Timestamp(question.start)
        end = days.max() if question.end is None else pd.Timestamp(question.end)
        scores = scores[(days >= start) & (days <= end)]
    if scores.empty:
        raise Refused(422, "no scores", "there are no scores in this span", "Ask for another one.", "start")
    return scores


def _stored(served: ServedProject, question: BacktestQuestion, price: DealPrice) -> pd.Series:
    """Return the out-of-sample scores of a combination or a model; those of the last question stay in memory."""
    key, name = ("combination", question.combination) if question.combination else ("model", question.model)
    known = served.parameters["ensemble"]["combinations"] if question.combination else served.parameters["models"]
    if name not in known:
        raise Refused(
            422,
            f"unknown {key}",
            f"there is no {key} '{name}'",
            f"There are {first_of(known, whole=f'GET /v1/{key}s')}.",
            key,
        )
    (dataset,) = _dataset_of(question)

    def load() -> pd.Series:
        table = flattened(served.table(dataset))
        table = table[table["combination"] == name if question.combination else table["segment"] == "test"]
        if table.empty:
            raise Refused(409, "no scores", f"there are no scores of {key} '{name}' yet", "Train and predict it.", key)
        require_price(
            f"'{name}'",
            stated_label(table),
            price,
            remedy="predict again: `kedro run --pipelines training,ensemble`",
            trained="train for it: `kedro run --pipelines features,training,ensemble`",
        )
        scores: pd.Series = table.set_index(["datetime", "instrument"])["score"]
        return scores

    return served.kept("scores of backtests", (dataset,), load, question=name)


def _given(served: ServedProject, columns: ScoreColumns) -> pd.Series:
    require_known(served, columns.instrument)
    index = pd.MultiIndex.from_arrays(
        [pd.DatetimeIndex(columns.date), columns.instrument], names=["datetime", "instrument"]
    )
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        text = f"{twice[1]} has two scores on {twice[0]:%Y-%m-%d}"
        raise Refused(422, "two scores", text, "Send one score per date and instrument.", "scores")
    strange = index.get_level_values("datetime").difference(served.calendar)
    if len(strange):
        text = f"{strange[0]:%Y-%m-%d} is no session of the market"
        raise Refused(
            422, "no session", text, "Date each score by the session after whose close it is known.", "scores"
        )
    return pd.Series(columns.score, index, dtype="float64", name="score")


def _market(
    served: ServedProject, first: pd.Timestamp, question: BacktestQuestion, rules: TradingRules
) -> TradingMarket:
    """Return the market from the first score on; of the rules it depends on those of the market and on the weights."""
    last = served.calendar[-1] if question.end is None else pd.Timestamp(question.end)
    days = served.calendar[(served.calendar >= first) & (served.calendar <= last)]
    if len(days) < 2:
        span_of(served, question)
        text = "orders execute in the session after a decision; there is none"
        raise Refused(422, "too short", text, "Ask for at least two sessions.", "end")
    asked = (days[0], days[-1], rules.strategy.weighs_by_returns, rules.market_rules.model_dump_json())
    return served.kept("market of backtests", MARKET, lambda: served.market_tables().market_of(days, rules), asked)

"""A report's inputs: three years of a plausible strategy, and the same tables on the day before anything happened."""

import json

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.performance import measure_performance
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.quality import COLUMNS as QUALITY_COLUMNS
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.pipelines.backtest.facts import digest_of_nav
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.reporting import nodes
from quant_pipeline.pipelines.reporting.context import describe_run
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.ledger.tables import HOLDING_COLUMNS
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.shadow.causes import CAUSES

AS_OF = "2024-12-31"
MODELS = ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158")
LIVE_SCORES = json.dumps(
    {
        "at": "2024-12-31T21:01:07+00:00",
        "session": AS_OF,
        "models": {"ridge_alpha158": {"bundle": "0a1b2c3d", "scores": {"KZQL": 0.125, "ABCD": 0.5, "XYZ": -1.0}}},
    }
)
"""What the process that watches the market has written last."""
REASON = "bought: rank 4 of 197, score 0.974619, among the best 30"


def _nav(random, sessions):
    market = random.normal(0.0004, 0.011, len(sessions))
    own = 0.9 * market + random.normal(0.0004, 0.005, len(sessions))
    market[0] = own[0] = 0.0
    turnover = np.where(np.arange(len(sessions)) > 0, random.uniform(0.05, 0.2, len(sessions)), 0.0)
    nav = 1_000_000 * np.cumprod(1 + own)
    return pd.DataFrame(
        {
            "date": sessions,
            "nav": nav,
            "cash": nav * 0.05,
            "benchmark": 1_000_000 * np.cumprod(1 + market),
            "turnover": turnover,
            "cost": turnover * nav * 0.0003,
        }
    )


def _ic_series(random, sessions):
    common = random.normal(0.02, 0.09, len(sessions))
    strengths = dict(zip((*MODELS, "fused"), (0.012, 0.004, 0.008, 0.014), strict=True))
    frames = []
    for model, strength in strengths.items():
        rank_ic = common + strength + random.normal(0, 0.03, len(sessions))
        frames.append(pd.DataFrame({"date": sessions, "model": model, "ic": rank_ic * 0.9, "rank_ic": rank_ic}))
    return pd.concat(frames, ignore_index=True)


def _orders():
    rows = [
        (
            "KZQL",
            "sell",
            412,
            118.42,
            0.0713,
            181,
            "sold: rank 181 of 197, score 0.0713, among the 3 weakest of holdings and candidates",
        ),
        ("BRTN", "sell", 2_204, 21.07, np.nan, 0, "sold: it has no score, it left the universe"),
        ("AVLO", "buy", 327, 148.90, 0.9746, 4, REASON),
        ("MSTR.B", "buy", 1_043, 46.61, 0.9695, 6, REASON),
        ("QUIN", "hold", 250, 201.55, 0.9898, 2, "held: rank 2 of 197, score 0.9898"),
    ]
    columns = ["instrument", "side", "quantity", "reference_price", "score", "rank", "reason"]
    orders = pd.DataFrame(rows, columns=columns)
    orders.insert(4, "estimated_value", orders["quantity"] * orders["reference_price"])
    return orders


def _holdings(random):
    names = [f"{chr(65 + index)}{chr(90 - index)}{chr(70 + index % 9)}L" for index in range(12)]
    table = pd.DataFrame({"instrument": names, "quantity": random.integers(100, 4_000, 12)})
    table["sessions_held"] = random.integers(1, 60, 12)
    table["average_cost"] = random.uniform(15, 240, 12).round(2)
    table["price"] = (table["average_cost"] * random.normal(1.03, 0.08, 12)).round(2)
    table["market_value"] = table["quantity"] * table["price"]
    table["unrealised_profit"] = table["market_value"] - table["quantity"] * table["average_cost"]
    table["weight"] = 0.95 * table["market_value"] / table["market_value"].sum()
    return table[HOLDING_COLUMNS].sort_values("market_value", ascending=False, ignore_index=True)


def _trades(random):
    outcomes = [
        ("filled", ""),
        ("partially_filled", "cut to what the cash and the fee allow"),
        ("expired", "the instrument did not trade in this session"),
    ]
    chosen = random.choice(3, 4_000, p=[0.97, 0.02, 0.01])
    return pd.DataFrame([outcomes[place] for place in chosen], columns=["status", "message"])


def _quality(random, sessions):
    checks = [("unexplained_move", "warning"), ("gap", "warning"), ("without_volume", "error")]
    chosen = random.choice(3, 60, p=[0.55, 0.4, 0.05])
    return pd.DataFrame(
        {
            "instrument": random.choice(["QUIN", "AVLO", "BRTN"], 60),
            "date": random.choice(sessions, 60),
            "check": [checks[place][0] for place in chosen],
            "severity": [checks[place][1] for place in chosen],
            "value": random.uniform(0.4, 0.7, 60),
            "detail": "close moved by more than 40 % without a corporate action",
        }
    )


@pytest.fixture(scope="session")
def settings():
    """What the catalog gives for the parameters of the nodes."""
    combinations = {
        "all_equal": {"models": list(MODELS), "member_weights": "equal"},
        "all_icir": {"models": list(MODELS), "member_weights": "icir"},
        "without_network": {"models": list(MODELS[:2]), "member_weights": "equal"},
    }
    ensemble = EnsembleParameters(default="all_icir", combinations=combinations)
    named = {
        "report": ReportParameters(account="sim", market="simulated", path="data/accounts/sim/08_reporting"),
        "market_rules": MarketRules(calendar="XNYS", deal_price="open"),
        "ensemble": ensemble,
        "label": LabelParameters(horizon=1),
        "as_of": AS_OF,
        "account": AccountParameters(name="sim"),
        "execution": ExecutionRules(),
        "events": (),
    }
    return {**named, "parameters": {**named, "quality": QualityParameters()}}


@pytest.fixture(scope="session")
def context(settings):
    return describe_run(settings["report"], AS_OF, settings["market_rules"], "all_icir", 1, settings["parameters"])


@pytest.fixture(scope="session")
def tables(context):
    """Everything a report can show."""
    random = np.random.default_rng(11)
    sessions = pd.bdate_range("2022-01-03", AS_OF)
    nav = _nav(random, sessions)
    levels = nav.set_index("date")
    performance = measure_performance(levels["nav"], levels["benchmark"], levels["turnover"])
    comparison = pd.DataFrame(
        [
            ("all_equal", ", ".join(MODELS), "equal", 0.0331, 0.36, 0.121, 0.87, -0.211),
            ("all_icir", ", ".join(MODELS), "icir", 0.0342, 0.38, performance["annualised_return"], 0.99, -0.198),
            ("without_network", ", ".join(MODELS[:2]), "equal", 0.0287, 0.31, 0.101, 0.71, -0.224),
        ],
        columns=[
            "combination",
            "members",
            "method",
            "rank_ic",
            "icir",
            "annualised_return",
            "sharpe",
            "maximum_drawdown",
        ],
    )
    weights = pd.DataFrame(
        [("all_equal", model, 1 / 3) for model in MODELS]
        + [("all_icir", model, weight) for model, weight in zip(MODELS, (0.46, 0.21, 0.33), strict=True)]
        + [("without_network", model, 0.5) for model in MODELS[:2]],
        columns=["combination", "model", "weight"],
    )
    history = pd.concat([weights.assign(session=sessions[0]), _renewed_weights(sessions)], ignore_index=True)
    combination_nav = pd.concat(
        [
            pd.DataFrame({"date": nav["date"], "combination": name, "nav": nav["nav"] * (1 + 0.01 * index)})
            for index, name in enumerate(comparison["combination"])
        ],
        ignore_index=True,
    )
    account = nav[["date", "nav", "cash"]].tail(25).reset_index(drop=True)
    return {
        "backtest_nav": nav,
        "backtest_performance": performance,
        "backtest_facts": {"hash": context.backtest_hash, "nav": digest_of_nav(nav)},
        "backtest_trades": _trades(random),
        "combination_comparison": comparison,
        "combination_nav": combination_nav,
        "ensemble_weights": weights,
        "ensemble_weight_history": history,
        "ic_series": _ic_series(random, sessions[:-2]),
        "live_scores": LIVE_SCORES,
        "orders": _orders(),
        "holdings": _holdings(random),
        "account_nav": account,
        "missed_sessions": pd.DataFrame(
            {"session": [sessions[-9], sessions[-2]], "missed": "no orders were decided", "is_new": [False, True]}
        ),
        "shadow_sessions": _shadow(sessions[-2:]),
        "data_quality": _quality(random, sessions),
    }


def _shadow(sessions):
    """Two sessions of account and shadow; the newest was sent late and paid a fee."""
    rows = {"date": sessions, "base": 1e6, "account": [250.0, -120.0], "shadow": [250.0, -100.25]}
    rows |= {"difference": [0.0, 19.75], **dict.fromkeys(CAUSES, 0.0)}
    return pd.DataFrame(rows).assign(delay=[0.0, 18.75], fees=[0.0, 1.0])


def _renewed_weights(sessions):
    """A combination whose weights were renewed twice."""
    rows = [
        ("latest_icir", model, weight, sessions[start])
        for start, shares in ((0, (0.5, 0.3, 0.2)), (21, (0.2, 0.3, 0.5)), (42, (0.1, 0.1, 0.8)))
        for model, weight in zip(MODELS, shares, strict=True)
    ]
    return pd.DataFrame(rows, columns=["combination", "model", "weight", "session"])


@pytest.fixture(scope="session")
def empty_tables(tables):
    """The first day: every table is there, none has a row."""
    empty = {name: table.iloc[:0] for name, table in tables.items() if isinstance(table, pd.DataFrame)}
    return {
        **empty,
        "backtest_performance": {},
        "backtest_facts": {},
        "live_scores": None,
        "data_quality": pd.DataFrame(columns=QUALITY_COLUMNS),
    }


@pytest.fixture(scope="session")
def compose(settings):
    """Compose a page from tables as the pipeline would; some settings may be other ones."""

    def run(tables, **changed):
        drawn = nodes.draw_figures(
            tables["backtest_nav"], tables["ic_series"], MarketRules(), tables["backtest_facts"], settings["parameters"]
        )
        figures = dict(zip(("nav_figure", "drawdown_figure", "ic_figure"), drawn, strict=True))
        return nodes.compose_report(**{**figures, **tables, **settings, **changed})

    return run


@pytest.fixture(scope="session")
def page(compose, tables):
    return compose(tables)

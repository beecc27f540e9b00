"""What MLflow records beside parameters: models and searches as nested runs, backtests and reports in the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import mlflow
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from quant_pipeline.reports.spreadsheet import csv_text
from quant_pipeline.tracking.model_record import model_of, record_model
from quant_pipeline.tracking.parameters import as_plain, flatten, key_of, log_parameters

LEADERS_LOGGED = 1_000
FACTORS_LOGGED = 20
FACTOR_MEASURES = (
    "ic",
    "icir",
    "rank_ic",
    "rank_icir",
    "rank_ic_t",
    "spread",
    "autocorrelation",
    "coverage",
    "topk_return",
    "topk_sharpe",
)


def record_node(
    node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], outputs: dict[str, Any], market: str
) -> None:
    """Record what a node has made, where it is one of those that MLflow shows and a run is active.

    Parameters
    ----------
    node, catalog, inputs, outputs
        As Kedro's hook ``after_node_run`` gets them.
    market
        Name of the market, with which the names of registered models begin.
    """
    if mlflow.active_run() is None:
        return
    match node.short_name:
        case "evaluate_model" if node.namespace is not None:
            record_model(node, catalog, inputs, outputs[f"{model_of(node)}.metrics"], market)
        case "backtest_combinations":
            _record_backtest(inputs, outputs)
        case "draw_backtest":
            mlflow.log_text(outputs["backtest_page"], "backtest/equity_curve.html")
        case "compose_report":
            mlflow.log_text(outputs["report_page"], "report.html")
        case "compose_search_page":
            _record_search(inputs, outputs["search_page"])
        case "compose_signal_page":
            _record_signal(inputs, outputs["signal_page"])
        case "compose_factor_page":
            _record_factors(inputs, outputs["factor_page"])


def _record_backtest(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Log the measures of every combination, and the tables of the default one.

    The default combination has the plain names, ``sharpe``; every combination has them behind its own,
    ``all_icir.sharpe``.
    """
    performance, comparison = outputs["backtest_performance"], outputs["combination_comparison"]
    default = inputs["params:ensemble"].default
    measured = _finite(performance)
    for row in comparison.to_dict("records"):
        measured |= _finite({f"{row['combination']}.{name}": value for name, value in row.items()})
    mlflow.log_metrics(measured)
    mlflow.set_tags({"backtest.combination": default, "backtest.hash": outputs["backtest_facts"]["hash"]})
    fused = inputs["fused_scores"]
    used = fused[fused["combination"] == default].drop(columns=["combination", "label"], errors="ignore")
    mlflow.log_text(csv_text(used), "backtest/predictions.csv")
    mlflow.log_text(csv_text(outputs["backtest_positions"]), "backtest/positions.csv")
    report = {
        "combination": default,
        "performance": performance,
        "combinations": comparison.to_dict("records"),
        **outputs["backtest_facts"],
    }
    mlflow.log_text(json.dumps(_without_nan(report), indent=2, ensure_ascii=False, default=str), "backtest/report.json")


def _record_search(inputs: Mapping[str, Any], page: str) -> None:
    """Log the parameters, measures, leaderboard and page of a search."""
    verdict = inputs["search_verdict"]
    with mlflow.start_run(run_name="ensemble_search", nested=True):
        log_parameters(flatten(as_plain(inputs["params:ensemble_search"])))
        mlflow.set_tags({key: verdict[key] for key in ("chosen", "verdict")})
        mlflow.log_metrics({name: value for name, value in verdict.items() if isinstance(value, int | float)})
        mlflow.log_text(inputs["search_leaderboard"].head(LEADERS_LOGGED).to_csv(index=False), "leaderboard.csv")
        mlflow.log_text(page, "search.html")


def _record_signal(inputs: Mapping[str, Any], page: str) -> None:
    """Log what a signal knows and earned, and its page."""
    known = inputs["signal_information"].iloc[0]
    mlflow.log_metrics(_finite(inputs["signal_performance"]) | _finite(known[["ic", "rank_ic", "rank_ic_t"]].to_dict()))
    mlflow.set_tag("signal", inputs["params:signal_evaluation"].signal)
    mlflow.log_text(page, "signal.html")


def _record_factors(inputs: Mapping[str, Any], page: str) -> None:
    """Log the parameters, the strongest factors, the tables and the page of an evaluation."""
    summary = inputs["factor_summary"]
    strongest = summary.head(FACTORS_LOGGED).set_index("factor")[list(FACTOR_MEASURES)].stack().dropna()
    with mlflow.start_run(run_name="factor_evaluation", nested=True):
        log_parameters(flatten(as_plain(inputs["params:factor_evaluation"])))
        mlflow.log_metrics({key_of(f"{factor}.{name}"): value for (factor, name), value in strongest.items()})
        mlflow.log_text(summary.to_csv(index=False), "summary.csv")
        mlflow.log_text(inputs["factor_decay"].to_csv(index=False), "decay.csv")
        mlflow.log_text(page, "factors.html")


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what MLflow can compare runs by; a measure that does not exist is left out."""
    numbers = {key_of(name): float(value) for name, value in values.items() if _is_number(value)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_nan(value: Any) -> Any:
    """Write a number that does not exist as null: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

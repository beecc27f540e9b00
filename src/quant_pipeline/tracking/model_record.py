"""What MLflow records of a trained model: one nested run, and its bundle in the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.reports.spreadsheet import csv_text
from quant_pipeline.tracking.batches import log_points
from quant_pipeline.tracking.parameters import as_plain, flatten, log_parameters
from quant_pipeline.tracking.pictures import draw_importance
from quant_pipeline.tracking.registry import mark_champion, register_candidate, registered_name

MARKET_PARTS = ("labels", "universe", "source")
"""Parts of the fingerprint of a bundle that say which market it has learned from, the same for every model of it."""


def model_of(node: Node) -> str:
    """Return the model that a node belongs to: its innermost namespace; the others are stages."""
    return str(node.namespace).rpartition(".")[2]


def record_model(
    node: Node, catalog: CatalogProtocol[Any, Any], inputs: Mapping[str, Any], metrics: Mapping[str, Any], market: str
) -> None:
    """Log what a model was made of and how good it is, and register its bundle.

    Parameters
    ----------
    node, catalog, inputs
        As of Kedro's hook, after the node that evaluates the model.
    metrics
        What that node has made.
    market
        Name of the market.
    """
    namespace = model_of(node)
    given = {name.removeprefix(f"{namespace}.").removeprefix(f"{namespace}_"): value for name, value in inputs.items()}
    spec = next(value for name, value in inputs.items() if name.startswith("params:") and "models" in name)
    parameters = flatten(as_plain(spec)) | {"market.name": market}
    if "params:label" in given:
        parameters |= flatten({"label": as_plain(given["params:label"])})
    if "params:universe" in catalog:
        parameters |= flatten({"universe": as_plain(catalog.load("params:universe"))})
    dataset = catalog.get(f"{namespace}.bundle@candidate")
    bundles = dataset if isinstance(dataset, ModelBundles) else None
    if bundles is not None:
        parameters |= _market_of(bundles.store.description("candidate"), catalog)
    with mlflow.start_run(run_name=namespace, nested=True, tags=dict.fromkeys(sorted(node.tags), "true")) as run:
        if "predictions" in given:
            parameters |= _judged_on(given["predictions"])
            mlflow.log_text(csv_text(given["predictions"].reset_index()), "predictions.csv")
        log_parameters(parameters)
        mlflow.log_metrics({name: value for name, value in metrics.items() if isinstance(value, int | float)})
        rows = given["learning_curve"][["step", "metric", "value"]].itertuples(index=False)
        log_points(run.info.run_id, ((f"curve.{metric}", float(value), int(step)) for step, metric, value in rows))
        mlflow.log_text(given["importance"].to_csv(index=False), "feature_importance.csv")
        if not given["importance"].empty:
            mlflow.log_figure(draw_importance(given["importance"], namespace), "feature_importance.png")
        if bundles is not None:
            _register(registered_name(market, namespace), bundles)


def _market_of(described: Mapping[str, Any], catalog: CatalogProtocol[Any, Any]) -> dict[str, Any]:
    """Windows with their counts of sessions, and what identifies the market of a bundle."""
    known: dict[str, Any] = {
        "market.fingerprint": _hash({part: described["inputs"].get(part, "") for part in MARKET_PARTS}),
        "market.source": described["inputs"].get("source", ""),
    }
    days = pd.DatetimeIndex(catalog.load("sessions")["date"]) if "sessions" in catalog else None
    for part, (first, last) in described["window"].items():
        known[f"window.{part}"] = f"{first} to {last}"
        if days is not None:
            known[f"sessions.{part}"] = int(((days >= first) & (days <= last)).sum())
    return known


def _judged_on(predictions: pd.DataFrame) -> dict[str, Any]:
    """Window, sessions and instruments of the test segment."""
    of_test = predictions.index[(predictions["segment"] == "test").to_numpy()]
    days = of_test.get_level_values("datetime").unique()
    if days.empty:
        return {}
    return {
        "window.test": f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}",
        "sessions.test": len(days),
        "universe.instruments": int(of_test.get_level_values("instrument").nunique()),
    }


def _hash(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _register(name: str, bundles: ModelBundles) -> None:
    mlflow.set_tags({f"input.{part}": digest for part, digest in bundles.store.inputs("candidate").items()})
    mlflow.set_tags(_git_state())
    register_candidate(name, bundles.store.folder_of("candidate"))
    champion = bundles.store.aliases.champion
    if champion is not None:
        mark_champion(name, champion)


@lru_cache(maxsize=1)
def _git_state() -> dict[str, str]:
    """Commit of the project and whether files differ from it; nothing outside a repository."""
    try:
        from git import InvalidGitRepositoryError, Repo

        repository = Repo(Path(__file__).parent, search_parent_directories=True)
        return {"git.commit": repository.head.commit.hexsha, "git.changed": str(repository.is_dirty()).lower()}
    except (ImportError, InvalidGitRepositoryError, ValueError):
        # No git on this machine, no repository, or one without a commit.
        return {}

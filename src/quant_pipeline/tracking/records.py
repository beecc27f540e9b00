"""What MLflow records beside parameters: one nested run per model, search and evaluation of factors."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlflow
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.tracking.batches import log_points
from quant_pipeline.tracking.registry import mark_champion, register_candidate

LEADERS_LOGGED = 1_000
FACTORS_LOGGED = 20
FACTOR_MEASURES = ("ic", "icir", "rank_ic", "rank_icir", "rank_ic_t", "spread", "autocorrelation", "coverage")


def record_node(
    node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    """Record what a node has made, where it is one of those that MLflow shows and a run is active.

    Parameters
    ----------
    node, catalog, inputs, outputs
        As Kedro's hook ``after_node_run`` gets them.
    """
    if mlflow.active_run() is None:
        return
    if node.short_name == "evaluate_model" and node.namespace is not None:
        _record_model(node, catalog, inputs, outputs[f"{node.namespace}.metrics"])
    elif node.short_name == "compose_search_page":
        _record_search(inputs, outputs["search_page"])
    elif node.short_name == "compose_factor_page":
        _record_factors(inputs, outputs["factor_page"])


def _record_model(
    node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Log hyper-parameters, metrics, learning curves and importance of a model, and register its bundle."""
    namespace = str(node.namespace)
    spec = next(value for name, value in inputs.items() if name.startswith("params:") and "models" in name)
    with mlflow.start_run(run_name=namespace, nested=True, tags=dict.fromkeys(sorted(node.tags), "true")) as run:
        mlflow.log_params(_flatten(spec.model_dump(mode="json")))
        mlflow.log_metrics({name: value for name, value in metrics.items() if isinstance(value, int | float)})
        rows = inputs[f"{namespace}.learning_curve"][["step", "metric", "value"]].itertuples(index=False)
        log_points(run.info.run_id, ((f"curve.{metric}", float(value), int(step)) for step, metric, value in rows))
        mlflow.log_text(inputs[f"{namespace}.importance"].to_csv(index=False), "feature_importance.csv")
        _register(namespace, catalog.get(f"{namespace}.bundle@candidate"))


def _register(model: str, dataset: Any) -> None:
    if not isinstance(dataset, ModelBundles):
        return
    mlflow.set_tags({f"input.{part}": digest for part, digest in dataset.store.inputs("candidate").items()})
    mlflow.set_tags(_git_state())
    register_candidate(model, dataset.store.folder_of("candidate"))
    champion = dataset.store.aliases.champion
    if champion is not None:
        mark_champion(model, champion)


def _record_search(inputs: dict[str, Any], page: str) -> None:
    """Log the parameters, measures, leaderboard and page of a search."""
    verdict = inputs["search_verdict"]
    with mlflow.start_run(run_name="ensemble_search", nested=True):
        mlflow.log_params(_flatten(inputs["params:ensemble_search"].model_dump(mode="json")))
        mlflow.set_tags({key: verdict[key] for key in ("chosen", "verdict")})
        mlflow.log_metrics({name: value for name, value in verdict.items() if isinstance(value, int | float)})
        mlflow.log_text(inputs["search_leaderboard"].head(LEADERS_LOGGED).to_csv(index=False), "leaderboard.csv")
        mlflow.log_text(page, "search.html")


def _record_factors(inputs: dict[str, Any], page: str) -> None:
    """Log the parameters, the strongest factors, the tables and the page of an evaluation."""
    summary = inputs["factor_summary"]
    strongest = summary.head(FACTORS_LOGGED).set_index("factor")[list(FACTOR_MEASURES)].stack().dropna()
    with mlflow.start_run(run_name="factor_evaluation", nested=True):
        mlflow.log_params(_flatten(inputs["params:factor_evaluation"].model_dump(mode="json")))
        mlflow.log_metrics({_metric_name(f"{factor}.{name}"): value for (factor, name), value in strongest.items()})
        mlflow.log_text(summary.to_csv(index=False), "summary.csv")
        mlflow.log_text(inputs["factor_decay"].to_csv(index=False), "decay.csv")
        mlflow.log_text(page, "factors.html")


def _metric_name(text: str) -> str:
    """Replace what MLflow does not take in the name of a metric."""
    return re.sub(r"[^\w./ -]", "_", text)


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


def _flatten(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat

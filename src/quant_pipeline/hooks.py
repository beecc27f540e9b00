"""What happens around a run: the guard of real accounts, the model registry, tracking, logs and the summary."""

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import click
import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pythonjsonlogger.json import JsonFormatter

from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.exceptions import ConfigurationError, QuantPipelineError, StaleDataError
from quant_pipeline.mlflow_registry import mark_champion, register_candidate
from quant_pipeline.model_registry import use_config_loader

logger = logging.getLogger(__name__)

COMPOSITES = ("__default__", "daily")
SECONDS_WORTH_TELLING = 3.0
LEADERS_LOGGED = 1_000
FACTORS_LOGGED = 20
DEFAULT_ENVIRONMENT = "sim"
REAL_ACCOUNTS = ("paper", "live")
CREDENTIAL_VARIABLES = {
    "paper": ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"),
    "live": ("ALPACA_LIVE_API_KEY", "ALPACA_LIVE_SECRET_KEY"),
}


class AccountGuardHooks:
    """Refuse to run against a real account whose keys are not set, before any other hook acts."""

    def __init__(self) -> None:
        self._environment = DEFAULT_ENVIRONMENT
        self._credentials: dict[str, Any] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the environment and its credentials."""
        self._environment = context.env or DEFAULT_ENVIRONMENT
        if context.env in REAL_ACCOUNTS:
            self._credentials = context.config_loader["credentials"].get(f"alpaca_{context.env}") or {}

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Stop with the remedy when a key is missing.

        Raises
        ------
        ConfigurationError
            When the environment is ``paper`` or ``live`` and one of its two keys is empty.
        """
        environment = self._environment
        if environment not in REAL_ACCOUNTS:
            return
        missing = [key for key in ("api_key", "secret_key") if not self._credentials.get(key)]
        if missing:
            variables = " and ".join(CREDENTIAL_VARIABLES[environment])
            raise ConfigurationError(
                f"Environment '{environment}' trades on an Alpaca account, but its {' and '.join(missing)} is not set. "
                f"Set {variables} in the shell, or write them into conf/{environment}/credentials.yml "
                "(never committed). To work without keys, run the simulated account: --env sim."
            )


class ModelRegistryHooks:
    """Let ``--env`` and ``--params`` reach the model registry, from which the pipelines are made."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Hand the configuration of this session to the registry."""
        use_config_loader(context.config_loader)


class ModelTrackingHooks:
    """One nested MLflow run per model: hyper-parameters, metrics, learning curves, importance, registered bundle."""

    @hook_impl
    def after_node_run(
        self, node: Node, catalog: CatalogProtocol, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        """Log a model once it has been evaluated."""
        namespace = node.namespace
        if node.short_name != "evaluate_model" or namespace is None or mlflow.active_run() is None:
            return
        metrics = outputs[f"{namespace}.metrics"]
        spec = next(value for name, value in inputs.items() if name.startswith("params:") and "models" in name)
        with mlflow.start_run(run_name=namespace, nested=True, tags=dict.fromkeys(sorted(node.tags), "true")):
            mlflow.log_params(_flatten(spec.model_dump(mode="json")))
            mlflow.log_metrics({name: value for name, value in metrics.items() if isinstance(value, int | float)})
            self._log_curve(inputs[f"{namespace}.learning_curve"])
            mlflow.log_text(inputs[f"{namespace}.importance"].to_csv(index=False), "feature_importance.csv")
            self._register(namespace, catalog.get(f"{namespace}.bundle@candidate"))

    @staticmethod
    def _register(model: str, dataset: Any) -> None:
        if not isinstance(dataset, ModelBundles):
            return
        register_candidate(model, dataset.store.folder_of("candidate"))
        champion = dataset.store.aliases.champion
        if champion is not None:
            mark_champion(model, champion)

    @staticmethod
    def _log_curve(curve: Any) -> None:
        for step, metric, value in curve[["step", "metric", "value"]].itertuples(index=False):
            mlflow.log_metric(f"curve.{metric}", float(value), step=int(step))


class SearchTrackingHooks:
    """One nested MLflow run per search: its parameters, measures, leaderboard and page."""

    @hook_impl
    def after_node_run(self, node: Node, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Log a search once its page is there."""
        if node.short_name != "compose_search_page" or mlflow.active_run() is None:
            return
        verdict = inputs["search_verdict"]
        with mlflow.start_run(run_name="ensemble_search", nested=True):
            mlflow.log_params(_flatten(inputs["params:ensemble_search"].model_dump(mode="json")))
            mlflow.set_tags({key: verdict[key] for key in ("chosen", "verdict")})
            mlflow.log_metrics({name: value for name, value in verdict.items() if isinstance(value, int | float)})
            mlflow.log_text(inputs["search_leaderboard"].head(LEADERS_LOGGED).to_csv(index=False), "leaderboard.csv")
            mlflow.log_text(outputs["search_page"], "search.html")


class FactorTrackingHooks:
    """One nested MLflow run per evaluation of factors: parameters, the strongest factors, tables and page."""

    MEASURES = ("ic", "icir", "rank_ic", "rank_icir", "rank_ic_t", "spread", "autocorrelation", "coverage")

    @hook_impl
    def after_node_run(self, node: Node, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Log an evaluation once its page is there."""
        if node.short_name != "compose_factor_page" or mlflow.active_run() is None:
            return
        summary = inputs["factor_summary"]
        strongest = summary.head(FACTORS_LOGGED).set_index("factor")[list(self.MEASURES)].stack().dropna()
        with mlflow.start_run(run_name="factor_evaluation", nested=True):
            mlflow.log_params(_flatten(inputs["params:factor_evaluation"].model_dump(mode="json")))
            mlflow.log_metrics({_metric_name(f"{factor}.{name}"): value for (factor, name), value in strongest.items()})
            mlflow.log_text(summary.to_csv(index=False), "summary.csv")
            mlflow.log_text(inputs["factor_decay"].to_csv(index=False), "decay.csv")
            mlflow.log_text(outputs["factor_page"], "factors.html")


def _metric_name(text: str) -> str:
    """Replace what MLflow does not take in the name of a metric."""
    return re.sub(r"[^\w./ -]", "_", text)


def _flatten(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


class ProgressHooks:
    """One line per node: which one of how many, and how long it took when that is worth knowing."""

    def __init__(self) -> None:
        self._total = self._started = 0
        self._start = 0.0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        self._total, self._started = len(pipeline.nodes), 0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say what runs now."""
        self._started += 1
        self._start = time.perf_counter()
        logger.info("[%2d/%d] %s", self._started, self._total, node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Say how long it took."""
        seconds = time.perf_counter() - self._start
        if seconds >= SECONDS_WORTH_TELLING:
            logger.info("        %s took %.0f s", node.name, seconds)


class JsonLogHooks:
    """Copy every log record of a session into ``logs/<environment>.jsonl``, one JSON object a line."""

    def __init__(self) -> None:
        self._handler: logging.Handler | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Open the file of the environment and let go of the one before."""
        folder = Path(context.project_path) / "logs"
        folder.mkdir(exist_ok=True)
        environment = context.env or DEFAULT_ENVIRONMENT
        handler = logging.FileHandler(folder / f"{environment}.jsonl", encoding="utf-8", delay=True)
        handler.setFormatter(
            JsonFormatter("{asctime}{levelname}{name}{message}", style="{", static_fields={"env": environment})
        )
        root = logging.getLogger()
        if self._handler is not None:
            root.removeHandler(self._handler)
            self._handler.close()
        root.addHandler(handler)
        self._handler = handler


class ErrorHooks:
    """Turn what a person can repair into one message, also when a dataset wrapped it on the way."""

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Raise the error that names the remedy instead of the one that hides it.

        Raises
        ------
        QuantPipelineError
            The original error, or which stage writes a dataset that is not there yet.
        """
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, QuantPipelineError):
                raise cause from None
            if isinstance(cause, FileNotFoundError):
                raise _not_made_yet(error) from None
            cause = cause.__cause__


def _not_made_yet(error: Exception) -> QuantPipelineError:
    dataset = str(error).partition(":")[0]
    stages = [name for name, stage in pipelines.items() if name not in COMPOSITES and dataset in stage.outputs()]
    stages = stages or [
        name for name, stage in pipelines.items() if name not in COMPOSITES and dataset in stage.all_outputs()
    ]
    remedy = f"run `kedro run --pipelines {stages[0]}` first" if stages else "correct its path in the catalog"
    return StaleDataError(f"dataset '{dataset}' has not been made yet; {remedy}.")


class SummaryHooks:
    """Print what a person wants to know at the end of a run."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the run summary when this run has written one."""
        if logger.isEnabledFor(logging.INFO) and "run_summary" in pipeline.outputs() and catalog.exists("run_summary"):
            click.echo("\n" + catalog.load("run_summary"))

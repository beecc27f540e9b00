"""Pipelines of the project: stages one by one, then the sums that people run."""

import warnings
from collections.abc import Mapping
from importlib import import_module

from kedro.pipeline import Pipeline

from quant_pipeline.project.lazy_pipeline import LazyPipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Register every stage under its name, and the composites.

    Returns
    -------
    dict
        ``__default__`` is the whole path from market to orders; ``daily`` is what runs after every close, with stored
        models; ``execution`` sends what was ordered, and only when it is asked for by name; ``continuation`` trains on
        from the champions; ``tuning``, ``rolling``, ``cross_validation``, ``ensemble_search``, ``factor_evaluation``,
        ``signal_evaluation``, ``model_report``, ``analysis`` and ``qlib_comparison`` are beside that path; the others
        are single stages.
    """
    stages = {
        "ingestion": _stage("ingestion"),
        "features": _stage("features"),
        "training": _stage("training"),
        "prediction": LazyPipeline(lambda: _made("prediction") + _made("ensemble", "create_latest_pipeline")),
        "ensemble": _stage("ensemble"),
        "backtest": _stage("backtest"),
        "post_trade": _stage("post_trade"),
        "shadow": _stage("shadow"),
        "order_generation": _stage("order_generation"),
        "ranking": _stage("ranking"),
        "reporting": _stage("reporting"),
    }
    daily = ("ingestion", "prediction", "post_trade", "shadow", "order_generation", "ranking", "reporting")
    return {
        "__default__": LazyPipeline(lambda: _sum_of(stages)),
        **stages,
        "execution": _stage("execution"),
        "continuation": LazyPipeline(lambda: _made("training", "create_continuation_pipeline")),
        "factor_evaluation": _stage("factor_evaluation"),
        "signal_evaluation": _stage("signal_evaluation"),
        "model_report": _stage("model_report"),
        "analysis": _stage("analysis"),
        "tuning": _stage("tuning"),
        "rolling": _stage("rolling"),
        "cross_validation": LazyPipeline(lambda: _made("rolling", "create_cross_validation_pipeline")),
        "ensemble_search": _stage("ensemble_search"),
        "qlib_comparison": _stage("qlib_comparison"),
        "daily": LazyPipeline(lambda: _sum_of({name: stages[name] for name in daily})),
    }


def _sum_of(stages: Mapping[str, Pipeline]) -> Pipeline:
    """Put stages together, each in a namespace of its own: the lineage folds them. Their datasets keep their names."""
    with warnings.catch_warnings():
        # Those of a model have the name of the model before a dot, which Kedro expects of the outermost namespace.
        warnings.filterwarnings("ignore", "One or more dataset names contain '.'")
        return Pipeline(
            [Pipeline(stage, namespace=name, prefix_datasets_with_namespace=False) for name, stage in stages.items()]
        )


def _stage(name: str) -> Pipeline:
    return LazyPipeline(lambda: _made(name))


def _made(name: str, create: str = "create_pipeline") -> Pipeline:
    """Make the pipeline of a stage's package, which is imported only now."""
    made: Pipeline = getattr(import_module(f"quant_pipeline.pipelines.{name}"), create)()
    return made

"""Pipelines of the project: stages one by one, then the sums that people run."""

from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Register every stage under its name, and the composites.

    Returns
    -------
    dict
        ``__default__`` is the whole path from market to orders; ``daily`` is what runs after every close, with stored
        models; ``execution`` sends what was ordered, and only when it is asked for by name; ``tuning``, ``rolling``,
        ``cross_validation``, ``ensemble_search``, ``factor_evaluation`` and ``model_report`` are research beside that
        path; the others are single stages.
    """
    from quant_pipeline.pipelines import (
        backtest,
        ensemble,
        ensemble_search,
        execution,
        factor_evaluation,
        features,
        ingestion,
        model_report,
        order_generation,
        post_trade,
        prediction,
        reporting,
        rolling,
        training,
        tuning,
    )

    stages = {
        "ingestion": ingestion.create_pipeline(),
        "features": features.create_pipeline(),
        "training": training.create_pipeline(),
        "prediction": prediction.create_pipeline() + ensemble.create_latest_pipeline(),
        "ensemble": ensemble.create_pipeline(),
        "backtest": backtest.create_pipeline(),
        "post_trade": post_trade.create_pipeline(),
        "order_generation": order_generation.create_pipeline(),
        "reporting": reporting.create_pipeline(),
    }
    daily = ("ingestion", "prediction", "post_trade", "order_generation", "reporting")
    return {
        "__default__": Pipeline(list(stages.values())),
        **stages,
        "execution": execution.create_pipeline(),
        "factor_evaluation": factor_evaluation.create_pipeline(),
        "model_report": model_report.create_pipeline(),
        "tuning": tuning.create_pipeline(),
        "rolling": rolling.create_pipeline(),
        "cross_validation": rolling.create_cross_validation_pipeline(),
        "ensemble_search": ensemble_search.create_pipeline(),
        "daily": Pipeline([stages[name] for name in daily]),
    }

"""Nodes of the walk forward and of combinatorial cross-validation; each runs once per registered model."""

from collections.abc import Generator
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.progress import track
from quant_pipeline.common.tasks import run_tasks
from quant_pipeline.datasets.bundle import StoredBundles
from quant_pipeline.evaluation.information_coefficient import information_coefficients, rank_ic_t, summarise
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.date_splits import (
    CombinatorialParameters,
    SplitParameters,
    combinatorial_splits,
    split_sessions,
)
from quant_pipeline.models.panel_rows import in_sessions, is_member
from quant_pipeline.models.panels import Features
from quant_pipeline.models.rolling_windows import RollingParameters, rolling_windows
from quant_pipeline.models.training import train_or_keep
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.training.records import ModelSetting, TrainingData, judge_on_test, learn
from quant_pipeline.pipelines.wiring import takes_records


@takes_records(data=TrainingData, setting=ModelSetting)
def train_windows(
    data: TrainingData,
    setting: ModelSetting,
    split: SplitParameters,
    rolling: RollingParameters,
    bundles_as_found: StoredBundles,
) -> Generator[dict[str, ModelBundle]]:
    """Train one bundle per window; a window whose inputs did not change keeps the bundle it has.

    Yields
    ------
    dict
        Name of the window to its bundle, as soon as it is trained: an interrupted walk goes on where it stopped.
    """
    windows = rolling_windows(data.days, rolling.within(split, data.days), setting.label.horizon)
    tasks = ((train_or_keep, setting, window.segments, bundles_as_found.find(window.name)) for window in windows)
    bundles = track(
        run_tasks(learn, data.read_by(setting), tasks), f"walking forward with {setting.spec.title}", len(windows)
    )
    for window, bundle in zip(windows, bundles, strict=True):
        yield {window.name: bundle}


def predict_windows(
    bundles: StoredBundles,
    features: Features,
    universe_members: pd.DataFrame,
    sessions: pd.DataFrame,
    label: LabelParameters,
    split: SplitParameters,
    rolling: RollingParameters,
) -> pd.DataFrame:
    """Score the test sessions of every window with the bundle of that window.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument)`` of universe members: ``score``, and ``window``, whose bundle scored. Every
        score is out of sample.

    Raises
    ------
    ModelError
        When a window has no bundle.
    """
    member = is_member(features.index, universe_members)
    parts = []
    days = pd.DatetimeIndex(sessions["date"])
    windows = list(rolling_windows(days, rolling.within(split, days), label.horizon))
    missing = sorted({window.name for window in windows} - set(bundles))
    if missing:
        raise ModelError(
            f"{len(missing)} windows, {missing[0]} the first, have no bundle; run the whole pipeline, which trains "
            "only what is missing: `kedro run --pipelines rolling`"
        )
    for window in windows:
        rows = np.flatnonzero(member & in_sessions(features.index, window.segments["test"]))
        scores = bundles[window.name].predict(features, rows).to_frame()
        parts.append(scores.assign(window=pd.array([window.name] * len(scores), dtype="str")))
    return pd.concat(parts)


def evaluate_windows(
    predictions: pd.DataFrame, labels: pd.DataFrame, label: LabelParameters
) -> tuple[dict[str, float], pd.DataFrame]:
    """Measure the joined series, and each window on its own.

    Returns
    -------
    tuple
        Metrics of the whole, and a table by ``window``: ``ic``, ``rank_ic``, ``sessions``.
    """
    coefficients = information_coefficients(predictions["score"], labels["label"])
    window_of = predictions["window"].groupby(level="datetime").first()
    by_window = coefficients.dropna().groupby(window_of)
    table = by_window.mean().assign(sessions=by_window.size()).rename_axis("window").reset_index()
    return summarise(coefficients) | {"rank_ic_t": rank_ic_t(coefficients, label.horizon)}, table


@takes_records(data=TrainingData, setting=ModelSetting)
def cross_validate(
    data: TrainingData, setting: ModelSetting, split: SplitParameters, cross_validation: CombinatorialParameters
) -> pd.DataFrame:
    """Train and score every split of combinatorial purged cross-validation; the test segment stays unseen.

    Sessions whose label is realised in the test segment are left out, as they are in training.

    Returns
    -------
    pandas.DataFrame
        ``split``, ``ic``, ``rank_ic``, ``icir``, ``rank_icir``, ``sessions``: how much the verdict on a model depends
        on the stretch of history that judges it.
    """
    days, horizon = data.days, setting.label.horizon
    segments = split_sessions(days, split, horizon)
    history = days[(days >= segments["train"][0]) & (days <= segments["valid"][-1])]
    rows: list[dict[str, Any]] = []
    splits = combinatorial_splits(history, cross_validation, horizon)
    judged = run_tasks(judge_on_test, data.read_by(setting), ((setting, part.segments) for part in splits))
    progress = track(judged, f"cross-validating {setting.spec.title}", len(splits))
    for part, coefficients in zip(splits, progress, strict=True):
        summary = summarise(coefficients)
        rows.append({"split": part.name, **{key: summary[key] for key in ("ic", "rank_ic", "icir", "rank_icir")}})
        rows[-1]["sessions"] = summary["sessions"]
    return pd.DataFrame(rows).astype({"split": "str"})

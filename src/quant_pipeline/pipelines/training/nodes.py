"""Nodes of training; each runs once per registered model, in the model's namespace."""

from functools import partial

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.tasks import run_tasks
from quant_pipeline.evaluation.information_coefficient import information_coefficients, rank_ic_t, summarise
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.date_splits import SplitParameters, split_sessions
from quant_pipeline.models.panel_rows import in_sessions, is_member
from quant_pipeline.models.panels import Features
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import continue_or_keep, train_or_keep
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.training.records import Learner, ModelSetting, TrainingData, learn
from quant_pipeline.pipelines.wiring import takes_records


@takes_records(data=TrainingData, setting=ModelSetting)
def train_model(
    data: TrainingData, setting: ModelSetting, split: SplitParameters, bundle_as_found: ModelBundle | None
) -> tuple[ModelBundle, pd.DataFrame, pd.DataFrame]:
    """Train a model on its training segment, stop early by its validation segment, and seal it.

    A bundle that was trained from the very same inputs is kept.

    Returns
    -------
    tuple
        The bundle, its learning curve (``step``, ``metric``, ``value``) and its feature importance (``factor``,
        ``importance``).
    """
    return _seal(train_or_keep, data, setting, split, bundle_as_found)


@takes_records(data=TrainingData, setting=ModelSetting)
def continue_model(
    data: TrainingData,
    setting: ModelSetting,
    split: SplitParameters,
    bundle_as_found: ModelBundle | None,
    champion: ModelBundle | None,
) -> tuple[ModelBundle, pd.DataFrame, pd.DataFrame]:
    """Let a model go on learning from its champion in the present window, and seal what comes out.

    Returns
    -------
    tuple
        As `train_model`. The bundle says which one it was continued from.

    Raises
    ------
    ModelError
        When there is no champion that can be read.
    """
    if champion is None:
        raise ModelError(
            f"{setting.spec.title} has no champion to continue from; train it first: kedro run --pipelines training"
        )
    return _seal(partial(continue_or_keep, champion=champion), data, setting, split, bundle_as_found)


def _seal(
    learner: Learner,
    data: TrainingData,
    setting: ModelSetting,
    split: SplitParameters,
    bundle_as_found: ModelBundle | None,
) -> tuple[ModelBundle, pd.DataFrame, pd.DataFrame]:
    """Let a model learn on the segments of its label; return the bundle with its learning curve and importance."""
    segments = split_sessions(data.days, split, setting.label.horizon)
    (bundle,) = run_tasks(learn, data.read_by(setting), [(learner, setting, segments, bundle_as_found)])
    return bundle, bundle.learning_curve, bundle.importance


def predict_out_of_sample(
    bundle: ModelBundle,
    features: Features,
    universe_members: pd.DataFrame,
    sessions: pd.DataFrame,
    label: LabelParameters,
    split: SplitParameters,
) -> pd.DataFrame:
    """Score the validation and the test sessions with a trained bundle.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument)`` of universe members with ``score``, ``segment``, ``label``, what the bundle
        was trained to predict, and ``bundle``, its identity.
    """
    segments = split_sessions(pd.DatetimeIndex(sessions["date"]), split, label.horizon)
    wanted = segments["valid"].union(segments["test"])
    rows = np.flatnonzero(is_member(features.index, universe_members) & in_sessions(features.index, wanted))
    scores = bundle.predict(features, rows).to_frame()
    in_test = scores.index.get_level_values("datetime").isin(segments["test"])
    said = {name: pd.array([text] * len(scores), dtype="str") for name, text in _said_by(bundle).items()}
    return scores.assign(segment=pd.array(np.where(in_test, "test", "valid"), dtype="str"), **said)


def _said_by(bundle: ModelBundle) -> dict[str, str]:
    return {"label": bundle.facts.label, "bundle": bundle.identity}


def evaluate_model(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    label: LabelParameters,
    spec: ModelSpec,
    learning_curve: pd.DataFrame,
    importance: pd.DataFrame,
    bundle: ModelBundle,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Measure a model on the test sessions whose label is realised.

    Parameters
    ----------
    predictions, labels
        Out-of-sample scores and realised returns.
    label
        Horizon.
    spec, learning_curve, importance
        Tracked beside the metrics.
    bundle
        The version that predicted.

    Returns
    -------
    tuple of dict
        Information coefficients of the test segment; those of the validation segment begin with ``valid_``. The same by
        the identity of the version.
    """
    metrics: dict[str, float] = {}
    for segment, prefix in (("test", ""), ("valid", "valid_")):
        scores = predictions.loc[predictions["segment"] == segment, "score"]
        coefficients = information_coefficients(scores, labels["label"])
        summary = summarise(coefficients) | {"rank_ic_t": rank_ic_t(coefficients, label.horizon)}
        metrics |= {f"{prefix}{key}": value for key, value in summary.items()}
    return metrics, {bundle.identity: metrics}

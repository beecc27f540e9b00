"""The walk forward: interrupted, repeated, poisoned."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.datasets.bundle import BundlesByWindow
from quant_pipeline.models import digests
from quant_pipeline.models.date_splits import CombinatorialParameters, SplitParameters
from quant_pipeline.models.rolling_windows import RollingParameters
from quant_pipeline.pipelines.rolling import nodes
from tests.helpers.whole_path import AS_OF, inputs_of_training, parameters

ROLLING = RollingParameters(
    start="2020-06-01", first_test="2023-01-03", frequency="quarterly", train_sessions=252, valid_sessions=60
)
SPLIT = parameters(AS_OF)["split"]
CUT = pd.Timestamp("2023-05-15")


@pytest.fixture(scope="module")
def inputs(clean_run):
    return inputs_of_training(clean_run)


def walk(inputs, folder, stop_after=None):
    """Train window after window, as Kedro does: each is saved before the next is trained."""
    dataset = BundlesByWindow(filepath=str(folder))
    trained = []
    for chunk in nodes.train_windows(**inputs, split=SPLIT, rolling=ROLLING, bundles_as_found=dataset.load()):
        dataset.save(chunk)
        trained += list(chunk)
        if len(trained) == stop_after:
            break
    return dataset.load()


def predict(inputs, bundles):
    names = ("features", "universe_members", "sessions", "label")
    return nodes.predict_windows(bundles, **{name: inputs[name] for name in names}, split=SPLIT, rolling=ROLLING)


@pytest.fixture(scope="module")
def bundles(inputs, tmp_path_factory):
    return walk(inputs, tmp_path_factory.mktemp("walk"))


def test_every_test_session_is_scored_once_by_a_model_of_its_own_past(inputs, bundles):
    predictions = predict(inputs, bundles)
    assert list(bundles) == ["2023-01-03", "2023-04-03", "2023-07-03", "2023-10-02"]
    assert not predictions.index.duplicated().any()
    sessions = pd.DatetimeIndex(inputs["sessions"]["date"])
    scored = predictions.index.get_level_values("datetime").unique()
    assert scored.equals(sessions[sessions >= "2023-01-03"])
    for window, rows in predictions.groupby("window"):
        assert pd.Timestamp(bundles[window].facts.window["valid"][1]) < rows.index[0][0]


def test_a_walk_without_dates_follows_the_segments_of_training(inputs):
    days = pd.DatetimeIndex(inputs["sessions"]["date"])
    found = RollingParameters(train_sessions=252, valid_sessions=60).within(SPLIT, days)
    assert (str(found.start), str(found.first_test)) == ("2020-06-01", "2023-01-01")
    moving = SplitParameters(train="1 year", valid="6 months", test="3 months")
    found = RollingParameters().within(moving, days)
    assert (str(found.start), str(found.first_test)) == ("2022-03-01", "2023-09-01")


def test_a_window_without_bundle_is_named(inputs, tmp_path):
    with pytest.raises(ModelError, match=r"^2 windows, 2023-07-03 the first, have no bundle"):
        predict(inputs, walk(inputs, tmp_path, stop_after=2))


def test_an_interrupted_walk_goes_on_where_it_stopped_and_gives_the_same_models(inputs, bundles, tmp_path, caplog):
    caplog.set_level("INFO", logger="quant_pipeline.models.training")
    walk(inputs, tmp_path, stop_after=2)
    assert not BundlesByWindow(filepath=str(tmp_path)).exists()  # --only-missing-outputs would take half for the whole
    assert "kept" not in caplog.text
    resumed = walk(inputs, tmp_path)
    assert caplog.text.count("kept, nothing it was trained from has changed") == 2
    assert {name: resumed[name].identity for name in resumed} == {name: bundles[name].identity for name in bundles}


def test_a_walk_hashes_each_year_once_however_many_windows_it_has(inputs, bundles, tmp_path, monkeypatch):
    hashed, original = [], digests._of_values

    def count(column):
        hashed.append(len(column))
        return original(column)

    monkeypatch.setattr(digests, "_of_values", count)
    walk(inputs, tmp_path)
    until = [pd.Timestamp(bundle.facts.window["valid"][1]) for bundle in bundles.values()]
    days = inputs["features"].index.get_level_values("datetime")
    years_over = (days < f"{until[-1]:%Y}-01-01").sum()
    of_ends = sum(((days.year == end.year) & (days <= end)).sum() for end in until)
    columns = len(bundles["2023-01-03"].facts.columns) + 1
    assert sum(hashed) <= (years_over + of_ends) * columns < sum((days <= end).sum() for end in until) * columns


def test_a_damaged_window_is_trained_again(inputs, bundles, tmp_path):
    walk(inputs, tmp_path)
    (tmp_path / "2023-04-03" / "model.safetensors").write_bytes(b"torn")
    assert walk(inputs, tmp_path)["2023-04-03"].identity == bundles["2023-04-03"].identity


def test_a_poisoned_future_changes_no_window_and_no_score_before_it(inputs, bundles, tmp_path):
    random = np.random.default_rng(3)
    features, labels = inputs["features"].copy(), inputs["labels"].copy()
    for table in (features, labels):
        later = table.index.get_level_values("datetime") > CUT
        table.loc[later] = random.normal(size=(later.sum(), table.shape[1])).astype(table.dtypes.iloc[0])
    # Labels of the last two sessions before the cut are realised after it.
    known = labels.index.get_level_values("datetime") > CUT - pd.offsets.BDay(2)
    labels.loc[known] = 9.0
    poisoned = {**inputs, "features": features, "labels": labels}
    other = walk(poisoned, tmp_path)
    for name in ("2023-01-03", "2023-04-03"):
        assert other[name].identity == bundles[name].identity
    assert other["2023-10-02"].identity != bundles["2023-10-02"].identity
    before, after = (
        table[table.index.get_level_values("datetime") <= CUT]
        for table in (predict(inputs, bundles), predict(poisoned, other))
    )
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_the_joined_series_is_measured_as_a_whole_and_by_window(inputs, bundles):
    metrics, table = nodes.evaluate_windows(predict(inputs, bundles), inputs["labels"], inputs["label"])
    assert table["window"].tolist() == list(bundles)
    assert table["sessions"].sum() == metrics["sessions"] == 248
    assert np.average(table["rank_ic"], weights=table["sessions"]) == pytest.approx(metrics["rank_ic"])


def cross_validate(inputs):
    chosen = CombinatorialParameters(groups=4, test_groups=2)
    return nodes.cross_validate(**inputs, split=parameters(AS_OF)["split"], cross_validation=chosen)


def test_cross_validation_judges_every_choice_of_stretches_before_the_test(inputs):
    table = cross_validate(inputs)
    assert table["split"].tolist() == ["0+1", "0+2", "0+3", "1+2", "1+3", "2+3"]
    assert table["rank_ic"].between(-0.3, 0.3).all()
    assert (table["sessions"] > 200).all()


def test_cross_validation_sees_no_label_that_is_realised_in_the_test_segment(inputs):
    sessions = pd.DatetimeIndex(inputs["sessions"]["date"])
    first_test = sessions[sessions >= pd.Timestamp(parameters(AS_OF)["split"].test[0])][0]
    labels = inputs["labels"].copy()
    # The label of the second session before the test is the return up to its first open.
    realised_later = labels.index.get_level_values("datetime") >= sessions[sessions.get_loc(first_test) - 2]
    labels.loc[realised_later] = np.random.default_rng(5).normal(size=(realised_later.sum(), 1))
    pd.testing.assert_frame_equal(cross_validate(inputs), cross_validate({**inputs, "labels": labels}))

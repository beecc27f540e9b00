"""Our processors against Qlib's own, on a panel with missing values; and what fitting must never see."""

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import processor as qlib_processors

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.processors import (
    CrossSectionalFill,
    CrossSectionalRank,
    CrossSectionalZScore,
    FillMissing,
    Neutralise,
    ProcessorChain,
    RobustZScore,
    Winsorise,
    drop_missing_labels,
)

DAYS = pd.bdate_range("2020-01-06", periods=12)
TRAIN_ENDS = DAYS[7]


@pytest.fixture(scope="module")
def panel():
    random = np.random.default_rng(8)
    index = pd.MultiIndex.from_product([DAYS, [f"I{n:02d}" for n in range(25)]], names=["datetime", "instrument"])
    values = pd.DataFrame(
        {
            "normal": random.normal(size=len(index)),
            "heavy": random.standard_t(2, size=len(index)) * 100,
            "tied": random.integers(0, 5, size=len(index)),
        },
        index=index,
    )
    return values.mask(random.uniform(size=values.shape) < 0.15).astype("float32")


def grouped(panel):
    """Return the panel as Qlib's handlers arrange it: a level above the columns names their group."""
    return pd.concat({"feature": panel.astype("float64")}, axis=1)


def agree(ours, theirs, relative=2e-6):
    theirs = theirs.droplevel(0, axis=1) if theirs.columns.nlevels > 1 else theirs
    assert np.array_equal(ours.isna().to_numpy(), theirs.isna().to_numpy())
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=relative, abs=1e-6, nan_ok=True)


def test_robust_z_score_is_fitted_and_applied_as_qlib_does(panel):
    theirs = qlib_processors.RobustZScoreNorm(DAYS[0], TRAIN_ENDS, fields_group="feature")
    theirs.fit(grouped(panel))
    chain = ProcessorChain([RobustZScore(clip=3.0)])
    chain.fit_transform(panel.loc[:TRAIN_ENDS])
    agree(chain.transform(panel), theirs(grouped(panel)))


@pytest.mark.parametrize(("method", "spec"), [("zscore", {}), ("robust", {"robust": True, "clip": 3.0})])
def test_cross_sectional_z_score_is_that_of_qlib(panel, method, spec):
    columns = ["normal", "heavy"]  # tied values have sessions without any deviation, where Qlib divides by zero
    if method == "robust":
        # Qlib's robust form takes whole frames and medians column by column, as ours does.
        theirs = panel[columns].astype("float64").groupby("datetime", group_keys=False)
        theirs = theirs.apply(qlib_processors.robust_zscore)
    else:
        theirs = qlib_processors.CSZScoreNorm(fields_group="feature")(grouped(panel[columns]))
    agree(ProcessorChain([CrossSectionalZScore(**spec)]).transform(panel[columns]), theirs)


def test_cross_sectional_rank_is_that_of_qlib_up_to_its_rounded_constant(panel):
    theirs = qlib_processors.CSRankNorm(fields_group="feature")(grouped(panel)) * (np.sqrt(12.0) / 3.46)
    agree(ProcessorChain([CrossSectionalRank()]).transform(panel), theirs)


def test_filling_is_that_of_qlib(panel):
    theirs = qlib_processors.Fillna(fill_value=-1.5)(panel.astype("float64"))
    agree(ProcessorChain([FillMissing(value=-1.5)]).transform(panel), theirs)


def test_filling_with_the_session_is_that_of_qlib(panel):
    theirs = qlib_processors.CSZFillna(fields_group="feature")(grouped(panel))
    agree(ProcessorChain([CrossSectionalFill()]).transform(panel), theirs)


def test_dropping_missing_labels_is_that_of_qlib(panel):
    labels = panel["heavy"].rename("label")
    both = pd.concat({"feature": panel, "label": labels.to_frame()}, axis=1)
    theirs = qlib_processors.DropnaLabel()(both)
    features, known = drop_missing_labels(panel, labels.sample(frac=1.0, random_state=1))
    pd.testing.assert_frame_equal(features, theirs["feature"])
    pd.testing.assert_series_equal(known, theirs["label"]["label"])


def test_winsorising_pulls_back_to_the_quantiles_of_training(panel):
    chain = ProcessorChain([Winsorise(lower=0.05, upper=0.9)])
    chain.fit_transform(panel.loc[:TRAIN_ENDS])
    train = panel.loc[:TRAIN_ENDS].astype("float64")
    expected = panel.clip(train.quantile(0.05), train.quantile(0.9), axis=1)
    agree(chain.transform(panel), expected)
    later = panel.copy()
    later.iloc[-1] = [np.inf, -np.inf, np.nan]
    pulled = chain.transform(later).iloc[-1]
    assert pulled["normal"] == pytest.approx(train["normal"].quantile(0.9), rel=1e-6)
    assert pulled["heavy"] == pytest.approx(train["heavy"].quantile(0.05), rel=1e-6)
    assert np.isnan(pulled["tied"])


def test_equal_values_of_a_session_score_zero_and_missing_ones_stay_missing(panel):
    flat = panel.copy()
    flat.loc[DAYS[2], "normal"] = np.float32(0.1)
    flat.iloc[2 * 25, 0] = np.nan
    for robust in (False, True):
        scored = ProcessorChain([CrossSectionalZScore(robust=robust)]).transform(flat)["normal"].loc[DAYS[2]]
        assert np.isnan(scored.iloc[0])
        assert (scored.iloc[1:] == 0.0).all()


def test_neutralising_takes_sector_and_size_out_and_leaves_them_alone(panel):
    exposed = panel.assign(sector=panel["tied"].fillna(0), size=panel["normal"].fillna(0))
    left = ProcessorChain([Neutralise(sector="sector", size="size")]).transform(exposed)
    pd.testing.assert_frame_equal(left[["sector", "size"]], exposed[["sector", "size"]])
    by_cell = left["heavy"].groupby([left.index.get_level_values("datetime"), exposed["sector"]])
    assert by_cell.sum().abs().max() < 1e-3
    slopes = (left["heavy"] * (exposed["size"])).groupby(level="datetime").sum()
    assert slopes.abs().max() < 1e-2
    assert left["heavy"].std() < exposed["heavy"].std()


def test_neutralising_to_a_factor_that_is_not_there_names_it(panel):
    with pytest.raises(ModelError, match="'SECTOR'"):
        ProcessorChain([Neutralise(sector="SECTOR")]).transform(panel)


def test_a_row_without_a_sector_is_missing(panel):
    exposed = panel.assign(sector=panel["tied"], heavy=np.float32(1.0))
    left = ProcessorChain([Neutralise(sector="sector")]).transform(exposed)
    assert left.loc[exposed["sector"].isna(), "heavy"].isna().all()
    assert left.loc[exposed["sector"].notna(), "heavy"].notna().all()


EVERY_STEP = [
    Winsorise(),
    Neutralise(size="normal"),
    CrossSectionalZScore(clip=4.0),
    RobustZScore(),
    CrossSectionalFill(),
    FillMissing(),
    CrossSectionalRank(),
]


def test_a_poisoned_future_changes_no_state_and_no_earlier_row(panel):
    poisoned = panel.copy()
    poisoned.loc[DAYS[8] :] = 1e6
    results = []
    for whole in (panel, poisoned):
        chain = ProcessorChain(EVERY_STEP)
        chain.fit_transform(whole.loc[:TRAIN_ENDS])
        results.append((chain.states, chain.transform(whole).loc[:TRAIN_ENDS]))
    for clean, other in zip(results[0][0], results[1][0], strict=True):
        assert clean.keys() == other.keys()
        assert all(np.array_equal(clean[name], other[name]) for name in clean)
    pd.testing.assert_frame_equal(results[0][1], results[1][1], check_exact=True)


def test_one_session_alone_comes_out_as_within_the_whole(panel):
    chain = ProcessorChain(EVERY_STEP)
    chain.fit_transform(panel.loc[:TRAIN_ENDS])
    again = ProcessorChain(EVERY_STEP, chain.states)
    newest = panel.loc[[DAYS[-1]]]
    pd.testing.assert_frame_equal(again.transform(newest), chain.transform(panel).loc[[DAYS[-1]]], check_exact=True)


def test_a_state_of_another_version_or_of_other_factors_is_refused(panel):
    chain = ProcessorChain([Winsorise()])
    chain.fit_transform(panel)
    newer = {**chain.states[0], "version": np.array([2.0], dtype="float32")}
    with pytest.raises(ModelError, match=r"version 2.*Train the model again"):
        ProcessorChain([Winsorise()], [newer]).transform(panel)
    with pytest.raises(ModelError, match="3 factors and is given 2"):
        chain.transform(panel[["normal", "heavy"]])
    unversioned = {name: array for name, array in chain.states[0].items() if name != "version"}
    old = ProcessorChain([Winsorise()], [unversioned]).transform(panel)
    pd.testing.assert_frame_equal(old, chain.transform(panel))


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Winsorise(lower=0.5, upper=0.5), "must be below"), (lambda: Neutralise(), "needs the name")],
)
def test_specifications_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("at_once", [1, 2])
def test_processors_learn_the_same_of_some_factors_after_the_others(panel, at_once):
    whole = ProcessorChain(EVERY_STEP)
    known = panel.loc[:TRAIN_ENDS]
    rows = np.arange(0, len(known), 2)
    whole.fit_transform(known, rows)
    in_parts, read = ProcessorChain(EVERY_STEP), []

    def read_columns(names):
        read.append(names)
        return known[names]

    in_parts.fit(read_columns, list(known.columns), rows, at_once)
    for one, other in zip(whole.states, in_parts.states, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert max(map(len, read)) <= at_once + 1  # And the size that is taken out.

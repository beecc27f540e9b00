"""Processors learn from the training window and from nothing else."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import (
    CrossSectionalFill,
    CrossSectionalRank,
    CrossSectionalZScore,
    FillMissing,
    ProcessorChain,
    RobustZScore,
    Winsorise,
)


def panel(values, columns=("a",)):
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-06", periods=len(values) // 3), ["AAA", "BBB", "CCC"]],
        names=["datetime", "instrument"],
    )
    return pd.DataFrame(
        np.asarray(values, dtype="float32").reshape(len(values), -1), index=index, columns=list(columns)
    )


def test_robust_z_score_by_hand():
    train = panel([1.0, 2.0, 3.0, 4.0, 5.0, 100.0])
    chain = ProcessorChain([RobustZScore(clip=3.0)])
    scaled = chain.fit_transform(train)["a"]
    # Median 3.5, absolute deviations 2.5 1.5 0.5 0.5 1.5 96.5 with median 1.5, times 1.4826.
    assert scaled.iloc[0] == pytest.approx(-2.5 / (1.5 * 1.4826), rel=1e-6)
    assert scaled.iloc[5] == 3.0


def test_the_state_of_the_training_window_is_used_on_new_rows():
    chain = ProcessorChain([RobustZScore(), FillMissing()])
    chain.fit_transform(panel([1.0, 2.0, 3.0]))
    again = ProcessorChain([RobustZScore(), FillMissing()], chain.states)
    new = panel([7.0, np.nan, np.inf])
    pd.testing.assert_frame_equal(chain.transform(new), again.transform(new), check_exact=True)
    assert again.transform(new)["a"].tolist()[1] == 0.0


def test_a_constant_factor_becomes_zero_and_not_infinity():
    chain = ProcessorChain([RobustZScore()])
    assert chain.fit_transform(panel([5.0, 5.0, 5.0]))["a"].tolist() == [0.0, 0.0, 0.0]


def test_a_processor_without_its_state_refuses():
    with pytest.raises(ModelError, match="has not been fitted"):
        ProcessorChain([RobustZScore()]).transform(panel([1.0, 2.0, 3.0]))


def test_ranks_stay_within_their_session():
    ranked = ProcessorChain([CrossSectionalRank()]).transform(panel([1.0, 2.0, 3.0, 30.0, 20.0, 10.0]))["a"]
    step = np.sqrt(12.0) / 3
    assert ranked.tolist() == pytest.approx(
        [-step / 2, step / 2, 3 * step / 2, 3 * step / 2, step / 2, -step / 2], rel=1e-5
    )


def with_halt(values):
    """Three instruments over one session, of which the last is suspended."""
    return panel(values).assign(**{TRADED: np.array([1.0, 1.0, np.nan], dtype="float32")})


def test_a_suspended_instrument_has_no_place_among_those_that_trade():
    halt = with_halt([1.0, 3.0, 100.0])
    ranked = ProcessorChain([CrossSectionalRank()]).transform(halt)
    assert ranked.columns.tolist() == ["a"]
    # Ranks one half and one of two, centred, times the root of twelve.
    assert ranked["a"].tolist() == pytest.approx([0.0, 0.5 * 12**0.5, np.nan], nan_ok=True)
    scaled = ProcessorChain([CrossSectionalZScore()]).transform(halt)["a"]
    assert scaled.tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5, np.nan], nan_ok=True)


def test_a_missing_value_is_filled_with_the_mean_of_those_that_trade():
    filled = ProcessorChain([CrossSectionalFill()]).transform(with_halt([1.0, np.nan, 100.0]))["a"]
    assert filled.tolist() == [1.0, 1.0, 100.0]
    assert ProcessorChain([CrossSectionalFill()]).transform(with_halt([1.0, 3.0, np.nan]))["a"].tolist() == [
        1.0,
        3.0,
        2.0,
    ]


def test_steps_learn_from_the_rows_of_training_and_compare_whole_sessions():
    chain = ProcessorChain([CrossSectionalZScore(), RobustZScore()])
    whole = panel([1.0, 2.0, 6.0, 10.0, 20.0, 90.0])
    chain.fit_transform(whole, np.array([0, 2]))
    compared = ProcessorChain([CrossSectionalZScore()]).transform(whole)["a"]
    assert chain.states[1]["median"][0] == pytest.approx(compared.iloc[[0, 2]].median())


def test_infinite_values_do_not_enter_the_state():
    chain = ProcessorChain([RobustZScore()])
    chain.fit_transform(panel([1.0, 2.0, np.inf, 3.0, np.nan, -np.inf]))
    assert chain.states[0]["median"].tolist() == [2.0]


@pytest.mark.parametrize("is_fitted", [False, True])
def test_all_steps_together_make_one_copy_of_the_features(is_fitted):
    given = panel(np.arange(300_000, dtype="float32") % 997).to_numpy()
    index = panel(given).index
    wide = pd.DataFrame(
        np.tile(given.T, (60, 1)).T, index=index, columns=[str(place) for place in range(60)], copy=False
    )
    chain, before = ProcessorChain([Winsorise(), RobustZScore(), FillMissing()]), wide.to_numpy().copy()
    chain.fit_transform(wide.iloc[:3000])
    tracemalloc.start()
    result = chain.transform(wide) if is_fitted else chain.fit_transform(wide, np.arange(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.shape == wide.shape
    assert peak < 1.3 * before.nbytes
    assert np.array_equal(wide.to_numpy(), before)


def test_a_step_that_compares_leaves_the_rows_that_others_changed_before():
    given = panel([1.0, np.nan, 3.0, 30.0, 20.0, 10.0])
    chain = ProcessorChain([FillMissing(value=2.0), CrossSectionalRank(), FillMissing(), RobustZScore()])
    chain.fit_transform(given)
    ranked = ProcessorChain([CrossSectionalRank()]).transform(panel([1.0, 2.0, 3.0, 30.0, 20.0, 10.0]))
    assert chain.transform(given)["a"].tolist() == ProcessorChain([RobustZScore()]).fit_transform(ranked)["a"].tolist()
    assert np.isnan(given["a"].iloc[1])

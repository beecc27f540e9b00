"""Information coefficients by hand and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from quant_pipeline.evaluation.information_coefficient import information_coefficients, summarise


def series(rows, name):
    days = pd.bdate_range("2020-01-06", periods=len(rows))
    index = pd.MultiIndex.from_product([days, [f"I{n}" for n in range(len(rows[0]))]], names=["datetime", "instrument"])
    return pd.Series(np.asarray(rows, dtype=float).ravel(), index=index, name=name)


def test_perfect_opposite_and_constant_sessions():
    scores = series([[1, 2, 3], [1, 2, 3], [5, 5, 5]], "score")
    labels = series([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]], "label")
    coefficients = information_coefficients(scores, labels)
    assert coefficients["ic"].tolist()[:2] == pytest.approx([1.0, -1.0])
    assert coefficients["rank_ic"].tolist()[:2] == pytest.approx([1.0, -1.0])
    assert coefficients.iloc[2].isna().all()


def test_against_scipy_with_ties_and_missing_values():
    random = np.random.default_rng(5)
    score = random.normal(size=(4, 30)).round(1)
    label = random.normal(size=(4, 30))
    label[0, :4] = np.nan
    score[1, 3] = np.nan
    coefficients = information_coefficients(series(score, "score"), series(label, "label"))
    for t in range(4):
        both = ~np.isnan(score[t]) & ~np.isnan(label[t])
        assert coefficients["ic"].iloc[t] == pytest.approx(stats.pearsonr(score[t][both], label[t][both])[0])
        assert coefficients["rank_ic"].iloc[t] == pytest.approx(stats.spearmanr(score[t][both], label[t][both])[0])


def test_a_session_with_two_pairs_does_not_count():
    coefficients = information_coefficients(series([[1, 2]], "score"), series([[1, 2]], "label"))
    assert coefficients["rank_ic"].isna().all()


def test_summary_by_hand():
    table = pd.DataFrame({"ic": [0.1, 0.3, np.nan], "rank_ic": [0.2, -0.1, np.nan]})
    summary = summarise(table)
    assert summary["ic"] == pytest.approx(0.2)
    assert summary["icir"] == pytest.approx(0.2 / np.std([0.1, 0.3], ddof=1))
    assert summary["positive_share"] == 0.5
    assert summary["sessions"] == 2

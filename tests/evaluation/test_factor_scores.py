"""Scores of factors against scipy and pandas, session by session."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from quant_pipeline.evaluation.factor_correlation import correlate_factors
from quant_pipeline.evaluation.factor_scores import Exposures, ScoringParameters, score_factors
from quant_pipeline.evaluation.factor_tables import (
    summarise_factors,
    tabulate_correlations,
    tabulate_decay,
    tabulate_quantiles,
    tabulate_sessions,
)

DAYS = pd.bdate_range("2020-01-06", periods=40)
NAMES = [f"I{n:02d}" for n in range(30)]
INDEX = pd.MultiIndex.from_product([DAYS, NAMES], names=["datetime", "instrument"])


@pytest.fixture(scope="module")
def case():
    """Continuous, tied and sparse factors; labels that break off; instruments that come and go."""
    random = np.random.default_rng(11)
    rows = len(INDEX)
    panel = pd.DataFrame(
        {
            "smooth": random.normal(size=rows),
            "tied": random.integers(0, 4, size=rows),
            "sparse": np.where(random.uniform(size=rows) < 0.3, np.nan, random.normal(size=rows)),
            "infinite": np.where(random.uniform(size=rows) < 0.1, np.inf, random.normal(size=rows)),
            "constant": np.ones(rows),
        },
        index=INDEX,
    ).astype("float32")
    labels = pd.DataFrame({"a": random.normal(size=rows), "b": random.normal(size=rows)}, index=INDEX)
    labels.iloc[random.integers(0, rows, size=100), 1] = np.nan
    here = random.uniform(size=rows) < 0.9
    return panel[here], labels[here]


@pytest.fixture(scope="module")
def scores(case):
    return score_factors(*case, ScoringParameters(horizons=(1, 5), quantiles=4, resamples=20))


def pairs_of(case, factor, label, day):
    pair = pd.concat([case[0][factor], case[1][label]], axis=1).xs(day, level="datetime").astype("float64")
    return pair.replace([np.inf, -np.inf], np.nan).dropna()


@pytest.mark.parametrize("factor", ["smooth", "tied", "sparse", "infinite"])
def test_coefficients_are_those_of_scipy(case, scores, factor):
    k = scores.factors.index(factor)
    for h, label in enumerate(["a", "b"]):
        for t, day in enumerate(DAYS):
            pair = pairs_of(case, factor, label, day)
            assert scores.ic[k, t, h] == pytest.approx(stats.pearsonr(*pair.to_numpy().T)[0], abs=1e-12)
            assert scores.rank_ic[k, t, h] == pytest.approx(stats.spearmanr(*pair.to_numpy().T)[0], abs=1e-12)


def test_a_constant_factor_has_no_coefficient(scores):
    assert np.isnan(scores.rank_ic[scores.factors.index("constant")]).all()


def test_too_few_pairs_have_no_coefficient():
    index = pd.MultiIndex.from_product([DAYS[:2], NAMES[:4]], names=["datetime", "instrument"])
    panel = pd.DataFrame({"f": np.arange(8.0)}, index=index)
    few = score_factors(panel, panel.rename(columns={"f": "label"}), ScoringParameters(horizons=(1,)))
    assert np.isnan(few.rank_ic).all()
    enough = score_factors(
        panel, panel.rename(columns={"f": "label"}), ScoringParameters(horizons=(1,), min_cross_section=4)
    )
    assert enough.rank_ic.ravel().tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("factor", ["smooth", "tied", "sparse"])
def test_quantiles_average_the_returns_of_their_instruments(case, scores, factor):
    k = scores.factors.index(factor)
    table = pd.concat([case[0][factor], case[1]["b"]], axis=1).dropna(subset=factor)
    by_session = table.groupby(level="datetime")[factor]
    place = (by_session.rank() - 0.5) * 4 // by_session.transform("size")
    returns = table["b"].groupby([table.index.get_level_values("datetime"), place]).mean().unstack()
    assert scores.quantile_returns[k, 1] == pytest.approx(returns.mean().to_numpy(), abs=1e-12)
    spread = returns[3.0] - returns[0.0]
    assert scores.spread[k, :, 1] == pytest.approx(spread.to_numpy(), abs=1e-12, nan_ok=True)
    excess = returns.sub(table["b"].groupby(level="datetime").mean(), axis=0).mean()
    assert scores.quantile_excess[k, 1] == pytest.approx(excess.to_numpy(), abs=1e-12)


def test_quantiles_do_not_depend_on_the_order_of_instruments(case, scores):
    panel, labels = case
    rename = dict(zip(NAMES, NAMES[::-1], strict=True))
    turned = [frame.rename(index=rename, level="instrument").sort_index() for frame in (panel, labels)]
    again = score_factors(*turned, ScoringParameters(horizons=(1, 5), quantiles=4))
    assert again.quantile_returns == pytest.approx(scores.quantile_returns, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("factor", ["smooth", "tied", "sparse"])
def test_persistence_is_the_rank_correlation_with_the_session_before(case, scores, factor):
    k = scores.factors.index(factor)
    wide = case[0][factor].unstack()
    assert np.isnan(scores.autocorrelation[k, 0])
    for t in range(1, len(DAYS)):
        both = wide.iloc[t - 1 : t + 1].dropna(axis=1).to_numpy()
        assert scores.autocorrelation[k, t] == pytest.approx(stats.spearmanr(*both)[0], abs=1e-12)


def test_a_factor_that_never_moves_replaces_nothing():
    lasting = np.tile(np.arange(30.0), len(DAYS))
    turning = lasting * np.repeat(np.where(np.arange(len(DAYS)) % 2, 1.0, -1.0), 30)
    panel = pd.DataFrame({"lasting": lasting, "turning": turning}, index=INDEX)
    scored = score_factors(panel, panel[["lasting"]], ScoringParameters(horizons=(1,)))
    assert scored.replaced[0, 1:].tolist() == [0.0] * (len(DAYS) - 1)
    assert scored.replaced[1, 1:].tolist() == [1.0] * (len(DAYS) - 1)
    assert scored.autocorrelation[1, 1:] == pytest.approx(-1.0)


def test_coverage_is_the_part_of_the_members_with_a_value(case, scores):
    known = np.isfinite(case[0]["sparse"]).groupby(level="datetime").mean()
    assert scores.coverage[scores.factors.index("sparse")] == pytest.approx(known.to_numpy())


@pytest.mark.parametrize("with_size", [False, True])
def test_scores_net_of_sector_and_size_are_those_of_regression_residuals(case, with_size):
    panel, labels = case[0][["sparse"]], case[1][["a"]]
    random = np.random.default_rng(4)
    sector_of = dict(zip(NAMES, random.integers(0, 3, size=len(NAMES)), strict=True))
    groups = panel.index.get_level_values("instrument").map(sector_of).to_numpy()
    size = random.normal(size=len(panel))
    exposures = Exposures(groups, size if with_size else None)
    scored = score_factors(panel, labels, ScoringParameters(horizons=(1,)), exposures)
    frame = pd.concat([panel, labels], axis=1).assign(group=groups, size=size)
    for t, day in enumerate(DAYS[:10]):
        part = frame.xs(day, level="datetime").astype("float64")
        residuals = []
        for column in ("sparse", "a"):
            known = part.dropna(subset=column)
            design = pd.get_dummies(known["group"], dtype="float64")
            if with_size:
                design["size"] = known["size"]
            residuals.append(OLS(known[column], design).fit().resid)
        both = pd.concat(residuals, axis=1).dropna().to_numpy().T
        assert scored.rank_ic[0, t, 0] == pytest.approx(stats.spearmanr(*both)[0], abs=1e-9)


def test_correlations_of_factors_are_those_of_scipy(case):
    panel = case[0][["smooth", "tied", "constant"]]
    matrix = correlate_factors(panel, most_sessions=1000)
    daily = [stats.spearmanr(*panel.loc[day, ["smooth", "tied"]].to_numpy().T)[0] for day in DAYS]
    assert matrix.loc["smooth", "tied"] == pytest.approx(np.mean(daily))
    assert matrix.loc["tied", "tied"] == pytest.approx(1.0)
    assert matrix["constant"].isna().all()


def test_a_pair_is_correlated_over_the_instruments_that_have_both(case):
    panel = case[0][["smooth", "sparse"]]
    matrix = correlate_factors(panel, most_sessions=1000)
    ranks = panel.astype("float64").groupby(level="datetime").rank()
    daily = [ranks.loc[day].corr().loc["smooth", "sparse"] for day in DAYS]
    assert matrix.loc["smooth", "sparse"] == pytest.approx(np.mean(daily))


def test_fewer_sessions_are_taken_at_equal_distances(case):
    panel = case[0][["smooth", "tied"]]
    chosen = [DAYS[place] for place in (0, 13, 26, 39)]
    rows = panel.index.get_level_values("datetime").isin(chosen)
    expected = correlate_factors(panel[rows], most_sessions=100)
    pd.testing.assert_frame_equal(correlate_factors(panel, most_sessions=4), expected)


def test_horizons_have_to_ascend():
    with pytest.raises(ValueError, match="ascending"):
        ScoringParameters(horizons=(5, 1))


def test_a_planted_factor_leads_the_summary():
    random = np.random.default_rng(5)
    label = random.normal(size=len(INDEX))
    panel = pd.DataFrame(
        {
            "noise": random.normal(size=len(INDEX)),
            "knows": label + random.normal(size=len(INDEX)),
            "opposite": -label + 3 * random.normal(size=len(INDEX)),
        },
        index=INDEX,
    )
    labels = pd.DataFrame({"return_1": label, "return_2": random.normal(size=len(INDEX))}, index=INDEX)
    parameters = ScoringParameters(horizons=(1, 2), resamples=200)
    scored = score_factors(panel, labels, parameters)
    decay = tabulate_decay(scored, parameters)
    correlations = tabulate_correlations(correlate_factors(panel, 100), ["noise", "knows", "opposite"], ["knows"])
    summary = summarise_factors(decay, scored, correlations, {"knows": "oracle"}).set_index("factor")
    assert list(summary.index) == ["knows", "opposite", "noise"]
    knows = summary.loc["knows"]
    assert knows["rank_ic"] == pytest.approx(0.69, abs=0.06)
    assert knows["rank_ic_lower"] < knows["rank_ic"] < knows["rank_ic_upper"]
    assert knows["rank_ic_resampled_lower"] < knows["rank_ic"] < knows["rank_ic_resampled_upper"]
    assert knows["rank_icir_lower"] < knows["rank_icir"] < knows["rank_icir_upper"]
    assert knows["monotonicity"] == pytest.approx(1.0)
    assert knows["best_horizon"] == 1
    assert knows["source"] == "oracle"
    assert pd.isna(knows["nearest_known"])
    assert knows["false_discovery_rate"] < 1e-6 < summary.loc["noise", "false_discovery_rate"]
    assert summary.loc["opposite", "nearest_known"] == "knows"
    assert summary.loc["opposite", "correlation_with_known"] < 0
    later = decay[(decay["factor"] == "knows") & (decay["horizon"] == 2)].iloc[0]
    assert later["rank_ic_lower"] < 0 < later["rank_ic_upper"]
    assert len(tabulate_quantiles(scored)) == 3 * 2 * 5
    sessions = tabulate_sessions(scored)
    assert len(sessions) == 3 * len(DAYS)
    by_factor = sessions.groupby("factor")["rank_ic"].mean()
    assert by_factor["knows"] == pytest.approx(knows["rank_ic"], rel=1e-5)


def test_too_few_sessions_for_the_horizon_have_no_t_no_p_and_no_best_horizon():
    random = np.random.default_rng(6)
    panel = pd.DataFrame({"noise": random.normal(size=len(INDEX))}, index=INDEX)
    labels = pd.DataFrame({"return_20": random.normal(size=len(INDEX))}, index=INDEX)
    parameters = ScoringParameters(horizons=(20,), resamples=50)
    scored = score_factors(panel, labels, parameters)
    summary = summarise_factors(
        tabulate_decay(scored, parameters),
        scored,
        tabulate_correlations(correlate_factors(panel, 100), ["noise"], []),
        {"noise": "random"},
    ).iloc[0]
    assert np.isfinite(summary["rank_ic"])
    unknown = ["rank_ic_t", "spread_t", "p_value", "false_discovery_rate", "best_horizon", "rank_ic_lower"]
    assert summary[[*unknown, "rank_ic_resampled_upper", "rank_icir_lower"]].isna().all()

"""Fusing scores of members: normalisation, missing members, and the weights in force."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.pipelines.ensemble.fusion import fuse, normalise
from quant_pipeline.pipelines.ensemble.nodes import fuse_history, fuse_latest, require_fresh_weights, weigh_combinations
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import BUNDLES, bundles_behind, fingerprint_of_weights, stated_bundles
from quant_pipeline.pipelines.features.nodes import LabelParameters
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.two_members import CHAMPIONS, DAYS, LABELS, LONG, informed, scores


def test_ranks_are_centred_and_ties_share():
    assert normalise(scores([[10, 30, 20, 20]]), "rank").tolist() == pytest.approx([-0.5, 0.5, 0.0, 0.0])


def test_z_scores_have_no_mean_and_a_constant_session_is_zero():
    normal = normalise(scores([[1, 2, 3, 4], [5, 5, 5, 5]]), "zscore")
    assert normal.tolist()[:4] == pytest.approx([-1.161895, -0.387298, 0.387298, 1.161895], abs=1e-6)
    assert normal.tolist()[4:] == [0.0] * 4


def test_fusion_is_the_weighted_mean_of_normalised_scores():
    fused = fuse({"x": scores([[1, 2, 3, 4]]), "y": scores([[4, 3, 2, 1]])}, pd.Series({"x": 0.75, "y": 0.25}), "rank")
    assert fused.tolist() == pytest.approx([-0.25, -1 / 12, 1 / 12, 0.25])


def test_an_instrument_that_a_member_lacks_is_left_out_unless_it_may_miss():
    whole, partial = scores([[1, 2, 3, 4]]), scores([[1, 2, 3, np.nan]])
    weights = pd.Series({"x": 0.5, "y": 0.5})
    assert fuse({"x": whole, "y": partial}, weights, "rank").index.get_level_values("instrument").tolist() == [
        "A",
        "B",
        "C",
    ]
    lenient = fuse({"x": whole, "y": partial}, weights, "rank", max_missing=1)
    assert lenient.loc[(DAYS[0], "D")] == pytest.approx(0.5)


def test_a_member_without_any_score_of_a_session_is_an_error_that_names_it():
    stale = scores([[1, 2, 3, 4]])
    fresh = scores([[1, 2, 3, 4], [1, 2, 3, 4]])
    with pytest.raises(StaleDataError, match="old has no scores for 2024-01-03"):
        fuse({"old": stale, "new": fresh}, pd.Series({"old": 0.5, "new": 0.5}), "rank")


def test_no_more_members_than_may_miss_a_session():
    one, two = scores([[1, 2, 3, 4]]), scores([[1, 2, 3, 4], [4, 3, 2, 1]])
    lenient = fuse({"x": one, "y": two}, pd.Series({"x": 0.5, "y": 0.5}), "rank", max_missing=1)
    assert lenient.loc[DAYS[1]].tolist() == [0.5, pytest.approx(1 / 6), pytest.approx(-1 / 6), -0.5]
    with pytest.raises(StaleDataError, match="x, z has no scores for 2024-01-03"):
        fuse({"x": one, "y": two, "z": one}, pd.Series({"x": 1, "y": 1, "z": 1}), "rank", max_missing=1)


@pytest.mark.parametrize("method", ["rank", "zscore"])
def test_neither_order_nor_scale_of_the_members_breaks_a_tie(method):
    random = np.random.default_rng(0)
    members = {name: scores(random.integers(0, 4, (40, 4)) * 0.1) for name in "abcdefg"}
    weights = pd.Series(1 / 7, index=list(members))
    forwards = fuse(members, weights, method)
    backwards = fuse(members, weights[::-1], method)
    pd.testing.assert_series_equal(forwards, backwards, check_exact=True)


def test_an_unknown_normalisation_is_named():
    with pytest.raises(ConfigurationError, match="unknown normalisation 'softmax'"):
        normalise(scores([[1, 2, 3, 4]]), "softmax")


def fused_by(combination, labels, members):
    parameters = EnsembleParameters.model_validate({"default": "c", "combinations": {"c": combination}})
    tables = {
        f"{name}_predictions": pd.DataFrame(
            {"score": score, "segment": np.where(score.index.get_level_values(0) < LONG[60], "valid", "test")}
        )
        for name, score in members.items()
    }
    calendar = pd.DataFrame({"date": LONG})
    newest, history = weigh_combinations(labels.to_frame("label"), calendar, parameters, LabelParameters(), **tables)
    return parameters, newest, history, fuse_history(history, parameters, **tables)


def test_weights_that_were_estimated_from_scores_of_another_bundle_are_named_once_they_decide(caplog):
    """After a model was trained again, a promotion or a rollback, until the ensemble has run again."""
    labels, members = informed(LONG, 0.5, seed=4)
    combinations = {
        "c": {"models": ["early", "late"], "member_weights": "icir"},
        "same": {"models": ["early", "late"]},
    }
    parameters = EnsembleParameters.model_validate({"default": "c", "combinations": combinations})
    tables, latest = {}, {}
    for name, score in members.items():
        segment = np.where(score.index.get_level_values(0) < LONG[60], "valid", "test")
        made = pd.DataFrame({"score": score, "segment": segment, "bundle": name.upper(), "label": LABELS[name]})
        tables[f"{name}_predictions"] = made
        latest[f"{name}_latest_scores"] = made.loc[[LONG[199]]].drop(columns="segment")
    calendar = pd.DataFrame({"date": LONG})
    weights, history = weigh_combinations(labels.to_frame("label"), calendar, parameters, LabelParameters(), **tables)
    assert set(zip(weights["model"], weights["bundle"], strict=True)) == set(CHAMPIONS.items())
    assert bundles_behind(history, "c") == CHAMPIONS
    fuse_latest(weights, parameters, calendar, CHAMPIONS, **latest)
    assert caplog.messages == []
    latest["late_latest_scores"]["bundle"] = "newer"
    fuse_latest(weights, parameters, calendar, CHAMPIONS | {"late": "newer"}, **latest)
    assert caplog.messages == [
        "the weights of combination 'c' were estimated from scores of bundle LATE of late, and newer scores now; "
        "`kedro run --pipelines ensemble,backtest` estimates them again from its newest training"
    ]
    # Tables that were written before they said it.
    caplog.clear()
    fuse_latest(weights.drop(columns="bundle"), parameters, calendar, CHAMPIONS | {"late": "newer"}, **latest)
    assert caplog.messages == []


def test_every_session_is_fused_with_the_weights_in_force():
    labels, members = informed(LONG, 0.5, seed=4)
    combination = {
        "models": ["early", "late"],
        "member_weights": "dynamic",
        "window": 40,
        "refresh": 10,
        "shrinkage": 0.2,
    }
    _, newest, history, fused = fused_by(combination, labels, members)
    assert newest["session"].unique().tolist() == [LONG[190]]
    assert history["weight"].min() >= 0.1 - 1e-12
    scores_of = fused.set_index(["datetime", "instrument"])["score"]
    assert scores_of.index.get_level_values(0).unique().tolist() == LONG[60:].tolist()
    for session, since in ((60, 60), (79, 70), (80, 80), (199, 190)):
        in_force = history[history["session"] == LONG[since]].set_index("model")["weight"]
        day = {name: score.loc[[LONG[session]]] for name, score in members.items()}
        expected = fuse(day, in_force[["early", "late"]], "rank")
        assert scores_of.loc[LONG[session]].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_a_poisoned_future_changes_no_dynamic_score_before_it():
    labels, members = informed(LONG, 0.5, seed=5)
    combination = {"models": ["early", "late"], "member_weights": "dynamic", "window": 40, "refresh": 7}
    fused = fused_by(combination, labels, members)[3]
    # What is not realised at the close of session 140: labels from session 139 on, and later scores.
    later_labels = labels.copy()
    later_labels.loc[LONG[139] :] = np.random.default_rng(0).normal(size=len(labels.loc[LONG[139] :]))
    later_members = {name: score.copy() for name, score in members.items()}
    for score in later_members.values():
        score.loc[LONG[141] :] *= -1
    poisoned = fused_by(combination, later_labels, later_members)[3]
    known = fused["datetime"] <= LONG[140]
    pd.testing.assert_frame_equal(fused[known], poisoned[known], check_exact=True)
    assert not fused[~known]["score"].equals(poisoned[~known]["score"])


def test_stored_dynamic_weights_that_are_due_for_renewal_are_refused():
    labels, members = informed(LONG, 0.5, seed=6)
    combination = {"models": ["early", "late"], "member_weights": "dynamic", "window": 40, "refresh": 10}
    parameters, newest, _, fused = fused_by(combination, labels, members)

    def latest(session, calendar):
        names = members["early"].loc[[LONG[0]]].index.get_level_values(1)
        index = pd.MultiIndex.from_product([[session], names], names=["datetime", "instrument"])
        day = {
            f"{n}_latest_scores": pd.DataFrame(
                {"score": members[n].loc[[LONG[199]]].to_numpy(), "label": LABELS[n], "bundle": n.upper()}, index=index
            )
            for n in members
        }
        return fuse_latest(newest, parameters, pd.DataFrame({"date": calendar}), CHAMPIONS, **day)

    today = latest(LONG[199], LONG)
    assert set(today["label"]) == {f"{LABELS['early']}; {LABELS['late']}"}
    assert set(today["bundles"]) == {'{"early": "EARLY", "late": "LATE"}'}
    assert set(today["weights_sha256"]) == {fingerprint_of_weights(newest, "c")}
    assert today["score"].tolist() == fused.loc[fused["datetime"] == LONG[199], "score"].tolist()
    later = LONG.union(pd.bdate_range(LONG[-1], periods=4, unit="ns"))
    with pytest.raises(StaleDataError, match="10 sessions before 2023-10-09; they hold for 10"):
        latest(later[200], later)


@pytest.mark.parametrize("weights", ["icir", "dynamic"])
def test_weights_that_were_estimated_later_do_not_fuse_an_earlier_session(weights):
    labels, members = informed(LONG, 0.5, seed=6)
    combination = {"models": ["early", "late"], "member_weights": weights, "window": 40, "refresh": 10}
    parameters, newest, _, _ = fused_by(combination, labels, members)
    first = newest["session"].max()
    calendar = pd.DataFrame({"date": LONG})
    require_fresh_weights(newest, parameters, calendar, first)
    before = LONG[LONG.get_loc(first) - 1]
    with pytest.raises(StaleDataError, match=rf"later than {before:%Y-%m-%d}.*--params as_of={before:%Y-%m-%d}"):
        require_fresh_weights(newest, parameters, calendar, before)


@pytest.mark.parametrize(
    ("stored", "words"),
    [(["early"], r"its stored weights are of early"), ([], "no weights of it are stored yet")],
)
def test_stored_weights_of_other_members_are_refused(stored, words):
    labels, members = informed(LONG, 0.5, seed=6)
    combination = {"models": ["early", "late"], "member_weights": "icir"}
    parameters, newest, _, _ = fused_by(combination, labels, members)
    day = {
        f"{n}_latest_scores": score.loc[[LONG[199]]].to_frame("score").assign(bundle=n.upper())
        for n, score in members.items()
    }
    calendar = pd.DataFrame({"date": LONG})
    unstated = fuse_latest(newest, parameters, calendar, CHAMPIONS, **day)
    assert unstated["label"].tolist() == [""] * 20
    with pytest.raises(
        StaleDataError, match=rf"'c' fuses early, late, but {words}. Estimate them: .*--pipelines ensemble`"
    ):
        fuse_latest(newest[newest["model"].isin(stored)], parameters, calendar, CHAMPIONS, **day)


def test_member_that_a_retired_bundle_scored_is_not_fused():
    labels, members = informed(LONG, 0.5, seed=6)
    parameters, newest, _, _ = fused_by({"models": ["early", "late"]}, labels, members)
    day = {
        f"{n}_latest_scores": score.loc[[LONG[199]]].to_frame("score").assign(bundle=n.upper())
        for n, score in members.items()
    }
    message = "of late come from bundle LATE of late, but the champion is RETRAINED by now.*--pipelines prediction"
    with pytest.raises(StaleDataError, match=message):
        fuse_latest(newest, parameters, pd.DataFrame({"date": LONG}), CHAMPIONS | {"late": "RETRAINED"}, **day)


@pytest.mark.parametrize("text", [*DAMAGED_JSON.values(), None])
def test_scores_that_do_not_say_what_has_made_them_are_refused_with_the_remedy(text):
    with pytest.raises(StaleDataError, match=r"does not say which bundles .* Predict them again: `kedro run"):
        stated_bundles(pd.DataFrame({BUNDLES: [text]}))

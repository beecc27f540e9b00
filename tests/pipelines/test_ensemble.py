"""Fusion and weights by hand."""

import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError, ModelError, StaleDataError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import label_lag
from quant_pipeline.pipelines.ensemble.fusion import fuse, normalise
from quant_pipeline.pipelines.ensemble.nodes import fuse_history, fuse_latest, require_fresh_weights, weigh_combinations
from quant_pipeline.pipelines.ensemble.parameters import Combination, EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import bundles_behind, fingerprint_of_weights
from quant_pipeline.pipelines.ensemble.weighting_formulas import (
    dynamic_weights,
    equal_weights,
    rank_coefficients,
    stability_weights,
)
from quant_pipeline.pipelines.ensemble.weighting_registry import MemberWeighting, shrink, weigh_members
from quant_pipeline.pipelines.features.nodes import LabelParameters

DAYS = pd.bdate_range("2024-01-02", periods=40, unit="ns")
NAMES = ["A", "B", "C", "D"]
CHAMPIONS = {"early": "EARLY", "late": "LATE"}
LABELS = {"early": "Ref($open, -2)/Ref($open, -1)-1", "late": "Ref($open, -6)/Ref($open, -1)-1"}


def scores(values, days=DAYS):
    index = pd.MultiIndex.from_product([days[: len(values)], NAMES], names=["datetime", "instrument"])
    return pd.Series(np.asarray(values, dtype=float).ravel(), index=index)


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


def test_weights_follow_the_stability_of_the_rank_ic():
    random = np.random.default_rng(2)
    labels = scores(random.normal(size=(40, 4)))
    good = labels + 0.5 * random.normal(size=160)
    weak = labels + 3.0 * random.normal(size=160)
    wrong = -labels
    weights = stability_weights(rank_coefficients({"good": good, "weak": weak, "wrong": wrong}, labels))
    assert weights.sum() == pytest.approx(1.0)
    assert weights["good"] > weights["weak"] > weights["wrong"] == 0.0


def test_without_any_positive_model_weights_are_equal_and_it_is_said(caplog):
    labels = scores(np.random.default_rng(2).normal(size=(40, 4)))
    weights = stability_weights(rank_coefficients({"a": -labels, "b": -labels + 1e-9}, labels))
    assert weights.tolist() == [0.5, 0.5]
    assert "no model of" in caplog.text
    assert equal_weights(["a", "b", "c"]).tolist() == pytest.approx([1 / 3] * 3)


def test_an_unknown_normalisation_is_named():
    with pytest.raises(ConfigurationError, match="unknown normalisation 'softmax'"):
        normalise(scores([[1, 2, 3, 4]]), "softmax")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"default": "b", "combinations": {"a": {"models": ["m"]}}}, "default combination 'b'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "enabled": False}}}, "default combination 'a'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "member_weights": "manual"}}}, "manual weights"),
        (
            {
                "default": "a",
                "combinations": {"a": {"models": ["m"], "member_weights": "manual", "manual": {"m": -1.0}}},
            },
            "must not be negative",
        ),
    ],
)
def test_combinations_that_contradict_themselves_are_refused(block, words):
    with pytest.raises(ValueError, match=words):
        EnsembleParameters.model_validate(block)


def informed(days, skill, seed):
    """Labels of random instruments and two models: one informed in the first half, the other in the second."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([days, [f"I{n:02d}" for n in range(20)]], names=["datetime", "instrument"])
    labels = pd.Series(random.normal(size=len(index)), index=index)
    first_half = np.repeat(np.arange(len(days)) < len(days) // 2, 20)
    early, late = (
        np.where(half, skill * labels, 0.0) + random.normal(size=len(index)) for half in (first_half, ~first_half)
    )
    return labels, {"early": pd.Series(early, index=index), "late": pd.Series(late, index=index)}


LONG = pd.bdate_range("2023-01-02", periods=200, unit="ns")
DYNAMIC = Combination(models=["early", "late"], member_weights="dynamic", window=40, refresh=10)


def test_dynamic_weights_follow_the_members_that_were_right_lately():
    labels, members = informed(LONG, 0.5, seed=1)
    weights = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[60:], 2, DYNAMIC)
    assert weights.index.tolist() == LONG[60:200:10].tolist()
    assert weights.sum(axis=1).tolist() == pytest.approx([1.0] * 14)
    assert weights.loc[LONG[90], "early"] > 0.8
    assert weights.loc[LONG[150], "late"] > 0.8


@pytest.mark.parametrize("horizon", [1, 5])
def test_dynamic_weights_know_a_label_from_the_session_on_that_realises_it(horizon):
    # The label of s is the return from the fill of s+1 to the fill of s+1+horizon, known at the close of s+1+horizon.
    labels, members = informed(LONG, 0.5, seed=2)
    at, lag = 100, label_lag(horizon)

    def weights(labels):
        table = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[at:], lag, DYNAMIC)
        return table.loc[LONG[at]]

    def poisoned(session):
        changed = labels.copy()
        changed.loc[LONG[session] :] *= -1
        return changed

    assert lag == horizon + 1
    pd.testing.assert_series_equal(weights(labels), weights(poisoned(at - lag + 1)), check_exact=True)
    assert (weights(labels) != weights(poisoned(at - lag))).all()


@pytest.mark.parametrize(("session", "is_seen"), [(58, False), (59, True), (98, True), (99, False)])
def test_dynamic_weights_look_at_the_realised_sessions_of_the_window_only(session, is_seen):
    # At session 100, with a label known two sessions later, a window of 40 holds sessions 59 to 98.
    labels, members = informed(LONG, 0.5, seed=3)
    members = {name: score + 0.4 * labels for name, score in members.items()}
    changed = labels.copy()
    changed.loc[LONG[session]] *= -1
    before, after = (
        dynamic_weights(rank_coefficients(members, values), LONG, LONG[100:], 2, DYNAMIC).loc[LONG[100]].tolist()
        for values in (labels, changed)
    )
    assert (before != after) == is_seen


def test_dynamic_weights_start_equal():
    labels, members = informed(LONG, 0.5, seed=3)
    table = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[10:], 2, DYNAMIC)
    assert table.loc[LONG[20]].tolist() == [0.5, 0.5]
    assert table.loc[LONG[30]].tolist() != [0.5, 0.5]


def test_shrinkage_moves_towards_equal_weights():
    weights = pd.Series({"a": 0.8, "b": 0.2, "c": 0.0})
    assert shrink(weights, 0.0).tolist() == [0.8, 0.2, 0.0]
    assert shrink(weights, 0.5).tolist() == pytest.approx([0.4 + 1 / 6, 0.1 + 1 / 6, 1 / 6])
    assert shrink(weights, 1.0).tolist() == pytest.approx([1 / 3] * 3)


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


@pytest.mark.parametrize("stored", [["early"], []])
def test_stored_weights_of_other_members_are_refused(stored):
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
    with pytest.raises(StaleDataError, match=r"'c' fuses \['early', 'late'\], but its stored weights are of"):
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


def test_a_combination_is_picked_by_naming_its_members():
    block = {"default": "a", "combinations": {"a": {"models": ["m", "n"]}}, "models": ["n", "o"]}
    parameters = EnsembleParameters.model_validate(block)
    assert parameters.default == "picked"
    assert parameters.enabled["picked"].models == ["n", "o"]
    assert parameters.enabled["picked"].member_weights == "equal"
    assert parameters.members == ["m", "n", "o"]
    with pytest.raises(ValidationError, match="models"):
        EnsembleParameters.model_validate(block | {"models": []})


def test_disabled_combinations_are_kept_and_ignored():
    block = {
        "default": "a",
        "combinations": {"a": {"models": ["m", "n"]}, "b": {"models": ["old"], "enabled": False}},
    }
    parameters = EnsembleParameters.model_validate(block)
    assert list(parameters.enabled) == ["a"]
    assert parameters.members == ["m", "n"]


REALISED = pd.DataFrame({"a": [0.1, 0.1, 0.1, 0.9], "b": [0.2, 0.2, 0.2, -0.1]}, index=DAYS[:4])


def favour_the_newest(coefficients, combination):
    newest = coefficients.iloc[-combination.options.sessions :].mean().clip(lower=0.0)
    return newest / newest.sum()


class NewestOptions(Parameters):
    sessions: int = 1


seen = []


def watch(coefficients, combination):
    seen.append((coefficients.index.min(), coefficients.index.max()))
    return pd.Series(0.5, index=coefficients.columns)


WATCHED = MemberWeighting(watch, sees="latest")
OWN = MemberWeighting(favour_the_newest, sees="latest", options=NewestOptions)
NEGATIVE = MemberWeighting(lambda coefficients, _: pd.Series({"a": 1.5, "b": -0.5}), sees="latest")
INCOMPLETE = MemberWeighting(lambda coefficients, _: pd.Series({"a": 1.0}), sees="latest")


@pytest.fixture
def own_weightings(monkeypatch):
    module = ModuleType("own_weightings")
    vars(module).update(OWN=OWN, WATCHED=WATCHED, NEGATIVE=NEGATIVE, INCOMPLETE=INCOMPLETE)
    monkeypatch.setitem(sys.modules, "own_weightings", module)


def own(name="OWN", **more):
    return Combination(models=["a", "b"], member_weights=f"own_weightings.{name}", **more)


@pytest.mark.usefixtures("own_weightings")
def test_a_weighting_from_outside_has_options_and_is_shrunk():
    assert weigh_members(REALISED, own()).to_dict() == {"a": 1.0, "b": 0.0}
    assert weigh_members(REALISED, own(shrinkage=1.0)).to_dict() == {"a": 0.5, "b": 0.5}
    whole = weigh_members(REALISED, own(options={"sessions": 3}))
    assert whole.to_dict() == pytest.approx({"a": 11 / 14, "b": 3 / 14})


@pytest.mark.usefixtures("own_weightings")
def test_a_weighting_from_outside_sees_the_realised_sessions_of_the_window_only():
    seen.clear()
    labels, members = informed(LONG, 0.5, seed=1)
    combination = DYNAMIC.model_copy(update={"member_weights": "own_weightings.WATCHED"})
    dynamic_weights(rank_coefficients(members, labels), LONG, LONG[60:], 2, combination)
    assert seen == [(LONG[first - 41], LONG[first - 2]) for first in range(60, 200, 10)]


@pytest.mark.usefixtures("own_weightings")
@pytest.mark.parametrize(("name", "words"), [("NEGATIVE", "not negative, with a sum of one"), ("INCOMPLETE", "'b'")])
def test_weights_that_cannot_be_used_are_refused(name, words):
    with pytest.raises(ModelError, match=words):
        weigh_members(REALISED, own(name))


@pytest.mark.usefixtures("own_weightings")
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"member_weights": "icri"}, "Did you mean 'icir'"),
        ({"member_weights": "own_weightings.OWN", "options": {"session": 3}}, r"options\.session"),
        ({"member_weights": "equal", "options": {"sessions": 3}}, r"options\.sessions"),
        ({"weights": "icir"}, "'weights' is called 'member_weights' now"),
    ],
)
def test_a_weighting_that_cannot_be_read_names_its_key(entry, words):
    with pytest.raises(ValidationError, match=words):
        Combination.model_validate({"models": ["a", "b"], **entry})


def test_every_member_is_weighed_by_the_label_that_it_states():
    """The slow model knows the returns of five sessions and nothing of those of one; the fast model the reverse."""
    random = np.random.default_rng(8)
    shape = (len(LONG), 4)
    one, five = scores(random.normal(size=shape), LONG), scores(random.normal(size=shape), LONG)
    noise = 0.8 * scores(random.normal(size=shape), LONG)
    stated = {"fast": "Ref($open, -2)/Ref($open, -1)-1", "slow": "Ref($open, -6)/Ref($open, -1)-1"}
    segment = np.where(one.index.get_level_values(0) < LONG[60], "valid", "test")
    tables = {
        f"{name}_predictions": pd.DataFrame({"score": known + noise, "segment": segment, "label": stated[name]})
        for name, known in (("fast", one), ("slow", five))
    }
    parameters = EnsembleParameters.model_validate(
        {"default": "c", "combinations": {"c": {"models": ["fast", "slow"], "member_weights": "icir"}}}
    )
    own = five.to_frame("label")
    own.attrs["expression"] = stated["slow"]
    given = one.to_frame("label"), pd.DataFrame({"date": LONG}), parameters, LabelParameters()
    weights = weigh_combinations(*given, **tables, horizon_5_labels=own)[0].set_index("model")["weight"]
    assert weights["slow"] == pytest.approx(0.5, abs=0.15)
    without = weigh_combinations(*given, **tables)[0].set_index("model")["weight"]
    assert without["slow"] < 0.1

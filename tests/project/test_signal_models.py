"""A signal that is used is a model of the registry, whatever asks for its scores."""

import shutil

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.signal_models import with_signals

SIGNALS = {"rsi": {"window": 14}, "reversal": {"window": 5}}
ASKED = {
    "enabled": {"signals": {**SIGNALS, "rsi": {"enabled": True}}},
    "orders": {"order_generation": {"source": "rsi"}},
    "combination": {"ensemble": {"combinations": {"both": {"models": ["ridge", "rsi"]}}}},
    "search": {"ensemble_search": {"models": ["ridge", "rsi"]}},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_signal_becomes_a_model_as_soon_as_something_asks_for_it(asked):
    found = with_signals({"signals": SIGNALS, "models": {"ridge": {}}, "feature_sets": {}, **asked})
    assert list(found["models"]) == ["ridge", "rsi"]
    spec = ModelSpec.model_validate(found["models"]["rsi"])
    assert (spec.algorithm, spec.features, spec.factors, spec.processors) == ("signal", "signals", ["rsi"], [])
    assert list(found["feature_sets"]["signals"]["expressions"]) == ["rsi"]


def test_signals_that_nothing_asks_for_change_nothing():
    off = {"combinations": {"both": {"models": ["rsi"], "enabled": False}}}
    given = {"signals": SIGNALS, "models": {}, "feature_sets": {}, "ensemble": off}
    assert with_signals(given) is given


@pytest.mark.parametrize("name", ["../../up", "a/b", "", "a b"])
def test_a_signal_whose_name_no_folder_may_have_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"are no names of signals.*parameters_signals\.yml"):
        with_signals({"signals": {name: {"enabled": True}}, "models": {}})


def test_a_signal_with_the_name_of_a_model_and_one_that_cannot_be_read_are_refused():
    with pytest.raises(ConfigurationError, match=r"\['rsi'\] are models .* and signals"):
        with_signals({"signals": {"rsi": {"enabled": True}}, "models": {"rsi": {}}})
    with pytest.raises(ConfigurationError, match=r"`signals\.rsi\.window` is 0.*parameters_signals\.yml"):
        with_signals({"signals": {"rsi": {"enabled": True, "window": 0}}, "models": {}})
    with pytest.raises(ConfigurationError, match="there is no signal 'mine'"):
        with_signals({"signals": {"mine": {"enabled": True}}, "models": {}})
    said = r"`signals\.momentum`: skip \(300\) has to be less than window \(252\).*parameters_signals\.yml or --params"
    with pytest.raises(ConfigurationError, match=said):
        with_signals({"signals": {"momentum": {"enabled": True, "skip": 300}}, "models": {}})
    with pytest.raises(ConfigurationError, match=r"`signals\.rsi` is 14; it should hold `key: value` lines"):
        with_signals({"signals": {"rsi": 14}, "models": {}, "order_generation": {"source": "rsi"}})
    with pytest.raises(ConfigurationError, match="`signals` should hold"):
        with_signals({"signals": ["rsi"], "models": {}})


def test_the_parameters_of_the_command_line_make_a_signal_a_model(project_path):
    asked = {"order_generation": {"source": "macd"}, "signals": {"macd": {"fast": 5}}}
    loader = ProjectConfigLoader(str(project_path / "conf"), "sim", runtime_params=asked, **LOADER_OPTIONS)
    parameters = loader["parameters"]
    assert "macd" in parameters["models"]
    assert "EMA($close, 5)" in parameters["feature_sets"]["signals"]["expressions"]["macd"]


@pytest.mark.parametrize(
    ("given", "local", "folder"),
    [
        ({}, "", "rsi"),
        ({"signal": "macd"}, "", "macd"),
        ({"signal_evaluation": {"signal": "kdj"}}, "", "kdj"),
        ({"as_of": "2024-12-30", "signals": {"macd": {"fast": 5}}}, "", "rsi"),
        ({}, "signal_evaluation: {signal: reversal}", "reversal"),
        ({"signal_evaluation": {"signal": "kdj"}}, "signal_evaluation: {signal: reversal}", "kdj"),
    ],
)
def test_results_lie_in_the_folder_of_the_signal_that_is_evaluated(project_path, tmp_path, given, local, folder):
    conf = shutil.copytree(project_path / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()
    (conf / "local" / "parameters_signals.yml").write_text(local)
    loader = ProjectConfigLoader(str(conf), "sim", runtime_params=given, **LOADER_OPTIONS)
    assert loader["parameters"]["signal_evaluation"]["signal"] == folder
    assert loader["catalog"]["signal_page"]["filepath"].endswith(f"/signals/{folder}/signal.html")


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({"strategy": {"topk": 20}}, "rsi/strategy.topk=20"),
        ({"rhythm": "weekly"}, "rsi/rhythm=weekly"),
        ({"signal": "macd", "account": {"initial_cash": 5}}, "macd/account.initial_cash=5"),
        ({"signal_evaluation": {"signal": "kdj", "end": "2020-01-01"}}, "kdj/signal_evaluation.end=2020-01-01"),
        ({"signals": {"rsi": {"window": 28}, "macd": {"fast": 5}}}, "rsi/signals.rsi.window=28"),
    ],
)
def test_an_evaluation_by_other_rules_never_takes_the_place_of_the_account_s_own(project_path, given, folder):
    loader = ProjectConfigLoader(str(project_path / "conf"), "sim", runtime_params=given, **LOADER_OPTIONS)
    assert loader["catalog"]["signal_page"]["filepath"].endswith(f"/signals/{folder}/signal.html")
    assert loader["parameters"]["signal_evaluation"]["folder"] == folder


def test_two_formulas_that_differ_in_signs_alone_lie_apart(project_path):
    def folder(expression):
        given = {"signal": "mine", "signals": {"mine": {"signal": "expression", "expression": expression}}}
        loader = ProjectConfigLoader(str(project_path / "conf"), "sim", runtime_params=given, **LOADER_OPTIONS)
        return loader["parameters"]["signal_evaluation"]["folder"]

    assert folder("$close*$volume") != folder("$close/$volume")

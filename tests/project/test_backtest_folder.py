"""Where the backtest of a run is stored."""

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.backtest_folder import LONGEST
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader


def folder(project_path, **given):
    loader = ProjectConfigLoader(str(project_path / "conf"), "sim", runtime_params=given, **LOADER_OPTIONS)
    path = loader["catalog"]["backtest_nav"]["filepath"]
    return path.removeprefix("data/accounts/sim/08_reporting/").removesuffix("/nav.parquet")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "backtest"),
        ({"as_of": "2024-12-30", "models": {"ridge_alpha158": {"seed": 1}}}, "backtest"),
        ({"backtest": {"name": "wide"}, "strategy": {"topk": 50}}, "backtests/wide"),
        ({"strategy": {"topk": 50}}, "backtests/strategy.topk=50"),
        (
            {"strategy": {"topk": 50, "schedule": {"frequency": "weekly"}}},
            "backtests/strategy.schedule.frequency=weekly__strategy.topk=50",
        ),
        ({"backtest": {"engine": "event"}}, "backtests/backtest.engine=event"),
        ({"rhythm": "weekly"}, "backtests/rhythm=weekly"),
    ],
)
def test_a_backtest_of_other_parameters_never_takes_the_place_of_the_account_s_own(project_path, given, expected):
    assert folder(project_path, **given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"as_of": "2024-12-30", "ensemble_search": {"min_models": 2}}, "ensemble_search"),
        ({"strategy": {"topk": 50}, "cost_rules": {"buy_rate": 0.002}},
         "ensemble_searches/cost_rules.buy_rate=0.002__strategy.topk=50"),
        ({"rhythm": "weekly"}, "ensemble_searches/rhythm=weekly"),
    ],
)  # fmt: skip
def test_a_search_by_other_rules_never_takes_the_place_of_the_one_that_is_adopted(project_path, given, expected):
    loader = ProjectConfigLoader(str(project_path / "conf"), "sim", runtime_params=given, **LOADER_OPTIONS)
    for entry in ("search_verdict", "search_chunks", "candidate_scores", "finalist_{table}", "search_{table}"):
        place = loader["catalog"][entry]["filepath"].removeprefix("data/accounts/sim/08_reporting/")
        assert place.rpartition("/")[0] == expected


def test_long_names_are_cut_and_stay_apart(project_path):
    many = {f"fee_{number}": number for number in range(30)}
    first, second = (folder(project_path, cost_rules={**many, "buy_rate": rate}) for rate in (1, 2))
    assert first != second
    assert len(first) == len("backtests/") + LONGEST


def test_the_name_of_the_account_s_own_backtest_is_taken(project_path):
    with pytest.raises(ConfigurationError, match=r"^backtest\.name is 'own', which means the backtest of the account"):
        folder(project_path, backtest={"name": "own"}, strategy={"topk": 2})


@pytest.mark.parametrize("name", ["../own", "a/b", "", ".hidden", "x" * 100])
def test_a_name_that_is_no_plain_name_is_refused(project_path, name):
    with pytest.raises(ConfigurationError, match=r"^backtest\.name is"):
        folder(project_path, backtest={"name": name})

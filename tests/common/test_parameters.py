"""What a user reads who has written a parameter wrongly: the key, its place, the value, what it may be."""

from decimal import Decimal
from typing import Any, ClassVar

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from pydantic import Field, PositiveInt, ValidationError

from quant_pipeline.__main__ import Place
from quant_pipeline.cli.opened_project import open_project
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters, describe_faults, read_part
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.project import copy_project


class Inner(Parameters):
    """What a block holds."""

    horizon: int
    label: str = ""


class Block(Parameters):
    """A block with blocks inside."""

    inner: Inner | None = None
    named: dict[str, Inner] = Field(default_factory=dict)
    listed: list[Inner] = Field(default_factory=list)


def faults(value, kind=Block, **options):
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(value)
    return describe_faults(refused.value, kind, **options)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"inner": {"horizon": 1, "lable": "x"}}, "nothing reads `inner.lable` (did you mean 'label'?)"),
        ({"named": {"a": {"horizont": 1, "horizon": 1}}}, "nothing reads `named.a.horizont` (did you mean 'horizon'?)"),
        ({"listed": [{"horizon": 1, "z": 1}]}, "nothing reads `listed.0.z`"),
        ({"inner": {}}, "`inner.horizon` is missing"),
        ({"inner": {"horizon": "long"}}, "`inner.horizon` is 'long'; it should be a valid integer"),
        ({"inner": 3}, "`inner` is 3; it should hold `key: value` lines"),
        ({"inner": {"horizon": "x" * 99}}, f"`inner.horizon` is '{'x' * 59}…; it should be a valid integer"),
        (
            {"inner": {"horizon": "long"}, "named": {"a": {}}},
            "`inner.horizon` is 'long'; it should be a valid integer; `named.a.horizon` is missing",
        ),
    ],
)
def test_every_fault_is_named_in_one_line(value, expected):
    assert faults(value) == expected


class Numbers(Parameters):
    """Numbers of every kind, and a truth value."""

    count: int = 1
    rate: float | None = None
    cents: Decimal = Decimal(0)
    steps: list[PositiveInt] = Field(default_factory=list)
    switch: bool | int = False
    free: dict[str, Any] = Field(default_factory=dict)


@pytest.mark.parametrize("key", ["count", "rate", "cents"])
def test_a_truth_value_is_no_number(key):
    assert faults({key: True}, Numbers) == f"`{key}` is True; it should be a number, not true or false"


def test_a_truth_value_in_a_list_of_numbers_is_none_and_where_it_may_stand_it_does():
    assert faults({"steps": [1, True]}, Numbers) == "`steps` is [1, True]; it should be a number, not true or false"
    assert Numbers(switch=True, free={"a": True}).switch is True


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("key", ["rate", "cents"])
def test_a_number_is_finite(key, value):
    assert f"`{key}` is {value}; it should be a finite number" in faults({key: value}, Numbers)


class Chosen(Parameters):
    """A block whose model is chosen elsewhere."""

    inner: Inner
    rate: float = 0.1


def test_a_part_that_another_key_chooses_is_hinted_at_by_its_own_keys_at_any_depth():
    with pytest.raises(ValidationError) as refused:
        read_part(Chosen, {"inner": {"horizont": 1}, "rat": 1, "rate": "x"})
    assert describe_faults(refused.value, Block, "options") == (
        "`options.inner.horizon` is missing; nothing reads `options.inner.horizont` (did you mean 'horizon'?); "
        "`options.rate` is 'x'; it should be a valid number; nothing reads `options.rat` (did you mean 'rate'?)"
    )


def test_a_former_name_is_refused_in_a_block_that_another_key_chooses_too():
    class Chosen(Parameters):
        renamed: ClassVar = {"smallest": "min_size"}
        min_size: int = 1
        max_size: int = 9

    with pytest.raises(ValidationError) as refused:
        read_part(Chosen, {"smallest": 2, "maximum_size": 3})
    assert describe_faults(refused.value, Chosen) == (
        "`maximum_size` is called `max_size` now, rename it; `smallest` is called `min_size` now, rename it"
    )


def test_a_wrong_choice_is_reported_with_the_nearest_one():
    assert faults({"deal_price": "Close"}, MarketRules, block="market_rules") == (
        "`market_rules.deal_price` is 'Close'; it should be 'open', 'close' or 'vwap' (did you mean 'close'?)"
    )


@pytest.fixture(scope="module")
def project(project_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("project")
    copy_project(project_path, path)
    bootstrap_project(path)
    (path / "conf/local/parameters_mine.yml").write_text("strategy: {topk: many}\n")
    return path


WRONG = {
    "a choice in --params": (
        {"market_rules": {"deal_price": "Close"}, "strategy": {"topk": 5}},
        "`market_rules.deal_price` of --params is 'Close'; it should be 'open', 'close' or 'vwap' "
        "(did you mean 'close'?). Correct it there.",
    ),
    "a misspelt key": (
        {"strategy": {"topkk": 5, "topk": 5}},
        "nothing reads `strategy.topkk` of --params (did you mean 'topk'?). Correct it there.",
    ),
    "a value of a file": (
        {},
        "`strategy.topk` of conf/local/parameters_mine.yml is 'many'; it should be a valid integer. Correct it there.",
    ),
    "a model": (
        {"models": {"gru_alpha158": {"algoritm": "gru"}}, "strategy": {"topk": 5}},
        "nothing reads `models.gru_alpha158.algoritm` of --params (did you mean 'algorithm'?). Correct it there.",
    ),
    "a hyper-parameter of the algorithm": (
        {"models": {"gru_alpha158": {"hyper": {"epoch": 2}}}, "strategy": {"topk": 5}},
        "nothing reads `models.gru_alpha158.hyper.epoch` of --params (did you mean 'epochs'?). Correct it there.",
    ),
    "former names of limits": (
        {"strategy": {"topk": 5}, "universe": {"minimum_price": 3.0}, "quality": {"largest_move": 0.4}},
        "`universe.minimum_price` of --params is called `min_price` now, rename it; "
        "`quality.largest_move` of --params is called `max_move` now, rename it. Correct it there.",
    ),
    "half a pair": (
        {"split": {"train": ["2020-01-01"]}, "strategy": {"topk": 5}},
        "`split.train.1` of --params is missing. Correct it there.",
    ),
}


@pytest.mark.parametrize(("params", "message"), WRONG.values(), ids=WRONG)
def test_a_session_names_key_place_value_and_what_it_may_be(project, caplog, params, message):
    with (
        KedroSession.create(project, runtime_params=params, save_on_close=False) as session,
        pytest.raises(ConfigurationError) as refused,
    ):
        _ = session.load_context().params
    assert refused.value.message == message
    assert "pydantic" not in caplog.text


def test_commands_without_a_session_say_the_same(project):
    with open_project(Place(project), "sim", {"market_rules": {"deal_price": "Close"}}) as opened:
        with pytest.raises(ConfigurationError) as refused:
            opened.rules("market_rules", MarketRules)
        assert refused.value.message == WRONG["a choice in --params"][1]
        with pytest.raises(ConfigurationError) as refused:
            opened.rules("strategy", StrategyRules)
        assert refused.value.message == WRONG["a value of a file"][1]

"""What `kedro run --params` understands."""

import click
import pytest

from quant_pipeline.cli.run import read_parameters, run


def read(text):
    option = next(option for option in run.params if option.name == "params")
    return read_parameters(click.Context(run), option, text)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("", {}),
        ("as_of=2025-01-02", {"as_of": "2025-01-02"}),
        ("expression=Corr($close, Log($volume+1), 20)", {"expression": "Corr($close, Log($volume+1), 20)"}),
        (
            "expression=$close/Ref($close, 5)-1, net_of=sector",
            {"expression": "$close/Ref($close, 5)-1", "net_of": "sector"},
        ),
        ("factor_evaluation.horizons=[1, 5],a.b=2", {"factor_evaluation": {"horizons": [1, 5]}, "a": {"b": 2}}),
        ("expression=If($close==$open, 1, 0)", {"expression": "If($close==$open, 1, 0)"}),
    ],
)
def test_commas_in_brackets_do_not_separate(typed, understood):
    assert read(typed) == understood


@pytest.mark.parametrize("typed", ["as_of", "=3", "as_of=1,oops"])
def test_what_is_no_pair_is_refused(typed):
    with pytest.raises(click.UsageError, match="is no `key=value`"):
        read(typed)


def test_values_from_a_configuration_file_pass():
    option = next(option for option in run.params if option.name == "params")
    assert read_parameters(click.Context(run), option, {"a": 1}) == {"a": 1}

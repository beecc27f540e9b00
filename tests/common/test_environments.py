"""Commands in messages, for the environment that they are about."""

import pytest

from quant_pipeline.common.environments import in_environment, naming_environment
from quant_pipeline.common.exceptions import AccountError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`kedro run --pipelines features,training`", "`kedro run --pipelines features,training --env paper`"),
        ("kedro run --pipelines daily --env live", "kedro run --pipelines daily --env live"),
        ("kedro account resume, kedro models plan", "kedro account resume --env paper, kedro models plan --env paper"),
        ("kedro account arm --env live", "kedro account arm --env live"),
        ("kedro account new paper --from sim", "kedro account new paper --from sim"),
        ("kedro models as-of 2025-01-02 --yes", "kedro models as-of --env paper 2025-01-02 --yes"),
        ("kedro viz run", "kedro viz run"),
    ],
)
def test_a_command_that_takes_an_environment_names_it_once(text, expected):
    assert in_environment(text, "paper") == in_environment(expected, "paper") == expected
    assert in_environment(text, "sim") == in_environment(text, None) == text


def test_an_error_of_an_account_advises_commands_of_that_account():
    with pytest.raises(AccountError) as refused, naming_environment("paper"):
        raise AccountError("run `kedro account resume` first")
    assert str(refused.value) == refused.value.format_message() == "run `kedro account resume --env paper` first"


def test_the_name_of_a_rehearsed_account_names_its_environment():
    assert in_environment("run `kedro account resume`", "paper-rehearsal") == "run `kedro account resume --env paper`"
    assert in_environment("run `kedro account resume`", "sim-rehearsal") == "run `kedro account resume`"

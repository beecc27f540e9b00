"""What `kedro compile` compiles is all that commands call.

Compiling twice to see that the second time compiles nothing would take minutes. A kernel is compiled for the types that
it is called with, so the test compares what was called: every kernel and every type of a run is one of `kedro compile`.
"""

import pytest

COMMANDS = {
    "run": "kedro run --pipelines prediction,backtest,post_trade,order_generation",
    "research": "kedro run --pipelines features,ensemble_search,factor_evaluation,model_report",
    "replay": "kedro replay --from 2025-01-02 --to 2025-01-03",
}
SLOW = ("research", "replay")


@pytest.fixture(scope="module")
def compiled(module_project) -> set[str]:
    """Kernels that `kedro compile` calls: here in its two parts, which share none."""
    trading = module_project.called_kernels("kedro compile trading")
    factors = module_project.called_kernels("kedro compile factors")
    assert trading
    assert factors
    assert trading & factors == set()
    return trading | factors


@pytest.mark.parametrize(
    "words", [pytest.param(COMMANDS[name], id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name in COMMANDS]
)
def test_a_command_after_kedro_compile_compiles_nothing(module_project, compiled, words):
    called = module_project.called_kernels(words)
    assert called
    assert called - compiled == set()

"""The evaluation of a signal as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.signal_evaluation import nodes, page
from quant_pipeline.pipelines.wiring import by_name

RULES = ("params:strategy", "params:market_rules", "params:cost_rules", "params:account")


def create_pipeline() -> Pipeline:
    """From the formula of one signal to its scores, information, backtest and page."""
    return Pipeline(
        [
            Node(
                nodes.score_signal,
                by_name("adjusted_bars", "sessions", "universe_members", "params:signals", "params:signal_evaluation"),
                "signal_scores",
                name="score_signal",
            ),
            Node(
                nodes.evaluate_signal,
                by_name(
                    "signal_scores",
                    "adjusted_bars",
                    "corporate_actions",
                    "sessions",
                    "params:signal_evaluation",
                    "params:market_rules",
                ),
                "signal_information",
                name="evaluate_signal",
            ),
            Node(
                nodes.backtest_signal,
                by_name("signal_scores", "bars", "corporate_actions", "sessions", "benchmark", "instruments", *RULES),
                ["signal_nav", "signal_trades", "signal_performance"],
                name="backtest_signal",
            ),
            Node(
                page.compose_signal_page,
                by_name(
                    "signal_information",
                    "signal_nav",
                    "signal_performance",
                    "params:signals",
                    "params:signal_evaluation",
                    "params:market_rules",
                    "params:account",
                ),
                "signal_page",
                name="compose_signal_page",
            ),
        ],
        tags="signal_evaluation",
    )

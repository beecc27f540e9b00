"""The comparison with Qlib as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.qlib_comparison import nodes
from quant_pipeline.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """From fused scores and the provider to both account values, session by session."""
    return Pipeline(
        [
            Node(
                nodes.compare_backtests,
                by_name(
                    "fused_scores",
                    "adjusted_bars",
                    "sessions",
                    "qlib_provider",
                    "params:ensemble",
                    "params:strategy",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:account",
                ),
                "qlib_comparison",
                name="compare_backtests",
            )
        ],
        tags="qlib_comparison",
    )

"""Ingestion as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.ingestion import nodes
from quant_pipeline.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """From a market source to checked, adjusted bars and the universe."""
    return Pipeline(
        [
            Node(
                nodes.read_market,
                ["market_source", "params:ended_bars"],
                {name: name for name in ("bars", "corporate_actions", "instruments", "benchmark", "source_findings")},
                name="read_market",
            ),
            Node(
                nodes.list_sessions, ["bars", "params:market_rules", "params:as_of"], "sessions", name="list_sessions"
            ),
            Node(
                nodes.check_quality,
                by_name("bars", "corporate_actions", "sessions", "source_findings", parameters="params:quality"),
                "data_quality",
                name="check_quality",
            ),
            Node(
                nodes.adjust_for_corporate_actions,
                ["bars", "corporate_actions", "instruments"],
                "adjusted_bars",
                name="adjust_for_corporate_actions",
            ),
            Node(
                nodes.select_members,
                ["bars", "instruments", "params:universe"],
                "universe_members",
                name="select_members",
            ),
            Node(
                nodes.arrange_for_qlib,
                ["adjusted_bars", "sessions"],
                "qlib_provider",
                name="arrange_for_qlib",
            ),
        ],
        tags="ingestion",
    )

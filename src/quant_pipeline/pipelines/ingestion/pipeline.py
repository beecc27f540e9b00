"""Ingestion as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.ingestion import nodes
from quant_pipeline.pipelines.wiring import by_name

TABLES = ("bars", "corporate_actions", "instruments", "benchmark", "source_findings", "named_universes")


def create_pipeline() -> Pipeline:
    """From a market source to checked, adjusted bars and the universe."""
    return Pipeline(
        [
            Node(
                nodes.read_market,
                by_name(
                    "params:universe",
                    "params:ended_bars",
                    "params:market_rules",
                    "params:as_of",
                    market="market_source",
                ),
                {name: name for name in TABLES},
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
                by_name("bars", "instruments", "named_universes", universe="params:universe"),
                "universe_members",
                name="select_members",
            ),
            Node(
                nodes.arrange_for_qlib,
                by_name("adjusted_bars", "sessions", "universe_members", "benchmark"),
                "qlib_provider",
                name="arrange_for_qlib",
            ),
        ],
        tags="ingestion",
    )

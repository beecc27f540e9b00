"""The search as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.ensemble_search import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import load_model_registry, longest_label

INPUTS = (
    "candidate_scores",
    "bars",
    "corporate_actions",
    "sessions",
    "benchmark",
    "instruments",
    "params:strategy",
    "params:market_rules",
    "params:cost_rules",
    "params:account",
    "params:ensemble_search",
)
RESULTS = (
    "search_verdict",
    "search_periods",
    "search_logits",
    "search_leaderboard",
    "finalist_curves",
    "search_folds",
    "search_attribution",
    "search_correlations",
)


def create_pipeline() -> Pipeline:
    """From the out-of-sample scores of every enabled model to trials, judgement, attribution and the page."""
    predictions = [f"{model}_predictions" for model in load_model_registry()]
    return Pipeline(
        [
            Node(
                nodes.align_candidates,
                by_name("params:ensemble", "params:ensemble_search", "params:market_rules", *predictions),
                "candidate_scores",
                name="align_candidates",
            ),
            Node(
                nodes.backtest_candidates,
                by_name(*INPUTS, label=longest_label(), chunks="search_chunks_found"),
                "search_chunks",
                name="backtest_candidates",
            ),
            Node(
                nodes.collect_trials,
                by_name(*INPUTS, label=longest_label(), chunks="search_chunks"),
                ["search_trials", "search_periods"],
                name="collect_trials",
            ),
            Node(
                nodes.backtest_finalists,
                by_name("search_trials", "search_periods", *INPUTS, label=longest_label()),
                ["finalist_curves", "finalist_measures"],
                name="backtest_finalists",
            ),
            Node(
                nodes.measure_similarity,
                ["candidate_scores", "search_trials", "search_periods"],
                "search_correlations",
                name="measure_similarity",
            ),
            Node(
                nodes.judge_search,
                by_name(
                    "search_trials",
                    "search_periods",
                    "finalist_measures",
                    "search_correlations",
                    "params:ensemble_search",
                ),
                ["search_leaderboard", "search_folds", "search_verdict", "search_logits"],
                name="judge_search",
            ),
            Node(
                nodes.attribute_returns,
                ["search_trials", "search_periods", "search_verdict"],
                "search_attribution",
                name="attribute_returns",
            ),
            Node(
                nodes.compose_search_page,
                by_name(*RESULTS, "params:account", "params:ensemble_search", "params:order_generation"),
                "search_page",
                name="compose_search_page",
            ),
        ],
        tags="ensemble_search",
    )

"""The page of the models: who predicts, who is like whom, and who has to be trained again."""

from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.drift import DriftParameters
from quant_pipeline.evaluation.factor_scores import ScoringParameters
from quant_pipeline.pipelines.factor_evaluation.figures import draw_decay, draw_relations
from quant_pipeline.pipelines.model_report.figures import draw_bands, draw_years
from quant_pipeline.reports import wording
from quant_pipeline.reports.definitions import COEFFICIENTS
from quant_pipeline.reports.elements import (
    Card,
    Column,
    Html,
    cards,
    code,
    details,
    masthead,
    paragraph,
    picture,
    section,
    table,
)
from quant_pipeline.reports.page import compose_page

LINKS = (("comparison", "Comparison"), ("similarity", "Similarity"), ("health", "Health"), ("importance", "Importance"))
FACTORS_SHOWN = 12
NO_REASON = "no reason to train it again"
UNSURE = "the band of its rank IC includes zero"


class Watched(NamedTuple):
    """What monitoring found for one model."""

    drift: pd.DataFrame
    band: pd.DataFrame
    health: dict[str, Any]
    importance: pd.DataFrame


def compose_model_page(
    model_summary: pd.DataFrame,
    model_decay: pd.DataFrame,
    model_years: pd.DataFrame,
    model_correlations: pd.DataFrame,
    model_comparison: ScoringParameters,
    monitoring: DriftParameters,
    **watched: Any,
) -> str:
    """Compose the page.

    Parameters
    ----------
    model_summary, model_decay, model_years, model_correlations
        As returned by `compare_models`.
    model_comparison, monitoring
        With which parameters they were compared and watched.
    **watched
        ``<model>_drift``, ``<model>_rank_ic_band``, ``<model>_health``, ``<model>_importance``.

    Returns
    -------
    str
        One self-contained HTML page.
    """
    models = list(model_summary["factor"])
    found = {
        model: Watched(*(watched[f"{model}_{part}"] for part in ("drift", "rank_ic_band", "health", "importance")))
        for model in models
    }
    parts = [
        _headline(model_summary, found),
        _comparison(model_summary, model_decay, model_years, model_comparison),
        _similarity(model_correlations, models),
        _health(model_summary, found, monitoring),
        _importance(found),
    ]
    return compose_page("Models", _header(model_summary, found), LINKS, parts, "Written by quant-pipeline.")


def _header(summary: pd.DataFrame, found: dict[str, Watched]) -> Html:
    best = summary.sort_values("rank_ic", ascending=False).iloc[0]
    tired = [model for model, one in found.items() if one.health["reasons"]]
    advice = f"To be trained again: {first_of(tired)}." if tired else "None of them has to be trained again."
    found_at = f"a mean rank IC of {wording.coefficient(best['rank_ic'])} (t = {wording.ratio(best['rank_ic_t'])})"
    sentence = (
        f"{wording.plural(len(summary), 'model')} out of sample. {best['factor']} orders the next returns best, with "
        f"{found_at}{'' if best['rank_ic_lower'] > 0 else ', which may be chance'}. {advice}"
    )
    return masthead("Model report", "Models", sentence)


def _headline(summary: pd.DataFrame, found: dict[str, Watched]) -> Html:
    return cards(
        [
            Card(
                row.factor,
                wording.coefficient(row.rank_ic),
                "train it again"
                if found[row.factor].health["reasons"]
                else f"rank IC, t = {wording.ratio(row.rank_ic_t)}",
                "health" if found[row.factor].health["reasons"] else "comparison",
                bool(found[row.factor].health["reasons"]),
            )
            for row in summary.itertuples()
        ]
    )


def _comparison(summary: pd.DataFrame, decay: pd.DataFrame, years: pd.DataFrame, comparison: ScoringParameters) -> Html:
    models = list(summary["factor"])
    columns = [
        Column("factor", "model", kind="text"),
        Column("ic", "IC", wording.coefficient),
        Column("rank_ic", "rank IC", wording.coefficient),
        Column("rank_ic_lower", "from", wording.coefficient),
        Column("rank_ic_upper", "to", wording.coefficient),
        Column("icir", "ICIR", wording.ratio),
        Column("rank_icir", "rank ICIR", wording.ratio),
        Column("positive_share", "sessions above zero", wording.percent),
        Column("spread", "top less bottom quantile", wording.percent_exact),
        Column("autocorrelation", "auto-correlation", wording.ratio),
        Column("replaced", "replaced a session", wording.percent),
        Column("best_horizon", "best horizon", wording.count),
    ]
    return section(
        "comparison",
        "Comparison",
        paragraph(
            f"{COEFFICIENTS} Test sessions that every model has scored and whose label is realised; bands hold "
            f"{comparison.confidence:.0%} by Newey-West errors."
        ),
        table(summary, columns, f"At a horizon of {wording.plural(comparison.horizons[0], 'session')}"),
        picture(draw_decay(decay, models), "decay"),
        picture(draw_years(years, models), "years"),
    )


def _similarity(correlations: pd.DataFrame, models: list[str]) -> Html:
    return section(
        "similarity",
        "Similarity",
        paragraph("Models that agree add little to each other; the ensemble search measures what each one adds."),
        picture(
            draw_relations(correlations, models, "model").update_layout(title_text="Correlation of ranks"),
            "similarity-map",
        ),
    )


def _verdict(one: Watched, lower: float) -> str:
    """Call a model healthy only where its rank IC is above zero by more than chance explains."""
    if one.health["reasons"]:
        return "train again"
    return "healthy" if lower > 0 else "unproven"


def _health(summary: pd.DataFrame, found: dict[str, Watched], monitoring: DriftParameters) -> Html:
    lower = summary.set_index("factor")["rank_ic_lower"].fillna(0.0)
    rows = pd.DataFrame(
        [
            {
                "model": model,
                "verdict": _verdict(one, lower[model]),
                "expected": one.health["expected_rank_ic"],
                "recent": one.health["recent_rank_ic"],
                "score_psi": one.health["score_psi"],
                "drifted": (one.drift["verdict"] == "drifted").sum() if len(one.drift) else float("nan"),
                "reasons": "; ".join(one.health["reasons"]) or (NO_REASON if lower[model] > 0 else UNSURE),
            }
            for model, one in found.items()
        ]
    )
    columns = [
        Column("model", "model", kind="text"),
        Column("verdict", "verdict", kind="tag"),
        Column("expected", "rank IC promised", wording.coefficient),
        Column("recent", "rank IC lately", wording.coefficient),
        Column("score_psi", "stability index of scores", wording.ratio),
        Column("drifted", "factors drifted", wording.count),
        Column("reasons", "why", kind="long"),
    ]
    return section(
        "health",
        "Health",
        paragraph(
            "The newest sessions against the training window (population stability index: "
            f"{monitoring.min_moved_psi:g} has moved, {monitoring.min_drifted_psi:g} has drifted), and the rank IC "
            "against the band that validation promised. To train again: ",
            code("kedro run --pipelines training"),
        ),
        table(rows, columns, "Models"),
        picture(draw_bands({model: one.band for model, one in found.items()}), "bands"),
        *(_moved_factors(model, one.drift) for model, one in found.items()),
    )


def _moved_factors(model: str, drift: pd.DataFrame) -> Html:
    columns = [
        Column("factor", "factor", kind="text"),
        Column("psi", "stability index", wording.ratio),
        Column("ks", "Kolmogorov-Smirnov", wording.ratio),
        Column("missing_reference", "missing in training", wording.percent),
        Column("missing_current", "missing lately", wording.percent),
        Column("verdict", "verdict", kind="tag"),
    ]
    return details(
        f"Factors of {model} that moved most",
        table(drift.head(FACTORS_SHOWN), columns, f"{model}: newest sessions against training"),
    )


def _importance(found: dict[str, Watched]) -> Html:
    columns = [Column("factor", "factor", kind="text"), Column("importance", "importance", wording.score)]
    shown = [
        table(one.importance.head(FACTORS_SHOWN), columns, model)
        if len(one.importance)
        else paragraph(
            f"{model}: not available, its algorithm reports none or the parts do not add up to its scores.",
            style="empty",
        )
        for model, one in found.items()
    ]
    return section("importance", "Importance", paragraph("What each model leans on, in its own unit."), *shown)

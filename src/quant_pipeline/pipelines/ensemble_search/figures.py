"""Figures of the search: each function makes one from one table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.evaluation.similarity import grow_tree
from quant_pipeline.reports import wording
from quant_pipeline.reports.theme import SERIES, blank_figure, light, plain, say_instead, series_style

MOST_POINTS = 2_000
SHOWN_CURVES = 5


def draw_risk_and_return(leaderboard: pd.DataFrame) -> go.Figure:
    """Draw return against volatility, one point per combination, coloured by the number of models.

    Parameters
    ----------
    leaderboard
        ``combination``, ``size``, ``annualised_volatility``, ``annualised_return``, ``excess_sharpe``, best first.
    """
    step = -(-len(leaderboard) // MOST_POINTS)
    shown = leaderboard.iloc[::step]
    part = "" if step == 1 else f" Every {step}th by rank is drawn."
    figure = blank_figure(
        "Risk and return per year, selection sessions",
        f"{wording.plural(len(leaderboard), 'combination')}; the ring marks the one chosen.{part}",
    )
    for size, points in shown.groupby("size"):
        figure.add_scatter(
            x=points["annualised_volatility"],
            y=points["annualised_return"],
            mode="markers",
            name=wording.plural(int(size), "model"),
            marker={"color": SERIES[(int(size) - 1) % len(SERIES)].light, "size": 7, "opacity": 0.75},
            text=[plain(name) for name in points["combination"]],
            hovertemplate="%{text}<br>return %{y:.1%}, volatility %{x:.1%}<extra></extra>",
        )
    best = leaderboard.iloc[0]
    figure.add_scatter(
        x=[best["annualised_volatility"]],
        y=[best["annualised_return"]],
        mode="markers",
        name="chosen",
        marker={"symbol": "circle-open", "size": 17, "color": light("ink"), "line": {"width": 2}},
        hoverinfo="skip",
    )
    axis = {"title": {"text": "volatility", "font": {"color": light("muted")}}, "tickformat": ".2%", "showgrid": True}
    return figure.update_layout(hovermode="closest", xaxis=axis).update_yaxes(
        tickformat=".0%", title={"text": "return", "font": {"color": light("muted")}}
    )


def draw_logits(logits: pd.DataFrame) -> go.Figure:
    """Draw where the best of one half of the time ranks in the other half.

    Parameters
    ----------
    logits
        ``logit``, one row per split; negative is below the median.
    """
    values = logits["logit"].to_numpy()
    figure = blank_figure(
        "Rank of the best of one half in the other half, logit",
        f"In {wording.percent((values <= 0).mean())} of {wording.count(len(values))} splits the best of one half is "
        "below the median of the other: the probability of backtest overfitting.",
    )
    reach = max(float(np.abs(values).max()), 1.0) + 1e-6
    # Symmetric, with an edge at zero; a logit of zero counts as below, as in the probability.
    counts, edges = np.histogram(values - 1e-9, np.linspace(-reach, reach, 41))
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    for name, wanted, colour in (("below the median", middles <= 0, "loss"), ("above the median", middles > 0, "gain")):
        figure.add_bar(x=middles[wanted], y=counts[wanted], width=widths[wanted], name=name, marker_color=light(colour))
    figure.update_layout(bargap=0.05, hovermode="closest")
    figure.update_xaxes(hoverformat=".2f", title="logit of the rank: 0 is the median, 2 is above 88 % of all")
    return figure.update_yaxes(title={"text": "splits", "standoff": 12}, tickformat=",")


def draw_attribution(attribution: pd.DataFrame) -> go.Figure:
    """Draw what each model adds to returns, with two standard errors.

    Parameters
    ----------
    attribution
        ``method``, ``model``, ``value``, ``standard_error``.
    """
    shapley = attribution[attribution["method"] == "shapley"].sort_values("value")
    best = shapley.iloc[-1]
    figure = blank_figure(
        "Excess return per year that a model adds, Shapley value",
        f"Averaged over the combinations it joins; {best['model']} adds most, {wording.percent_signed(best['value'])}. "
        "Whiskers reach two standard errors to each side.",
    )
    colours = [light("gain") if value > 0 else light("loss") for value in shapley["value"]]
    figure.add_bar(
        x=shapley["value"],
        y=[plain(name) for name in shapley["model"]],
        orientation="h",
        marker_color=colours,
        error_x={"array": 2 * shapley["standard_error"], "color": light("muted"), "thickness": 1.4},
        showlegend=False,
        hovertemplate="%{y}: %{x:.2%}<extra></extra>",
    )
    figure.update_layout(height=max(200, 90 + 30 * len(shapley)), hovermode="closest")
    return figure.update_xaxes(tickformat="+.1%", showgrid=True).update_yaxes(showgrid=False)


def draw_similarity(correlations: pd.DataFrame, kind: str) -> go.Figure:
    """Draw correlations as a heat map in the order of their tree, with the tree above.

    Parameters
    ----------
    correlations
        ``of``, ``model``, ``other``, ``correlation``.
    kind
        ``scores`` or ``returns``.
    """
    title = {"scores": "Correlation of scores", "returns": "Correlation of excess returns"}[kind]
    part = correlations[correlations["of"] == kind]
    matrix = part.pivot(index="model", columns="other", values="correlation")
    if len(matrix) < 2:
        return say_instead(blank_figure(title, "There is one model."), "There is one model")
    tree = grow_tree(matrix)
    matrix = matrix.loc[tree.order, tree.order]
    indices = np.arange(len(matrix))
    away = matrix.where(~np.eye(len(matrix), dtype=bool)).stack()
    figure = blank_figure(
        title,
        f"From {wording.ratio(away.min())} to {wording.ratio(away.max())}; like models are neighbours, and the lower "
        "their bracket the more alike they are.",
    )
    for step in tree.steps:
        x, y = zip(*step, strict=True)
        figure.add_scatter(x=x, y=y, mode="lines", yaxis="y2", line={"color": light("muted"), "width": 1.3})
    figure.add_heatmap(
        z=matrix.to_numpy(),
        x=indices,
        y=indices,
        zmin=-1,
        zmax=1,
        colorscale=[[0, light("loss")], [0.5, light("surface")], [1, light("accent")]],
        showscale=False,
        customdata=[[f"{plain(one)}, {plain(other)}" for other in matrix.columns] for one in matrix.index],
        hovertemplate="%{customdata}: %{z:.2f}<extra></extra>",
        texttemplate="%{z:.2f}" if len(matrix) <= 12 else None,
    )
    names = {"tickvals": indices, "ticktext": [plain(name) for name in matrix.index], "showgrid": False}
    brackets = {"domain": [0.84, 1], "visible": False, "rangemode": "tozero"}
    figure.update_layout(
        yaxis={"domain": [0, 0.82], "autorange": "reversed", "zeroline": False, **names}, yaxis2=brackets
    )
    figure.update_layout(height=220 + 34 * len(matrix), hovermode="closest", showlegend=False)
    return figure.update_xaxes(zeroline=False, **names)


def draw_folds(folds: pd.DataFrame) -> go.Figure:
    """Draw for each fold how the choice did while it was ranked and how afterwards.

    Parameters
    ----------
    folds
        ``first``, ``ranked_sharpe``, ``sharpe``, ``median_sharpe``, ``uninformed_sharpe``.
    """
    figure = blank_figure(
        "Sharpe ratio of excess returns, chosen on the past and measured on the next fold",
        f"In the {wording.plural(len(folds), 'fold')} the choice ranked {wording.percent(folds['percentile'].mean())} "
        "of the way from last to first on average; one half is what choosing by lot reaches.",
    )
    names = [f"{wording.day(first)}" for first in folds["first"]]
    series = (
        ("while ranked", "ranked_sharpe", light("reference")),
        ("chosen, next fold", "sharpe", light("accent")),
        ("median of all, next fold", "median_sharpe", SERIES[2].light),
        ("random scores, next fold", "uninformed_sharpe", light("caution")),
    )
    for name, column, colour in series:
        figure.add_bar(x=names, y=folds[column], name=name, marker_color=colour)
    return figure.update_xaxes(type="category").update_yaxes(hoverformat=".2f")


def draw_finalists(curves: pd.DataFrame) -> go.Figure:
    """Draw the net values of the leaders through selection and holdout.

    Parameters
    ----------
    curves
        ``date``, ``combination``, ``nav``, ``benchmark``, ``is_holdout``; leaders first.
    """
    names = list(dict.fromkeys(curves["combination"]))[:SHOWN_CURVES]
    held_out = curves.loc[curves["is_holdout"], "date"]
    after = (
        f" To the right of the line, from {wording.day(held_out.min())}, nothing was known to the search."
        if len(held_out)
        else ""
    )
    figure = blank_figure("Net value of the leaders, from 1", f"The first {len(names)} of the ranking.{after}")
    first = curves[curves["combination"] == names[0]]
    reference = {"color": light("reference"), "width": 1.6}
    figure.add_scatter(x=first["date"], y=first["benchmark"], name="benchmark", line=reference)
    for index, name in enumerate(names):
        curve = curves[curves["combination"] == name]
        figure.add_scatter(x=curve["date"], y=curve["nav"], name=plain(name), line=series_style(index))
    if len(held_out):
        figure.add_vline(x=held_out.min(), line={"color": light("ink"), "width": 1, "dash": "dot"})
    return figure.update_yaxes(type="log", hoverformat=".3f", tickformat=".2~f", nticks=6).update_layout(height=400)

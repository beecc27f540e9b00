"""Pictures that MLflow shows without a script: matplotlib, without its windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FACTORS_SHOWN = 30


def draw_importance(importance: pd.DataFrame, model: str) -> Figure:
    """Draw the most important factors of a model, the first one on top.

    Parameters
    ----------
    importance
        ``factor``, ``importance``, most important first.
    model
        Its name.
    """
    from matplotlib.figure import Figure  # Only here: a run without training would wait for it.

    shown = importance.head(FACTORS_SHOWN).iloc[::-1]
    figure = Figure(figsize=(8, 1 + 0.24 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh([_literal(name) for name in shown["factor"]], shown["importance"], color=light("accent"))
    axes.set_title(_literal(f"{model}: importance of factors"), loc="left")
    axes.set_xlabel("importance")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.01)
    return figure


def _literal(text: object) -> str:
    """Write a name letter by letter; between two dollars matplotlib reads mathematics."""
    return str(text).replace("$", r"\$")

"""Models: champion and its age, the rank IC of the newest realised sessions with its band, drift."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.cli.model_versions import COLUMNS, describe_versions
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.drift import DriftParameters
from quant_pipeline.evaluation.standard_errors import degrees_of_freedom, newey_west_errors, student_bands
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.project.model_registry import load_model_registry
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.page.drawing import instant, pane, state
from quant_pipeline.service.page.looking import Look

CONFIDENCE = 0.95
WIDEST = 0.3
"""Rank IC at which the drawn interval ends."""


def models(look: Look) -> Html:
    """Draw a row per model."""
    project = look.served.project
    rows = pd.DataFrame(describe_versions(project.project, load_model_registry()), columns=list(COLUMNS))
    if rows.empty:
        return pane("models", "Models", "", paragraph("No model is enabled.", style="empty"))
    is_scoring = rows["role"].str.startswith("champion") & ~rows["role"].str.startswith("champion before")
    shown = rows[is_scoring | rows["role"].str.startswith("not trained")].reset_index(drop=True)
    bands, newest = _bands(look)
    shown["live"] = [bands.get(name) for name in shown["model"]]
    shown["drift"] = [_drift(look, name) for name in shown["model"]]
    waiting = rows[rows["role"].str.startswith("candidate")]["model"].tolist()
    length = project.project.rules("monitoring", DriftParameters).rolling_sessions
    columns = [
        Column("model", "model", kind="text"),
        Column("version", "champion", kind="text"),
        Column("role", "role", kind="text"),
        Column("age", f"age at {pd.Timestamp(project.parameters['as_of']):%Y-%m-%d}", kind="text"),
        Column("live", f"rank IC, newest {length} realised sessions, 95 % band", _interval, "text"),
        Column("rank IC", "rank IC at training", kind="text"),
        Column("drift", "drift", state, "text"),
        Column("learned from", "learned from", kind="text"),
    ]
    as_of = f"labels realised up to {newest:%Y-%m-%d}" if newest is not None else "no label is realised yet"
    said = (
        f"Candidates wait for promotion: {first_of(waiting, whole='the table above')}."
        if waiting
        else "No candidate waits for promotion."
    )
    return pane("models", "Models", as_of, table(shown, columns, "Models that score"), paragraph(said))


class Band(NamedTuple):
    """Mean of the rank IC with its band, from how many sessions, and the last of them."""

    mean: float
    lower: float
    upper: float
    sessions: int
    last: pd.Timestamp


def _bands(look: Look) -> tuple[dict[str, Band], pd.Timestamp | None]:
    """Return the band of each model, and the newest session of all; Newey-West errors, Student's quantiles."""
    project = look.served.project
    if not project.has("ic_series"):
        return {}, None
    rules = project.project.rules
    horizon = rules("label", LabelParameters).horizon
    length = rules("monitoring", DriftParameters).rolling_sessions
    series = project.table("ic_series")
    found = {}
    for name, rows in series.groupby("model"):
        realised = rows.sort_values("date").dropna(subset="rank_ic").tail(length)
        known = realised["rank_ic"].to_numpy(dtype=np.float64)
        if not len(known):
            continue
        error = newey_west_errors(known[:, None], horizon)
        freedom = degrees_of_freedom(np.array([float(len(known))]), len(known), horizon)
        band = student_bands(np.array([known.mean()]), error, CONFIDENCE, freedom)
        ends, last = (float(band.lower[0]), float(band.upper[0])), realised["date"].iloc[-1]
        found[str(name)] = Band(float(known.mean()), *ends, len(known), last)
    return found, max((band.last for band in found.values()), default=None)


def _drift(look: Look, name: str) -> str:
    """Say what the model report has found."""
    project = look.served.project
    if not project.has(f"{name}_health"):
        return "not measured: kedro run --pipelines model_report"
    health, written = project.table(f"{name}_health"), instant(project.written(f"{name}_health"))
    reasons: list[str] = list(health["reasons"])
    found = f"drifted {'; '.join(reasons)}" if reasons else f"stable score index {health['score_psi']:.2f}"
    return f"{found}, measured {written}"


def _interval(found: Any) -> Html:
    """Draw a mean with its band around zero, and write both."""
    if found is None:
        return Html("no label is realised yet")
    mean, lower, upper, sessions, last = found
    until = f"up to {last:%Y-%m-%d}"
    if math.isnan(lower):
        return Html("{} from {} sessions {}: too few for a band").format(wording.coefficient(mean), sessions, until)
    left, middle, right = (50 + 50 * max(-1.0, min(1.0, value / WIDEST)) for value in (lower, mean, upper))
    return Html(
        '<svg class="interval" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="zero" x1="50" x2="50" y1="0" y2="12"/><line class="band" x1="{:.1f}" x2="{:.1f}" y1="6" y2="6"/>'
        '<line class="mean" x1="{:.1f}" x2="{:.1f}" y1="1" y2="11"/></svg> {} ({} to {}), {}'
    ).format(left, right, middle, middle, *map(wording.coefficient, (mean, lower, upper)), until)

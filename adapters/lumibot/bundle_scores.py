"""The bundle of a model at work in another engine: its graph scores each session when its close is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
from exchange_files import Exchange
from top_scores import TopScores

BUNDLE = "bundle"


def has_bundle(exchange: Exchange) -> bool:
    """Whether a bundle was handed over too."""
    return (exchange.folder / BUNDLE / "model.onnx").is_file()


class BundleScores(TopScores):
    """Decides as `TopScores`, from scores that the bundle computes on the way."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        folder: Path = exchange.folder / BUNDLE
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._model = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        inputs = pd.read_parquet(folder / "inputs.parquet")
        self._inputs = dict(list(inputs.groupby(inputs["date"].astype("datetime64[ns]"))))
        self.largest_difference = 0.0
        self.scored = 0

    def scores_of(self, session: pd.Timestamp) -> dict[str, float]:
        """Score what is known after the close of a session."""
        rows = self._inputs.get(session)
        if rows is None:
            return {}
        rows = rows[np.isfinite(rows["score"])]
        values = rows.drop(columns=["date", "instrument", "score"]).to_numpy(dtype=np.float32)
        scores = np.asarray(self._model.run(None, {"features": values})[0], dtype=np.float64).reshape(-1)
        self.largest_difference = max(
            self.largest_difference, np.abs(scores - rows["score"].to_numpy()).max(initial=0.0)
        )
        self.scored += len(rows)
        return dict(zip(rows["instrument"], scores.tolist(), strict=True))

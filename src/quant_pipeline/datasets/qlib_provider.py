"""A Qlib data provider as a dataset, for research with Qlib's own tools on the same bars."""

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from quant_pipeline.common.places import Place
from quant_pipeline.market.qlib_provider import write_provider


class QlibProvider(AbstractDataset[dict[str, pd.DataFrame], Path]):
    """A folder in Qlib's binary format.

    Parameters
    ----------
    filepath
        The provider folder; pass it to `quant_pipeline.tracking.qlib_experiments.init_qlib`.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder; one in a bucket is copied to this machine, as Qlib reads files only."""
        return self._place.fetch()

    def save(self, data: dict[str, pd.DataFrame]) -> None:
        """Write ``adjusted_bars`` on the calendar of ``sessions``, with ``universe_members`` and ``benchmark``."""
        sessions = pd.DatetimeIndex(data["sessions"]["date"])
        more = data.get("universe_members"), data.get("benchmark")
        write_provider(data["adjusted_bars"], sessions, self._place.path, *more)
        self._place.publish(whole=True)

    def _exists(self) -> bool:
        return (self._place / "calendars" / "day.txt").fetch().is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}

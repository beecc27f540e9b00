"""An Optuna study as a dataset: every trial is stored the moment it ends."""

from typing import Any

import optuna
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.places import require_local
from quant_pipeline.datasets.previews import preview_optional


class OptunaStudy(AbstractDataset[optuna.Study, optuna.Study]):
    """A study that maximises, in a SQLite file.

    The study is a gateway: a node adds trials to what it loads, Optuna writes them, and an interrupted search goes on
    with the trials it has.

    Parameters
    ----------
    filepath
        The file; it is made by the first load.
    name
        Name of the study within the file.
    warmup_trials
        Trials that are never pruned.
    metadata
        Ignored here; read by kedro-viz.
    """

    _SINGLE_PROCESS = True

    def __init__(
        self, filepath: str, name: str, warmup_trials: int = 5, metadata: dict[str, Any] | None = None
    ) -> None:
        self._file = require_local(filepath, f"the study {name}")
        self._name = name
        self._warmup_trials = warmup_trials
        self.metadata = metadata

    def load(self) -> optuna.Study:
        """Open the study."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            storage=f"sqlite:///{self._file.resolve()}",
            study_name=self._name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=self._warmup_trials),
            load_if_exists=True,
        )

    def save(self, data: optuna.Study) -> None:
        """Do nothing: the trials are stored already."""

    def preview(self, nrows: int = 5) -> TablePreview:
        """Best trials, for kedro-viz."""
        trials = self.load().trials_dataframe(attrs=("number", "value", "state", "params")) if self._exists() else None
        return preview_optional(trials if trials is None else trials.sort_values("value", ascending=False), nrows)

    def _exists(self) -> bool:
        return self._file.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._file), "name": self._name}

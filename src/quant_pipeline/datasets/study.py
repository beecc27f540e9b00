"""An Optuna study as a dataset: every trial is stored the moment it ends."""

import logging
from typing import Any

import optuna
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.databases import lasting_database, sqlite_url
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import is_bucket, require_local
from quant_pipeline.common.secret_names import without_secrets
from quant_pipeline.datasets.previews import preview_optional

logger = logging.getLogger(__name__)


class OptunaStudy(AbstractDataset[optuna.Study, optuna.Study]):
    """A study that maximises, in a SQLite file or at a server.

    The study is a gateway: a node adds trials to what it loads, Optuna writes them, and an interrupted search goes on
    with the trials it has.

    Parameters
    ----------
    filepath
        The file, which is made by the first load; or an SQLAlchemy URL, for instance
        ``postgresql+psycopg://user@host/studies``.
    name
        Name of the study: that of its model.
    market
        Name of the market. It comes before that of the study at a server, where studies of several markets may lie.
    instead_of_bucket
        ``{filepath: …}`` that takes the place of a `filepath` in a bucket, where no database can lie. Without it
        such a `filepath` is refused.
    warmup_trials
        Trials that are never pruned.
    metadata
        Ignored here; read by kedro-viz.
    """

    _SINGLE_PROCESS = True

    def __init__(
        self,
        filepath: str,
        name: str,
        market: str | None = None,
        instead_of_bucket: dict[str, str] | None = None,
        warmup_trials: int = 5,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._is_moved = instead_of_bucket is not None and is_bucket(filepath)
        if instead_of_bucket is not None and self._is_moved:
            filepath = instead_of_bucket["filepath"]
        what = f"the study {name}, which is a SQLite file or the URL of a database server,"
        self._url = lasting_database(filepath, what)
        self._file = None if self._url is not None else require_local(filepath, what)
        self._name = name if self._url is None or market is None else f"{market}/{name}"
        self._warmup_trials = warmup_trials
        self.metadata = metadata

    def load(self) -> optuna.Study:
        """Open the study.

        Raises
        ------
        ConfigurationError
            When its file is a folder.
        """
        if self._file is not None:
            if self._file.is_dir():
                raise ConfigurationError(f"the study {self._name} cannot be {self._file}, a folder. Name a file in it.")
            self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._is_moved:
            logger.info("The study %s lies in %s, as a bucket can hold none", self._name, self._describe()["filepath"])
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            storage=self._storage,
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

    @property
    def _storage(self) -> str:
        url = self._url if self._file is None else sqlite_url(self._file.resolve())
        # Optuna reads what is in braces as a name of its own.
        return str(url).replace("{", "{{").replace("}", "}}")

    def _exists(self) -> bool:
        if self._file is not None:
            return self._file.is_file()
        return self._name in optuna.get_all_study_names(self._storage)

    def _describe(self) -> dict[str, Any]:
        # A URL may carry a password.
        return {"filepath": str(self._file) if self._url is None else without_secrets(self._url), "name": self._name}

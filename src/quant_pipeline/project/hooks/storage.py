"""The folders that a run writes into: locked while it runs, and swept of what killed runs have left."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.atomic import sweep
from quant_pipeline.common.locks import locked
from quant_pipeline.common.places import LOCAL, Place, is_bucket, path_here, require_local
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

LOCK = ".lock"
REPORTS = "08_reporting"
"""Folder of an account that holds results of research and pages, and nothing that trading reads."""
PATIENCE = 600.0
"""Seconds for which a run waits for another one in the same market or reports: the daily run of another account."""


class Area(NamedTuple):
    """A folder that one run at a time writes into."""

    what: str
    folder: Path
    patience: float


_takes_no_lock: ContextVar[bool] = ContextVar("takes_no_lock", default=False)


@contextmanager
def without_locks() -> Iterator[None]:
    """Let runs of this block go on beside a holder of their folders: an emergency waits for nothing.

    The ledger keeps its writers apart, the lease its senders apart, and files appear complete or not at all.
    """
    token = _takes_no_lock.set(True)
    try:
        yield
    finally:
        _takes_no_lock.reset(token)


def is_emergency() -> bool:
    """Return whether the run is one that waits for nothing, see `without_locks`."""
    return _takes_no_lock.get()


class StorageHooks:
    """Lock what a run writes into, and remove what dead processes have left there.

    A run holds the locks of its account, of the reports of the account and of its market, as far as it writes there:
    research never holds up an execution. An account that is in use refuses the second run at once; a market, which
    several accounts share, and reports are waited for. A run of single namespaces shares the locks with runs of other
    namespaces. Runs that only read are never held up.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._areas: list[Area] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the folders of the account and of the market."""
        names = context.config_loader["globals"]
        # Of a market in a bucket the copy is locked, which keeps the runs of this machine apart.
        market = path_here(context.project_path, names["paths"]["market"])
        account = Path(context.project_path, require_local(names["paths"]["account"], "`paths.account`")).absolute()
        # The account comes first: what refuses at once must not wait before.
        self._areas = [
            Area(f"the account '{names['account']}'", account, 0.0),
            Area(f"the reports of account '{names['account']}'", account / REPORTS, PATIENCE),
            Area(f"the market '{names['market']}'", market, PATIENCE),
        ]

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Take the locks, then sweep.

        Raises
        ------
        BusyError
            When another process runs in the account, or for too long in its reports or in the market.
        StorageError
            When a folder cannot be written.
        """
        self._held.close()
        if is_emergency():
            return
        written = {self._area_of(name, catalog) for name in pipeline.all_outputs()}
        namespaces = run_params.get("namespaces") or []
        with KnownErrorsInOneLine(), ExitStack() as held:
            for what, folder, patience in (area for area in self._areas if area in written):
                held.enter_context(locked(folder / LOCK, what, shared=bool(namespaces), patience=patience))
                # Of a model of a stage only the model: a run of the stage alone, which names no stage, locks the same.
                for namespace in dict.fromkeys(each.rpartition(".")[2] for each in namespaces):
                    held.enter_context(locked(folder / f"{LOCK}.{namespace}", f"{namespace} of {what}"))
                if not namespaces and (removed := sweep(folder)):
                    logger.info("Removed %d leftovers of interrupted runs in %s", len(removed), folder)
            self._held = held.pop_all()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Release the locks."""
        self._held.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Release the locks."""
        self._held.close()

    def _area_of(self, name: str, catalog: CatalogProtocol[Any, Any]) -> Area | None:
        """Innermost folder in which a dataset lies."""
        path = path_of(name, catalog)
        around = [area for area in self._areas if path is not None and path.is_relative_to(area.folder)]
        return max(around, key=lambda area: len(area.folder.parts), default=None)


def path_of(name: str, catalog: CatalogProtocol[Any, Any]) -> Path | None:
    """Path of a dataset on this machine, that of its copy for one in a bucket; None in memory or in a database."""
    dataset = catalog.get(name)
    if isinstance(place := getattr(dataset, "_place", None), Place):
        # What it tells of itself hides secrets, and is no address.
        return place.path.absolute()
    described = {} if dataset is None else dataset._describe()
    address = described.get("filepath")
    if address is None or ("://" in str(address) and not is_bucket(str(address))):
        return None
    if described.get("protocol") not in (None, *LOCAL):
        address = f"{described['protocol']}://{address}"
    return Place.of(str(address)).path.absolute()

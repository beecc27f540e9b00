"""The project as the service answers from it: tables of the catalog, kept in memory while their files are the same."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.cli.opened_project import OpenedProject, Rules, open_project
from quant_pipeline.cli.sessions import Place, configuration_folder
from quant_pipeline.common.exceptions import ConfigurationError, NotReadyError, QuantPipelineError
from quant_pipeline.common.parameters import as_configured
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.project.model_registry import use_config_loader
from quant_pipeline.service.answers import Known
from quant_pipeline.service.faults import FAULTS
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules

Value = TypeVar("Value")
MARKET = ("bars", "corporate_actions", "sessions")
"""Datasets whose files say which market an answer is of."""
PLACES = ("_folder", "_filepath")
"""Attributes in which datasets keep their folder or file."""
LOOK = 0.25
"""Seconds between two looks at the files of the configuration and the ledger."""
SECONDS = 60.0
"""How long a configuration is believed whose files are the same: the session of an account moves with the clock."""
AGAIN = 30.0
"""After how many seconds one that could not be read is read again although its files are the same."""


class Stamp(NamedTuple):
    """A file as it was found: place, size in bytes, and time of its last change in nanoseconds."""

    place: str
    size: int
    changed: int


class Kept(NamedTuple):
    """Something that was computed from files, and what those files were."""

    files: tuple[Any, ...]
    value: Any


class ServedProject:
    """Configuration, tables and account of one environment; all of them follow their files.

    Parameters
    ----------
    place
        The project.
    env
        Environment; None: the default one.
    params
        What ``--params`` say.
    """

    def __init__(self, place: Place, env: str | None, params: dict[str, Any]) -> None:
        self.place, self.env, self.params = place, env, params
        self._kept: dict[str, Kept] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.RLock()
        self._parameters: Mapping[str, Any] = {}
        self._rules: dict[str, Any] = {}
        # The file that stops every sender, as the last configuration says that could be read.
        self.stop_file = Path()
        self._since = self._looked = 0.0
        self._fault: Exception | None = None
        self._generation = 0
        self._ledger: Path | None = None
        # What changes while the configuration is read is seen by the next look.
        before = self._stamp_of_configuration()
        self._open()
        self._stamp = [*before, *self._stamp_of_ledger()]

    @property
    def project(self) -> OpenedProject:
        """Configuration and catalog as they are now."""
        with self._guard:
            if time.monotonic() - self._looked > LOOK:
                self._look()
            if self._fault is not None:
                raise self._fault.with_traceback(None)
            return self._opened

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All parameters as they are now; shared: do not write into them."""
        with self._guard:
            self.project  # noqa: B018 - looks whether the files are still the same
            return self._parameters

    def rules(self, block: str, kind: type[Rules]) -> Rules:
        """Return a block of the parameters, read once per configuration."""
        project = self.project
        with self._guard:
            if block not in self._rules:
                self._rules[block] = project.rules(block, kind)
            rules: Rules = self._rules[block]
            return rules

    @property
    def environment(self) -> str:
        """Name of the environment."""
        return self._opened.configuration.environment

    @property
    def account(self) -> Opened:
        """The account; its ledger is read when it is asked for, so it is the newest each time."""
        return Opened(self.project)

    @property
    def folder(self) -> Path:
        """Folder in that of the account in which the service keeps what is its own."""
        return self.stop_file.parent / "service"

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the catalog. It is shared: do not write into it.

        Raises
        ------
        NotReadyError
            When it was not made yet.
        """
        table: pd.DataFrame = self.kept(name, (name,), lambda: self._load(name))
        return table

    def has(self, name: str) -> bool:
        """Return whether a table was made."""
        catalog = self.project.catalog
        return name in catalog and catalog.exists(name)

    def kept(self, key: str, datasets: tuple[str, ...], compute: Callable[[], Value], question: Any = None) -> Value:
        """Return what was computed before from the same files, or compute it now, once for all who ask at that time.

        Parameters
        ----------
        key
            What it is; of each thing the last one is kept.
        datasets
            What it is computed from.
        compute
            Computes it.
        question
            What else it depends on.
        """
        catalog = self.project.catalog
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            # What is computed while the parameters change is of the former ones.
            files = (self._generation, question, *(_file_of(catalog.get(name)) for name in datasets))
            found = self._kept.get(key)
            if found is None or found.files != files:
                found = self._kept[key] = Kept(files, compute())
            value: Value = found.value
            return value

    @property
    def known(self) -> Known:
        """Session of the newest bars, and the hash of the files of the market."""
        if not self.has("sessions"):
            return Known(None, "")

        def look() -> Known:
            return Known(f"{self.calendar[-1]:%Y-%m-%d}", self.fingerprint(*MARKET))

        return self.kept("market known", MARKET, look)

    def fingerprint(self, *datasets: str) -> str:
        """Return the hash of size and time of the files of some datasets."""
        catalog = self.project.catalog
        # Without the folder: a project that was moved has the same market.
        stamps = [_file_of(catalog.get(name)) for name in datasets]
        files = [found and (Path(found.place).name, found.size, found.changed) for found in stamps]
        return hashlib.blake2b(json.dumps(files).encode(), digest_size=8).hexdigest()

    def written(self, *datasets: str) -> pd.Timestamp | None:
        """Return when the files of some datasets were written last, UTC; None when there are none."""
        catalog = self.project.catalog
        found = [stamp.changed for name in datasets if (stamp := _file_of(catalog.get(name))) is not None]
        return pd.Timestamp(max(found), unit="ns", tz="UTC") if found else None

    @property
    def calendar(self) -> pd.DatetimeIndex:
        """Sessions of the market, up to the newest one that was ingested."""
        return pd.DatetimeIndex(self.table("sessions")["date"])

    def market_tables(self) -> MarketTables:
        """Return the market as every backtest is given it."""
        names = ("bars", "corporate_actions", "sessions", "benchmark", "instruments")
        return MarketTables(*(self.table(name) for name in names))

    def trading_rules(self) -> TradingRules:
        """Return the rules of the account."""
        return TradingRules(
            self.rules("strategy", StrategyRules),
            self.rules("market_rules", MarketRules),
            self.rules("cost_rules", CostRules),
            self.rules("account", AccountParameters),
        )

    def parameters_hash(self) -> str:
        """Return the hash of all parameters: part of the question of every job."""
        with self._guard:
            self.project  # noqa: B018 - looks whether the files are still the same
            return self._hash

    def _look(self) -> None:
        """Open the project again when its files have changed; one that cannot be opened is tried again when they do."""
        self._looked = time.monotonic()
        stamp = self._stamp_of_now()
        if stamp == self._stamp and self._looked - self._since <= (SECONDS if self._fault is None else AGAIN):
            return
        self._stamp, self._since, self._fault = stamp, self._looked, None
        try:
            self._open()
        except QuantPipelineError as error:
            self._fault = error
        except FAULTS as error:
            text = f"the configuration of environment '{self.environment}' cannot be read: {error}. Correct it."
            self._fault = ConfigurationError(text)

    def _open(self) -> None:
        """Read the configuration; what was computed by other parameters, or up to another session, is forgotten."""
        with ExitStack() as stack:
            opened = stack.enter_context(open_project(self.place, self.env, self.params, logs=False))
        parameters, account = opened.parameters, Opened(opened)
        # All of it is read before any of it counts.
        stop_file, ledger = account.stop_file, account.ledger.file
        if parameters != self._parameters:
            self._kept.clear()
            self._generation += 1
        text = json.dumps(as_configured(parameters), sort_keys=True)
        self._hash = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._opened, self._parameters, self._rules = opened, parameters, {}
        self.stop_file, self._ledger = stop_file, ledger
        self._since = self._looked = time.monotonic()
        use_config_loader(opened.configuration)

    def _stamp_of_now(self) -> list[Stamp]:
        return [*self._stamp_of_configuration(), *self._stamp_of_ledger()]

    def _stamp_of_configuration(self) -> list[Stamp]:
        return stamps_of(sorted(configuration_folder(self.place).rglob("*.yml")))

    def _stamp_of_ledger(self) -> list[Stamp]:
        ledger = self._ledger
        # What is appended stands in the write-ahead log beside the ledger first.
        return stamps_of([] if ledger is None else [ledger, ledger.with_name(f"{ledger.name}-wal")])

    def _load(self, name: str) -> Any:
        if not self.has(name):
            raise NotReadyError(
                f"'{name}' was not made yet in environment '{self.environment}'. Run the pipeline that makes it: "
                f"`kedro run --env {self.environment}` makes everything"
            )
        return self.project.catalog.load(name)


def stamps_of(files: Iterable[Path]) -> list[Stamp]:
    """Return place, size and time of the files that are there."""
    found = []
    for file in files:
        # A write-ahead log goes when the last reader of the ledger does, at any moment.
        with suppress(OSError):
            facts = file.stat()
            found.append(Stamp(str(file), facts.st_size, facts.st_mtime_ns))
    return found


def _file_of(dataset: Any) -> Stamp | None:
    """Return place, size and time of the file of a dataset, or of the manifest of a folder; None when there is none."""
    place = next((found for name in PLACES if (found := getattr(dataset, name, None))), None)
    if place is None:
        return None
    path = Path(str(place))
    return next(iter(stamps_of([path / "_manifest.json" if path.is_dir() else path])), None)

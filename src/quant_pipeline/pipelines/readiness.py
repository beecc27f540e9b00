"""What a run needs is looked at before it writes anything; everything that is missing is one message."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import naming_environment
from quant_pipeline.common.exceptions import ConfigurationError, NotReadyError, QuantPipelineError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    import pandas as pd
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from quant_pipeline.models.bundle import BundleFacts
    from quant_pipeline.models.store import Aliases
    from quant_pipeline.project.configuration import ProjectConfigLoader

logger = logging.getLogger(__name__)

SPARE = 64 * 2**20
"""Bytes that stay free on the disk beside what a run writes again."""
LABELLED = "score_latest"
"""Node that scores with a champion."""


class ReadinessHooks:
    """Refuse a run that would stop half-way: the ledger has moved by then, and the orders are missing.

    Looked at are the session and how far the market reaches, whether models have instruments to order, every stored
    table that the run reads and does not make, the champions that score, what they predict, from which factors, and
    until when they have learned, the age of weights that follow the last sessions, the source of orders, and the space
    on the disk.
    """

    def __init__(self) -> None:
        self._environment: str | None = None
        self._config: ProjectConfigLoader | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the environment and its configuration."""
        from quant_pipeline.project.configuration import ProjectConfigLoader

        loader = context.config_loader
        self._environment, self._config = context.env, loader if isinstance(loader, ProjectConfigLoader) else None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Stop with all remedies before anything is written.

        Raises
        ------
        NotReadyError
            When several things are missing.
        QuantPipelineError
            When one is; what it is.
        """
        from quant_pipeline.project.hooks.storage import is_emergency

        # What nodes whose outputs are there would read is not needed; an emergency waits for nothing.
        if run_params.get("only_missing_outputs") or is_emergency() or self._config is None:
            return
        found = list(problems_of(pipeline, catalog, self._config))
        if not found:
            return
        with naming_environment(self._environment):
            if len(found) == 1:
                raise found[0]
            listed = " ".join(f"({number}) {error.message}" for number, error in enumerate(found, start=1))
            raise NotReadyError(f"nothing was written, because {len(found)} things are missing: {listed}")


def problems_of(
    pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], configuration: ProjectConfigLoader
) -> Iterator[QuantPipelineError]:
    """Return everything that a run of a pipeline would lack now."""
    return _Needs(pipeline, catalog, configuration).problems()


class _Needs:
    """What one run needs."""

    def __init__(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], configuration: ProjectConfigLoader
    ) -> None:
        self._inputs = pipeline.inputs()
        self._outputs = pipeline.all_outputs()
        self._nodes = {node.short_name for node in pipeline.nodes}
        self._catalog, self._config = catalog, configuration
        self._parameters = configuration["parameters"]

    def problems(self) -> Iterator[QuantPipelineError]:
        for check in (
            self._session,
            self._instruments,
            self._datasets,
            self._champions,
            self._weights,
            self._source,
            self._disk,
        ):
            try:
                yield from check()
            except QuantPipelineError as error:
                yield error

    def _load(self, name: str) -> Any:
        """Load a dataset without the line that the catalog logs."""
        dataset = self._catalog.get(name)
        return None if dataset is None else dataset.load()

    @cached_property
    def _stored_sessions(self) -> pd.DataFrame | None:
        """The calendar as far as the market reaches, where the run reads it: making it takes longer than all checks."""
        is_read = "sessions" in self._inputs and self._catalog.exists("sessions")
        sessions: pd.DataFrame | None = self._load("sessions") if is_read else None
        return sessions

    def _sessions_since(self, first: pd.Timestamp) -> pd.DataFrame:
        """Return the sessions from a date, or an earlier one, up to ``as_of``, as the table that ingestion makes."""
        import pandas as pd

        from quant_pipeline.market.calendar import TradingCalendar

        as_of, stored = pd.Timestamp(self._parameters["as_of"]), self._stored_sessions
        if stored is not None and len(stored) and stored["date"].min() <= first and stored["date"].max() >= as_of:
            return stored
        calendar = TradingCalendar.of(self._parameters["market_rules"]["calendar"], min(first, as_of), as_of)
        return pd.DataFrame({"date": calendar.sessions})

    def _session(self) -> Iterator[QuantPipelineError]:
        """Check that ``as_of`` is a session, and that the market reaches it where the run brings no newer one."""
        import pandas as pd

        from quant_pipeline.common.exceptions import StaleDataError
        from quant_pipeline.market.calendar import TradingCalendar, require_session
        from quant_pipeline.market.point_in_time import known_at
        from quant_pipeline.project.market_files import last_bar

        if "params:as_of" not in self._inputs:
            return
        session = pd.Timestamp(self._parameters["as_of"])
        stored = self._stored_sessions
        if stored is None or session not in pd.DatetimeIndex(stored["date"]):
            require_session(TradingCalendar.of(self._parameters["market_rules"]["calendar"], session, session), session)
        if stored is not None:
            known_at(session, stored)
        last = last_bar(self._config) if "market_source" in self._inputs else None
        if last is not None and last < f"{session:%Y-%m-%d}":
            yield StaleDataError(
                f"the bars end on {last}, before as_of={session:%Y-%m-%d}. Bring newer bars, or pass --params "
                f"as_of={last}."
            )

    def _instruments(self) -> Iterator[QuantPipelineError]:
        """Check that models which are to be trained on the market that is read have instruments to order."""
        from quant_pipeline.common.exceptions import ModelError
        from quant_pipeline.project.market_files import only_instrument

        if "train_model" not in self._nodes or "market_source" not in self._inputs:
            return
        name = only_instrument(self._config)
        if name is not None:
            yield ModelError(
                f"the market has one instrument, {name}, and models learn to order the instruments of a session. Bring "
                "more, or run the stages that need no model, with scores of your own: `--pipelines "
                "ingestion,post_trade,order_generation --params order_generation.source=file,scores=FILE` "
                "(docs/guides/account.md)."
            )

    def _datasets(self) -> Iterator[QuantPipelineError]:
        """Find stored tables and documents that the run reads, does not make, and that are not there."""
        from quant_pipeline.common.exceptions import StaleDataError
        from quant_pipeline.datasets import atomic
        from quant_pipeline.datasets.panel import YearlyPanel
        from quant_pipeline.project.backtest_folder import changed_parameters
        from quant_pipeline.project.hooks.errors import describe_missing, stage_that_makes

        stored = (atomic.ParquetTable, atomic.JsonDocument, atomic.TextDocument, atomic.Figure, YearlyPanel)
        missing: dict[str | None, list[str]] = {}
        for name in sorted(self._inputs):
            dataset = self._catalog.get(name)
            if getattr(dataset, "is_optional", False):
                continue  # Nothing is an answer, too.
            if isinstance(dataset, stored) and not self._catalog.exists(name):
                missing.setdefault(stage_that_makes(name), []).append(name)
        for stage, names in missing.items():
            # The backtest of other parameters than the account's lies elsewhere.
            given = changed_parameters(self._config.runtime_params) if stage == "backtest" else ()
            yield StaleDataError(describe_missing(names, stage, given))

    def _champions(self) -> Iterator[QuantPipelineError]:
        """Find models that have to score and have no champion, a damaged one, or one that cannot score this session."""
        import pandas as pd

        from quant_pipeline.common.exceptions import ModelError
        from quant_pipeline.datasets.bundle import ModelBundles
        from quant_pipeline.exchange.rules import MarketRules
        from quant_pipeline.pipelines.prediction.nodes import require_factors, require_label, require_not_learned

        untrained, session = [], pd.Timestamp(self._parameters["as_of"])
        for name in sorted(self._inputs):
            dataset = self._catalog.get(name)
            if not isinstance(dataset, ModelBundles) or dataset.is_optional:
                continue
            if not dataset.exists():
                untrained.append(name.partition(".")[0])
                continue
            try:
                facts = dataset.load_facts()
                if facts is not None and LABELLED in self._nodes:
                    require_label(facts, MarketRules.model_validate(self._parameters["market_rules"]).deal_price)
                    require_factors(facts, self._computed_as(name.partition(".")[0]))
                    require_not_learned(facts, session)
                    self._say_who_was_champion(name.partition(".")[0], dataset.store.aliases)
                    self._say_what_it_predicts(name.partition(".")[0], facts)
            except QuantPipelineError as error:
                yield error
        if untrained:
            yield ModelError(
                f"there is no champion of {first_of(untrained)}; train "
                f"{'it' if len(untrained) == 1 else 'them'} first: `kedro run --pipelines training`, or take the "
                "model out of the combinations of parameters_ensemble.yml."
            )

    def _computed_as(self, model: str) -> dict[str, str]:
        """Return the expressions of the factors that a model is going to read."""
        from quant_pipeline.factors.feature_sets import find_feature_set

        entry = self._parameters["models"].get(model)
        name = entry.get("features") if isinstance(entry, dict) else None
        configured = self._parameters.get("feature_sets") or {}
        return find_feature_set(str(name), configured).computed_expressions() if name else {}

    def _say_who_was_champion(self, model: str, aliases: Aliases) -> None:
        """Name the champion of an old session where the present one, which is going to score it, came later."""
        session = str(self._parameters["as_of"])
        then = aliases.champion_at(session)
        if then not in (None, aliases.champion):
            logger.warning(
                "%s: champion %s scores %s, although it has been champion since %s only; then it was %s, which "
                "`kedro models as-of %s` brings back",
                model, aliases.champion, session, aliases.since, then, session,
            )  # fmt: skip

    def _say_what_it_predicts(self, model: str, facts: BundleFacts) -> None:
        """Name a champion that was trained for another label than the parameters ask for by now."""
        from quant_pipeline.factors.labels import describe_label, expression_of
        from quant_pipeline.factors.model_label import ModelLabel

        entry = self._parameters["models"].get(model, {})
        own = entry.get("label") if isinstance(entry, dict) else None
        label = ModelLabel.model_validate(own or {"horizon": 1, **self._parameters["label"]})
        wanted = expression_of(label, self._parameters["market_rules"]["deal_price"])
        if facts.label != wanted:
            logger.warning(
                "%s predicts the return of %s, and the parameters ask for %s by now; train it for that: `kedro run "
                "--pipelines features,training,ensemble,backtest`",
                model, describe_label(facts.label), describe_label(wanted),
            )  # fmt: skip

    def _weights(self) -> Iterator[QuantPipelineError]:
        """Find weights of other models, and those that follow the last sessions and should have been renewed."""
        import pandas as pd

        from quant_pipeline.pipelines.ensemble.nodes import require_fresh_weights
        from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

        if "ensemble_weights" not in self._inputs or not self._catalog.exists("ensemble_weights"):
            return
        ensemble = EnsembleParameters.model_validate(self._parameters["ensemble"])
        weights = self._load("ensemble_weights")
        sessions = self._sessions_since(weights["session"].min())
        require_fresh_weights(weights, ensemble, sessions, pd.Timestamp(self._parameters["as_of"]))
        yield from ()

    def _source(self) -> Iterator[QuantPipelineError]:
        """Check that what is to become orders is a combination, a model, or a file with scores of the session."""
        import pandas as pd

        from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
        from quant_pipeline.pipelines.order_generation.parameters import FILE, FUSED
        from quant_pipeline.pipelines.order_generation.sources import choose_source, scores_by_source

        if "generate_orders" not in self._nodes:
            return
        source = self._parameters["order_generation"]["source"]
        combinations = EnsembleParameters.model_validate(self._parameters["ensemble"]).enabled
        models = [name for name, entry in self._parameters["models"].items() if _enabled(entry)]
        if source not in (FUSED, FILE, *combinations, *models):
            yield ConfigurationError(
                f"order_generation.source is '{source}', which is neither a combination nor a model in use; there are "
                f"{first_of((FUSED, *combinations, *models, FILE))}."
            )
        if source == FILE:
            sources = scores_by_source(None, {}, self._load("score_file"))
            ensemble = EnsembleParameters.model_validate(self._parameters["ensemble"])
            deal_price = self._parameters["market_rules"]["deal_price"]
            choose_source(sources, FILE, ensemble, pd.Timestamp(self._parameters["as_of"]), deal_price)

    def _disk(self) -> Iterator[QuantPipelineError]:
        """Check that what the run writes fits: every file is written beside the one that it replaces."""
        from quant_pipeline.common.exceptions import StorageError
        from quant_pipeline.project.hooks.storage import path_of

        needed: dict[int, tuple[Path, int]] = {}
        for path in filter(None, (path_of(name, self._catalog) for name in self._outputs)):
            place = next(each for each in (path, *path.parents) if each.exists())
            _, so_far = needed.get(place.stat().st_dev, (place, 0))
            needed[place.stat().st_dev] = place, so_far + _size_of(path)
        for place, size in needed.values():
            free = shutil.disk_usage(place).free
            if free < size + SPARE:
                yield StorageError(
                    f"the disk of {place} has {free / 2**20:,.0f} MB free, and this run needs about "
                    f"{(size + SPARE) / 2**20:,.0f} MB. Free some, then run it again."
                )


def _enabled(entry: Any) -> bool:
    return bool(entry.get("enabled", True) if isinstance(entry, dict) else entry.enabled)


def _size_of(path: Path) -> int:
    """Bytes of a file; of the largest file of a folder, whose files are written one by one."""
    if not path.is_dir():
        return path.stat().st_size if path.is_file() else 0
    largest, folders = 0, [str(path)]
    while folders:
        # A Qlib provider has eight files an instrument, for which paths take longer than their states.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file():
                    largest = max(largest, entry.stat().st_size)
    return largest

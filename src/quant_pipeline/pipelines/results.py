"""What a run of single stages ends with: its result in a few lines, where it lies, and the next command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.places import LOCAL
from quant_pipeline.project.backtest_folder import OWN_SEARCH

if TYPE_CHECKING:
    import pandas as pd
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

logger = logging.getLogger(__name__)

LISTED = 5
NEXT = "Next: "


@dataclass(frozen=True)
class Made:
    """What a run has made.

    Attributes
    ----------
    outputs
        Names of its datasets.
    catalog
        Where they are.
    parameters
        All parameters, plain.
    champions
        Champion by model before the run.
    project
        Folder of the project.
    """

    outputs: set[str]
    catalog: CatalogProtocol[Any, Any]
    parameters: Mapping[str, Any]
    project: Path
    champions: Mapping[str, str] = field(default_factory=dict)

    def load(self, name: str) -> Any:
        """Load a dataset without the line that the catalog logs."""
        dataset = self.catalog.get(name)
        return None if dataset is None else dataset.load()

    def of_models(self, suffix: str) -> Iterator[tuple[str, Any]]:
        """Yield model and dataset of every output of a kind: ``.metrics``."""
        for name in sorted(self.outputs):
            if name.endswith(suffix):
                yield name.removesuffix(suffix), self.load(name)

    def candidate(self, model: str) -> str:
        """Return the newest version of a model."""
        from quant_pipeline.datasets.bundle import ModelBundles

        dataset = self.catalog.get(f"{model}.bundle@candidate")
        return str(dataset.store.aliases.candidate) if isinstance(dataset, ModelBundles) else ""

    def path(self, name: str) -> str:
        """Return the path of a dataset, from the folder of the project."""
        dataset = self.catalog.get(name)
        described = Path(str(getattr(dataset, "_filepath", name)))
        if (protocol := getattr(dataset, "_protocol", LOCAL[0])) not in LOCAL:
            return f"{protocol}://{described}"
        return str(described.relative_to(self.project)) if described.is_relative_to(self.project) else str(described)

    @property
    def combination(self) -> str:
        """The combination whose score becomes orders."""
        return self._ensemble.default

    @property
    def members(self) -> list[str]:
        """Models of the combinations that are in use."""
        return self._ensemble.members

    @property
    def _ensemble(self) -> EnsembleParameters:
        from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

        return EnsembleParameters.model_validate(self.parameters["ensemble"])

    @property
    def as_of(self) -> str:
        """The session of the run."""
        return str(self.parameters["as_of"])


class ResultHooks:
    """Print the results of the stages of a run; a run with a report ends with its summary instead."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._champions: dict[str, str] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the context."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Remember who the champions were, where models are trained."""
        trains = any(name.endswith(".bundle@candidate") for name in pipeline.all_outputs())
        dataset = catalog.get("champions") if trains and logger.isEnabledFor(logging.INFO) else None
        self._champions = dataset.load() if dataset is not None else {}

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Print the result of every stage that has run."""
        outputs = pipeline.all_outputs()
        if self._context is None or "run_summary" in outputs or not logger.isEnabledFor(logging.INFO):
            return
        parameters = self._context.config_loader["parameters"]
        made = Made(outputs, catalog, parameters, Path(self._context.project_path), self._champions)
        lines = [line for dataset, describe in RESULTS if _has(outputs, dataset) for line in describe(made)]
        results = [line for line in lines if not line.startswith(NEXT)]
        # Only what follows the last stage of the run is next.
        for line in (*results, *[line for line in lines if line.startswith(NEXT)][-1:]):
            click.echo(in_environment(line, self._context.env))


def _has(outputs: set[str], dataset: str) -> bool:
    """Return whether a dataset has been made; one that begins with a point is that of any model."""
    return dataset in outputs or (dataset[0] == "." and any(name.endswith(dataset) for name in outputs))


def _span(table: pd.DataFrame) -> str:
    return f"{table['date'].iloc[0]:%Y-%m-%d} to {table['date'].iloc[-1]:%Y-%m-%d}"


def _rank_ic(metrics: Mapping[str, float]) -> str:
    mean, t = f"{metrics['rank_ic']:+.4f}", f"{metrics['rank_ic_t']:.1f}"
    return f"rank IC {mean} over {metrics['sessions']:.0f} test sessions (t = {t})"


def _ingestion(made: Made) -> Iterator[str]:
    sessions, quality = made.load("sessions"), made.load("data_quality")
    members = made.load("universe_members")
    last = members[members["date"] == members["date"].max()]
    errors = int((quality["severity"] == "error").sum())
    yield (
        f"Market: {len(sessions):,} sessions, {_span(sessions)}, "
        f"{len(last)} members of the universe; {errors} errors and {len(quality) - errors} notes in the data "
        f"({made.path('data_quality')})"
    )
    yield "Next: kedro run --pipelines features,training"


def _features(made: Made) -> Iterator[str]:
    labels = made.load("labels")["label"]
    realised = labels.dropna().index.get_level_values("datetime")
    until = f", up to {realised.max():%Y-%m-%d}" if len(realised) else ""
    yield f"Labels: {len(realised):,} realised{until}; {labels.isna().sum():,} not yet"


def _training(made: Made) -> Iterator[str]:
    now, trained = made.load("champions"), []
    for model, metrics in made.of_models(".metrics"):
        candidate = made.candidate(model)
        yield (f"{model}: {_rank_ic(metrics)}; {_role(model, candidate, made.champions.get(model), now.get(model))}")
        trained.append(model)
    members = made.members
    unused = [model for model in trained if model not in members]
    if unused:
        names = ",".join(dict.fromkeys([*members, *unused]))
        them = "it" if len(unused) == 1 else "them"
        yield (
            f"No combination has {' and '.join(unused)}: orders do not follow from {them} until one of "
            "parameters_ensemble.yml does"
        )
        yield f"Next: kedro run --pipelines ensemble,backtest --params ensemble.models=[{names}]"
    else:
        yield "Next: kedro run --pipelines ensemble,backtest,prediction"


def _role(model: str, candidate: str, before: str | None, now: str | None) -> str:
    """Say whether the champion has changed."""
    if candidate != now:
        return f"champion {now} stays, candidate {candidate} waits: kedro models promote {model}"
    if before == now:
        return f"champion {now} as before"
    return f"champion {now} scores from now on, after {before}" if before else f"champion {now}, the first one"


def _prediction(made: Made) -> Iterator[str]:
    fused = made.load("latest_fused_scores")
    yield (
        f"Scores of {made.as_of}: {fused['instrument'].nunique()} instruments, fused by "
        f"{first_of(fused['combination'].unique())}"
    )
    yield f"Next: kedro run --pipelines post_trade,order_generation --params as_of={made.as_of}"


def _ensemble(made: Made) -> Iterator[str]:
    default = made.combination
    series, weights = made.load("ic_series"), made.load("ensemble_weights")
    known = series.loc[series["model"] == "fused", "rank_ic"].dropna()
    own = weights[weights["combination"] == default].sort_values("weight", ascending=False)
    shares = first_of(f"{row.model} {row.weight:.0%}" for row in own.itertuples())
    horizon = int(made.parameters["label"].get("horizon", 1))
    returns = f"returns of {horizon} session{'' if horizon == 1 else 's'}"
    yield f"{default}: rank IC {known.mean():+.4f} over {len(known)} test sessions, on {returns}; weights {shares}"
    yield "Next: kedro run --pipelines backtest"


def _backtest(made: Made) -> Iterator[str]:
    performance, nav = made.load("backtest_performance"), made.load("backtest_nav")
    folder = str(Path(made.path("backtest_nav")).parent)
    yield (
        f"Backtest of {made.combination}, {_span(nav)}: return "
        f"{performance['annualised_return']:.1%} per year, benchmark {performance['benchmark_annualised_return']:.1%}, "
        f"Sharpe ratio {performance['sharpe']:.2f}, maximum drawdown {performance['maximum_drawdown']:.1%}; in {folder}"
    )
    is_own = Path(folder).name == "backtest"
    yield "Next: kedro run --pipelines reporting" if is_own else f"Next: kedro backtest compare own {Path(folder).name}"


def _search(made: Made) -> Iterator[str]:
    verdict = made.load("search_verdict")
    yield (
        f"Best of {verdict['trials']} combinations: {verdict['chosen']}, Sharpe ratio "
        f"{verdict['excess_sharpe']:.2f} over the benchmark. That it is the best is {verdict['verdict']}"
    )
    page = made.path("search_page")
    yield f"Page: {page}"
    if Path(page).parent.name != OWN_SEARCH:
        yield "It is by other rules than the account's, so `kedro ensemble adopt` does not take it"
    elif verdict["verdict"] == "probably skill":
        yield "Next: kedro ensemble adopt searched"
    else:
        yield "Keep the simplest combination; `kedro ensemble adopt searched` takes the best one all the same"


def _factors(made: Made) -> Iterator[str]:
    for row in made.load("factor_summary").head(LISTED).itertuples():
        yield (
            f"{row.factor}: rank IC {row.rank_ic:+.4f} (t = {row.rank_ic_t:.1f}), spread {row.spread:+.2%} per "
            f"{row.horizon} session{'' if row.horizon == 1 else 's'} (t = {row.spread_t:.1f})"
        )
    yield f"Page: {made.path('factor_page')}"


def _signal(made: Made) -> Iterator[str]:
    known, performance = made.load("signal_information").iloc[0], made.load("signal_performance")
    yield (
        f"{made.parameters['signal_evaluation']['signal']}: rank IC {known['rank_ic']:+.4f} "
        f"(t = {known['rank_ic_t']:.1f}); "
        f"backtest {_span(made.load('signal_nav'))}: return {performance['annualised_return']:.1%} per year, benchmark "
        f"{performance['benchmark_annualised_return']:.1%}, Sharpe ratio {performance['sharpe']:.2f}"
    )
    yield f"Page: {made.path('signal_page')}"


def _models(made: Made) -> Iterator[str]:
    advised = {model: health["reasons"] for model, health in made.of_models("_health") if health["reasons"]}
    for model, reasons in advised.items():
        yield f"{model}: {'; '.join(reasons)}"
    if not advised:
        yield "None of the models has to be trained again"
    yield f"Page: {made.path('model_page')}"


def _walks(made: Made) -> Iterator[str]:
    for model, metrics in made.of_models(".rolling_metrics"):
        yield f"{model}: {_rank_ic(metrics)}"


def _cross_validation(made: Made) -> Iterator[str]:
    for model, splits in made.of_models(".cross_validation"):
        yield (
            f"{model}: rank IC {splits['rank_ic'].mean():+.4f} on average of {len(splits)} splits, "
            f"{splits['rank_ic'].min():+.4f} to {splits['rank_ic'].max():+.4f}"
        )


def _tuning(made: Made) -> Iterator[str]:
    for model, best in made.of_models(".best_hyper"):
        values = ", ".join(f"{name} {value}" for name, value in best["hyper"].items())
        yield f"{model}: rank IC {best['rank_ic']:+.4f} with {values}; in {made.path(f'{model}.best_hyper')}"


def _post_trade(made: Made) -> Iterator[str]:
    nav, trades = made.load("account_nav"), made.load("trade_log")
    newest = nav.iloc[-1]
    done = int(((trades["date"] == newest["date"]) & (trades["quantity"] > 0)).sum())
    yield (
        f"Account at the close of {newest['date']:%Y-%m-%d}: {done} trades in the session, net asset value "
        f"{newest['nav']:,.2f}, cash {newest['cash']:,.2f}"
    )
    if "orders" not in made.outputs:
        yield f"Next: kedro run --pipelines order_generation --params as_of={made.as_of}"


def _orders(made: Made) -> Iterator[str]:
    counts = made.load("orders")["side"].value_counts()
    yield (
        f"Orders decided at the close of {made.as_of}: "
        f"{', '.join(f'{counts.get(side, 0)} {side}' for side in ('sell', 'buy', 'hold'))}; {made.path('orders_csv')}"
    )
    yield from _schedule(made)
    yield f"Next: kedro run --pipelines execution --params as_of={made.as_of},dry_run=true"


def _schedule(made: Made) -> Iterator[str]:
    """Say when the strategy decides, where it does not decide at this close."""
    import pandas as pd

    from quant_pipeline.market.calendar import TradingCalendar
    from quant_pipeline.pipelines.reporting.context import decides_at
    from quant_pipeline.strategy.schedule import Schedule, decides_on

    schedule = Schedule.model_validate(made.parameters["strategy"].get("schedule", {}))
    session = pd.Timestamp(made.as_of)
    calendar = TradingCalendar.of(made.parameters["market_rules"]["calendar"], session, session)
    if not decides_on(calendar, session, schedule):
        yield f"The strategy decides at {decides_at(schedule)}, and this is none: holdings stay"


def _shadow(made: Made) -> Iterator[str]:
    sessions = made.load("shadow_sessions")
    if sessions.empty:
        return
    newest = sessions.iloc[-1]
    yield (
        f"Shadow of {newest['date']:%Y-%m-%d}: the backtest earned {newest['shadow']:+,.2f}, the account "
        f"{newest['account']:+,.2f}; over {len(sessions)} sessions the backtest earned "
        f"{sessions['difference'].sum():+,.2f} more ({made.path('shadow_sessions')})"
    )


def _analysis(made: Made) -> Iterator[str]:
    summary = made.load("analysis_attribution_summary").set_index("part")["amount"]
    yield f"Profit {summary['profit']:+,.2f}: market {summary['market']:+,.2f}, selection {summary['selection']:+,.2f}"
    yield f"Page: {made.path('analysis_page')}"


def _ranking(made: Made) -> Iterator[str]:
    ranked = made.load("ranking")
    default = made.parameters["ensemble"]["default"]
    source = default if (ranked["source"] == default).any() else ranked["source"].iloc[0]
    best = ranked.loc[ranked["source"] == source, "instrument"].head(LISTED)
    yield f"Ranking of {made.as_of} by {source}: first {', '.join(best)}; {made.path('ranking_csv')}"
    yield f"Page: {made.path('ranking_page')}"


RESULTS: tuple[tuple[str, Callable[[Made], Iterator[str]]], ...] = (
    ("sessions", _ingestion),
    ("labels", _features),
    (".metrics", _training),
    ("ic_series", _ensemble),
    ("backtest_facts", _backtest),
    ("search_page", _search),
    ("factor_page", _factors),
    ("signal_page", _signal),
    ("model_page", _models),
    (".rolling_metrics", _walks),
    (".cross_validation", _cross_validation),
    (".best_hyper", _tuning),
    ("latest_fused_scores", _prediction),
    ("account_nav", _post_trade),
    ("shadow_sessions", _shadow),
    ("orders_csv", _orders),
    ("ranking_page", _ranking),
    ("analysis_page", _analysis),
)
"""A dataset, or how its name ends, and what describes the result of the stage that makes it."""

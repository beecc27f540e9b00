"""A search made ready: market, rules and scores of the selection sessions as exact backtests take them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.combination_engine import CombinationSearch
from quant_pipeline.evaluation.similarity import correlate_scores
from quant_pipeline.evaluation.walk_forward_selection import sharpe_of_periods
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.pipelines.ensemble_search.candidates import SearchSpan, search_span
from quant_pipeline.pipelines.ensemble_search.methods import try_combinations
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.ensemble_search.trials import Chunk, LazyChunks, TrialRunner, Trials, rules_of_phases
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.strategy.rules import StrategyRules

UNINFORMED = "draw"


@dataclass(frozen=True)
class PreparedSearch:
    """Everything that combinations are tried on.

    Attributes
    ----------
    search
        Scores of the candidates and of the draws, on the selection sessions.
    models, draws
        Names, in the order of the scores.
    phases
        The strategy in each phase.
    parameters
        Of the search.
    similarity
        Correlation of the candidates' scores before the first fold.
    """

    search: CombinationSearch
    models: list[str]
    draws: list[str]
    phases: list[StrategyRules]
    parameters: EnsembleSearchParameters
    similarity: pd.DataFrame

    def runner(self, chunks: LazyChunks, *, may_run: bool) -> TrialRunner:
        """Return what backtests combinations here, given the results of earlier runs."""
        names = [*self.models, *self.draws]
        return TrialRunner(self.search, names, self.phases, chunks, may_run, self.parameters.threads)

    def walk(self, runner: TrialRunner) -> Generator[Chunk, None, tuple[Trials, Trials]]:
        """Try the combinations and the draws: yield new results, return all of both."""
        draws = yield from runner.run([(draw,) for draw in self.draws])
        trials = yield from try_combinations(runner, self.models, self.parameters, self.guide, self.similarity)
        return trials, draws

    def guide(self, trials: Trials) -> npt.NDArray[np.float64]:
        """Sharpe ratio of each trial in the periods before the first fold and its embargo."""
        last = self.parameters.first_training_periods - self.parameters.embargo_periods
        return sharpe_of_periods(trials.period_sums, self.sessions_of_periods, 0, last)

    @property
    def sessions_of_periods(self) -> npt.NDArray[np.int64]:
        """Number of sessions with a return of each period: the first lacks one, and the last period may be short."""
        return np.bincount(periods_of(self.search.market.sessions, self.parameters)[1:]).astype(np.int64)


@dataclass(frozen=True)
class SearchInputs:
    """What every stage of a search begins with.

    Attributes
    ----------
    candidate_scores
        Normalised, ``(datetime, instrument) × model``.
    tables, rules
        The market, all of it, and the rules of the account.
    label
        Its horizon decides how long the embargo has to be.
    ensemble_search
        Parameters of the search.
    """

    candidate_scores: pd.DataFrame
    tables: MarketTables
    label: LabelParameters
    rules: TradingRules
    ensemble_search: EnsembleSearchParameters

    @cached_property
    def span(self) -> SearchSpan:
        """Sessions of the search: those it selects on, and the holdout."""
        scored = pd.DatetimeIndex(self.candidate_scores.index.get_level_values("datetime").unique())
        days = pd.DatetimeIndex(self.tables.sessions["date"])
        return search_span(scored, days, self.ensemble_search, self.label.horizon)

    def market(self, *, with_holdout: bool) -> TradingMarket:
        """Build the market of the selection sessions, or of all; nothing later than its last session goes in."""
        return self.tables.market_of(self.span.whole if with_holdout else self.span.selection, self.rules)

    def benchmark_returns(self, market: TradingMarket) -> npt.NDArray[np.float64]:
        """Total return of the benchmark per session, after the tax that the accounts pay on dividends.

        It is 0 in the first session, when no account holds anything yet.
        """
        levels = self.tables.benchmark_levels(market)
        returns: npt.NDArray[np.float64] = levels.pct_change().fillna(0.0).to_numpy(dtype=np.float64)
        return returns

    def prepare(self) -> PreparedSearch:
        """Arrange scores, draws and benchmark on the market of the selection sessions."""
        parameters, rules, market = self.ensemble_search, self.rules, self.market(with_holdout=False)
        models = list(self.candidate_scores.columns)
        days = self.candidate_scores.index.get_level_values("datetime")
        seen = self.candidate_scores[days <= market.sessions[-1]]
        matrices = [market.score_matrix(seen[model].dropna()) for model in models]
        guided_until = (parameters.first_training_periods - parameters.embargo_periods) * parameters.period_sessions
        guided = market.sessions[: max(guided_until, 1)]
        return PreparedSearch(
            search=CombinationSearch(
                scores=np.stack([*matrices, *_draws(matrices, parameters)]),
                market=market,
                rules=rules.strategy,
                cost_rules=rules.cost_rules,
                initial_cash=rules.account.initial_cash,
                benchmark_returns=self.benchmark_returns(market),
                period_of_session=periods_of(market.sessions, parameters),
            ),
            models=models,
            draws=[f"{UNINFORMED} {number}" for number in range(parameters.uninformed_draws)],
            phases=rules_of_phases(rules.strategy, parameters.average_phases),
            parameters=parameters,
            similarity=correlate_scores(seen[seen.index.get_level_values("datetime") <= guided[-1]]),
        )


def _draws(
    matrices: Sequence[npt.NDArray[np.float64]], parameters: EnsembleSearchParameters
) -> list[npt.NDArray[np.float64]]:
    """Draw scores that know nothing, for the instruments that every candidate scores."""
    scored_by_all = np.isfinite(matrices).all(axis=0)
    return [
        np.where(scored_by_all, np.random.default_rng((parameters.seed, number)).random(scored_by_all.shape), np.nan)
        for number in range(parameters.uninformed_draws)
    ]


def periods_of(sessions: pd.DatetimeIndex, parameters: EnsembleSearchParameters) -> npt.NDArray[np.int64]:
    """Return which period each session belongs to."""
    return np.arange(len(sessions), dtype=np.int64) // parameters.period_sessions


def table_of(trials: Trials, draws: Trials) -> pd.DataFrame:
    """Write results as one table: ``combination`` (members joined by " + "), ``size`` (0 for a draw), figures, sums.

    Columns ``sum_<period>`` and ``square_<period>`` are the sums of excess returns and of their squares.
    """
    both = trials.joined_with(draws)
    sizes = [len(members) for members in trials.combinations] + [0] * len(draws.combinations)
    names = [" + ".join(members) for members in both.combinations]
    periods = range(both.period_sums.shape[1])
    sums = pd.DataFrame(both.period_sums[:, :, 0], columns=[f"sum_{number}" for number in periods])
    squares = pd.DataFrame(both.period_sums[:, :, 1], columns=[f"square_{number}" for number in periods])
    head = pd.DataFrame({"combination": pd.array(names, dtype="str"), "size": sizes})
    return pd.concat([head, both.figures, sums, squares], axis=1)


def read_table(table: pd.DataFrame) -> tuple[Trials, Trials]:
    """Read back what :func:`table_of` wrote: combinations and draws."""
    sums = table.filter(regex=r"^sum_\d+$").to_numpy()
    squares = table.filter(regex=r"^square_\d+$").to_numpy()
    figures = table.loc[:, "total_return":"final_value"]
    period_sums = np.stack([sums, squares], axis=-1)
    members = [tuple(name.split(" + ")) for name in table["combination"]]
    is_draw = (table["size"] == 0).to_numpy()

    def part(rows: npt.NDArray[np.bool_]) -> Trials:
        chosen = [names for names, wanted in zip(members, rows, strict=True) if wanted]
        return Trials(chosen, figures[rows].reset_index(drop=True), period_sums[rows])

    return part(~is_draw), part(is_draw)

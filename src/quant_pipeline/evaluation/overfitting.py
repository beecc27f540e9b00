"""How much of a search's best result is luck: deflated Sharpe, probability of overfitting, White's and Hansen's tests.

A search over thousands of combinations finds a splendid backtest in pure noise. Each measure here asks the question in
another way; the verdict follows the most severe. All of them look at the selection period only: out-of-sample returns
have no place here, and none of these functions ranks anything by them.

What they assume: returns of an account are those of single sessions and do not overlap, whatever the horizon of the
labels. The probabilistic and the deflated Sharpe ratio take sessions as independent (skew and fat tails count), the
deflated one takes trials as independent too, which related combinations are not: it is strict. The probability of
backtest overfitting takes blocks as exchangeable. The tests of White and Hansen draw blocks of sessions, so that
dependence over some ten sessions counts.

Sources: Bailey and López de Prado, *The Sharpe Ratio Efficient Frontier* (2012) and *The Deflated Sharpe Ratio* (2014);
Bailey, Borwein, López de Prado and Zhu, *The Probability of Backtest Overfitting* (2017); White, *A Reality Check for
Data Snooping* (2000); Hansen, *A Test for Superior Predictive Ability* (2005).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from quant_pipeline.common.exceptions import ConfigurationError

SkillVerdict = Literal["probably skill", "inconclusive", "probably luck"]

_SPLITS_AT_ONCE = 64


@dataclass(frozen=True)
class OverfittingReport:
    """Measures of one search and their verdict.

    Attributes
    ----------
    probabilistic_sharpe
        Probability that the true Sharpe ratio of the chosen combination exceeds zero, ignoring the search.
    deflated_sharpe
        The same against the Sharpe ratio the best of so many useless trials would show.
    backtest_overfitting
        Probability that the best in one half of the time is below the median in the other.
    reality_check, superior_ability
        p-values of White's and Hansen's tests that no combination beats the benchmark.
    trials
        Number of combinations tried.
    verdict
        The most severe of the single verdicts.
    reasons
        Each measure in words.
    """

    probabilistic_sharpe: float
    deflated_sharpe: float
    backtest_overfitting: float
    reality_check: float
    superior_ability: float
    trials: int
    verdict: SkillVerdict
    reasons: tuple[str, ...]


def report_overfitting(
    returns: pd.DataFrame,
    chosen: str | int,
    trial_sharpes: npt.NDArray[np.float64] | None = None,
    n_blocks: int = 16,
    seed: int = 0,
) -> OverfittingReport:
    """Judge the choice of one combination out of many.

    Parameters
    ----------
    returns
        Excess returns per session of the selection period, one column per combination that competed.
    chosen
        Column that was chosen.
    trial_sharpes
        Sharpe ratios per session of every trial, if more were tried than `returns` holds; by default the columns'.
    n_blocks
        Even number of blocks for :func:`probability_of_backtest_overfitting`.
    seed
        Seed of the bootstrap.
    """
    values = returns.to_numpy(dtype=np.float64)
    own = returns[chosen].to_numpy(dtype=np.float64)
    sharpes = values.mean(axis=0) / values.std(axis=0, ddof=1) if trial_sharpes is None else trial_sharpes
    reality, superior = superior_ability(values, seed)
    return judge_measures(
        probabilistic=probabilistic_sharpe_ratio(own),
        deflated=deflated_sharpe_ratio(own, sharpes),
        overfitting=probability_of_backtest_overfitting(*block_sums(values, n_blocks)),
        reality=reality,
        superior=superior,
        trials=len(sharpes),
    )


def judge_measures(
    probabilistic: float, deflated: float, overfitting: float, reality: float, superior: float, trials: int
) -> OverfittingReport:
    """Give each measure its verdict and the search the most severe of them.

    Parameters
    ----------
    probabilistic, deflated
        Probabilities of :func:`probabilistic_sharpe_ratio` and :func:`deflated_sharpe_ratio`.
    overfitting
        Probability of backtest overfitting.
    reality, superior
        p-values of :func:`superior_ability`.
    trials
        Number of combinations tried.
    """
    judged = (
        _judge("probabilistic Sharpe ratio", probabilistic, 0.95, 0.9),
        _judge(f"Sharpe ratio deflated by {trials} trials", deflated, 0.95, 0.5),
        _judge("probability of backtest overfitting", overfitting, 0.1, 0.3, low_is_good=True),
        _judge("p-value of White's reality check", reality, 0.05, 0.2, low_is_good=True),
        _judge("p-value of Hansen's test", superior, 0.05, 0.2, low_is_good=True),
    )
    severity: tuple[SkillVerdict, ...] = ("probably skill", "inconclusive", "probably luck")
    return OverfittingReport(
        probabilistic_sharpe=probabilistic,
        deflated_sharpe=deflated,
        backtest_overfitting=overfitting,
        reality_check=reality,
        superior_ability=superior,
        trials=trials,
        verdict=max((verdict for verdict, _ in judged), key=severity.index),
        reasons=tuple(text for _, text in judged),
    )


def probabilistic_sharpe_ratio(returns: npt.NDArray[np.float64], threshold: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds a threshold, given skew and fat tails.

    ``Φ((SR - SR*) √(T - 1) / √(1 - γ₃ SR + (γ₄ - 1)/4 SR²))`` with the Sharpe ratios per session.

    Parameters
    ----------
    returns
        Returns per session.
    threshold
        Sharpe ratio per session to exceed.
    """
    return probability_of_sharpe(
        sharpe=float(returns.mean() / returns.std(ddof=1)),
        skew=float(scipy.stats.skew(returns)),
        kurtosis=float(scipy.stats.kurtosis(returns, fisher=False)),
        sessions=len(returns),
        threshold=threshold,
    )


def probability_of_sharpe(sharpe: float, skew: float, kurtosis: float, sessions: int, threshold: float = 0.0) -> float:
    """As :func:`probabilistic_sharpe_ratio`, from the moments of the returns.

    Parameters
    ----------
    sharpe, threshold
        Sharpe ratios per session, observed and to exceed.
    skew, kurtosis
        Third and fourth standardised moment; 0 and 3 for normal returns.
    sessions
        Number of returns.
    """
    spread = np.sqrt(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    return float(scipy.stats.norm.cdf((sharpe - threshold) * np.sqrt(sessions - 1) / spread))


def expected_maximum_sharpe(trial_sharpes: npt.NDArray[np.float64]) -> float:
    """Sharpe ratio the best of so many trials shows when none has any skill.

    ``σ ((1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e)))`` with the spread σ of the trials and Euler's constant γ.
    """
    n_trials = len(trial_sharpes)
    if n_trials < 2:
        return 0.0
    high = scipy.stats.norm.ppf(1 - 1 / n_trials)
    higher = scipy.stats.norm.ppf(1 - 1 / (n_trials * math.e))
    return float(np.std(trial_sharpes, ddof=1) * ((1 - np.euler_gamma) * high + np.euler_gamma * higher))


def deflated_sharpe_ratio(returns: npt.NDArray[np.float64], trial_sharpes: npt.NDArray[np.float64]) -> float:
    """Probabilistic Sharpe ratio against the best of as many useless trials."""
    return probabilistic_sharpe_ratio(returns, expected_maximum_sharpe(trial_sharpes))


def block_sums(
    returns: npt.NDArray[np.float64], n_blocks: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum returns and their squares over consecutive blocks of sessions.

    Parameters
    ----------
    returns
        Sessions × combinations.
    n_blocks
        Number of blocks, as equal as possible.

    Returns
    -------
    tuple of numpy.ndarray
        Combinations × blocks × (sum, sum of squares), and the sessions of each block: the form in which a search over
        combinations streams its results.
    """
    parts = np.array_split(returns, n_blocks)
    sums = np.stack([np.stack([part.sum(axis=0), (part**2).sum(axis=0)], axis=-1) for part in parts], axis=1)
    return sums, np.array([len(part) for part in parts], dtype=np.int64)


def probability_of_backtest_overfitting(period_sums: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64]) -> float:
    """Share of splits in which the best of one half is below the median of the other (CSCV).

    On pure noise the value is near 0.5.

    Parameters
    ----------
    period_sums, sessions
        As in :func:`overfitting_logits`.

    Raises
    ------
    ConfigurationError
        If there are fewer than two combinations, or the number of blocks is odd.
    """
    return float((overfitting_logits(period_sums, sessions) <= 0).mean())


def overfitting_logits(
    period_sums: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Logit of the rank that the best of one half has in the other, one for every choice of half of the blocks.

    Every choice is the selection once, the other half the test; performance is the Sharpe ratio. The rank ω counts
    from 0 (last) to 1 (best) and its logit is ``log(ω / (1 - ω))``, negative below the median.

    Parameters
    ----------
    period_sums
        Combinations × blocks × (sum, sum of squares) of returns.
    sessions
        Sessions of each block.

    Raises
    ------
    ConfigurationError
        If there are fewer than two combinations, or the number of blocks is odd.
    """
    n_combinations, n_blocks, _ = period_sums.shape
    if n_combinations < 2 or n_blocks < 2 or n_blocks % 2:
        raise ConfigurationError(
            f"{n_combinations} combinations in {n_blocks} blocks cannot be split in halves. Give at least two "
            "combinations and an even number of blocks."
        )
    # Halves with the first block; the others are their complements, so that each pair of halves is looked at once.
    others = itertools.combinations(range(1, n_blocks), n_blocks // 2 - 1)
    halves = np.array([(0, *rest) for rest in others])
    ranks = []
    for start in range(0, len(halves), _SPLITS_AT_ONCE):
        chosen = np.zeros((len(halves[start : start + _SPLITS_AT_ONCE]), n_blocks))
        np.put_along_axis(chosen, halves[start : start + _SPLITS_AT_ONCE], 1.0, axis=1)
        one, other = (_sharpe_of(half, period_sums, sessions) for half in (chosen, 1.0 - chosen))
        ranks += [_rank_of_best(one, other), _rank_of_best(other, one)]
    relative = np.concatenate(ranks) / (n_combinations + 1)
    logits: npt.NDArray[np.float64] = np.log(relative / (1 - relative))
    return logits


def _rank_of_best(selection: npt.NDArray[np.float64], test: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rank in `test`, from 1 (last), of the best of `selection`, row by row; ties share the middle."""
    of_best = np.take_along_axis(test, selection.argmax(axis=1)[:, None], axis=1)
    lower, equal = np.count_nonzero(test < of_best, axis=1), np.count_nonzero(test == of_best, axis=1)
    ranks: npt.NDArray[np.float64] = lower + (equal + 1) / 2
    return ranks


def superior_ability(
    returns: npt.NDArray[np.float64], seed: int = 0, repeats: int = 1_000, block_sessions: int = 10
) -> tuple[float, float]:
    """Test that no combination beats the benchmark, by stationary bootstrap.

    Parameters
    ----------
    returns
        Excess returns per session, sessions × combinations.
    seed
        Seed of the bootstrap.
    repeats
        Bootstrap samples.
    block_sessions
        Mean length of a bootstrap block, sessions.

    Returns
    -------
    tuple of float
        p-values of White's reality check (not studentised, least favourable) and of Hansen's consistent test.
    """
    from arch.bootstrap import SPA  # Only here: it brings matplotlib, which every other command would wait for.

    nothing = np.zeros(len(returns))
    tests = [
        SPA(nothing, -returns, block_sessions, repeats, "stationary", studentize=studentize, seed=seed)
        for studentize in (False, True)
    ]
    for test in tests:
        test.compute()
    return float(tests[0].pvalues["upper"]), float(tests[1].pvalues["consistent"])


def _sharpe_of(
    chosen: npt.NDArray[np.float64], period_sums: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    count = (chosen @ sessions)[:, None]
    mean = chosen @ period_sums[:, :, 0].T / count
    variance = np.maximum(chosen @ period_sums[:, :, 1].T / count - mean**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: npt.NDArray[np.float64] = np.where(variance > 0, mean / np.sqrt(variance), 0.0)
    return ratio


def _judge(name: str, value: float, good: float, poor: float, low_is_good: bool = False) -> tuple[SkillVerdict, str]:
    sign = -1 if low_is_good else 1
    verdict: SkillVerdict = "inconclusive"
    if sign * value >= sign * good:
        verdict = "probably skill"
    elif sign * value < sign * poor:
        verdict = "probably luck"
    side = "at most" if low_is_good else "at least"
    return verdict, f"{name} {value:.3f} ({side} {good} speaks for skill): {verdict}"

"""Kinds of jobs: which command does one, and which tables are its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quant_pipeline.cli.options import flattened, nested_parameters
from quant_pipeline.common.extensions import find_part

Request = Mapping[str, Any]


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Attributes
    ----------
    words
        Command line of a request, without environment and parameters.
    params
        Parameters of the run of a request, nested as in the files.
    tables
        Catalog entries that are the result.
    inputs
        Catalog entries that it reads; ``{model}`` stands for every model of the parameters. When the file of one has
        changed, it is another question.
    program
        Arguments of Python before the command line.
    is_answer
        Whether a job that is done answers the same question again; a change is made each time, and so is what
        depends on more than files of the catalog: bundles of models, the registry.
    """

    words: Callable[[Request], list[str]]
    params: Callable[[Request], Mapping[str, Any]]
    tables: Callable[[Request], list[str]]
    inputs: tuple[str, ...] = ()
    program: tuple[str, ...] = ("-m", "quant_pipeline")
    is_answer: bool = True


TRADED = ("bars", "benchmark", "corporate_actions", "instruments", "sessions")
"""The market, as backtests read it."""


def _pipelines(*names: str) -> Callable[[Request], list[str]]:
    return lambda request: ["--pipelines", ",".join(names)]


def _training_words(request: Request) -> list[str]:
    names = request.get("models") or []
    return ["--pipelines", "training", *(["--namespaces", ",".join(names)] if names else [])]


def _training_tables(request: Request) -> list[str]:
    return [f"{name}_predictions" for name in request.get("models") or []]


def _backtest_params(request: Request) -> Mapping[str, Any]:
    changes: Mapping[str, Any] = request["changes"]
    return changes


def _evaluation_params(request: Request) -> Mapping[str, Any]:
    keys = ("expression", "feature_set", "start", "end")
    return {"factor_evaluation": {key: request[key] for key in keys if request.get(key) is not None}}


def _nothing(request: Request) -> Mapping[str, Any]:
    return {}


def _change_of_model(command: str) -> JobKind:
    return JobKind(
        lambda request: ["models", command, str(request["model"])], _nothing, lambda request: [], is_answer=False
    )


KINDS: Mapping[str, JobKind] = {
    "training": JobKind(_training_words, _nothing, _training_tables, is_answer=False),
    "backtest": JobKind(
        _pipelines("backtest"),
        _backtest_params,
        lambda request: ["backtest_nav", "backtest_trades", "combination_comparison"],
        (*TRADED, "ensemble_weight_history", "fused_scores", "labels"),
    ),
    "search": JobKind(
        _pipelines("ensemble_search"),
        _nothing,
        lambda request: ["search_leaderboard", "finalist_performance"],
        (*TRADED, "{model}_predictions"),
    ),
    "factor_evaluation": JobKind(
        _pipelines("factor_evaluation"),
        _evaluation_params,
        lambda request: ["factor_summary", "factor_decay", "factor_quantiles"],
        (*TRADED, "adjusted_bars", "precomputed_factors", "universe_members"),
    ),
    "prediction": JobKind(
        _pipelines("prediction", "ensemble"), _nothing, lambda request: ["latest_fused_scores"], is_answer=False
    ),
    "promotion": _change_of_model("promote"),
    "rollback": _change_of_model("rollback"),
}


def find_kind(name: str) -> JobKind:
    """Return a kind by its name, or by the dotted path of one that is not shipped."""
    return KINDS[name] if name in KINDS else find_part(name, {}, JobKind, "kind of job")


def inputs_of(kind: str, models: Iterable[str]) -> list[str]:
    """Return the catalog entries that a job reads, of every model where it reads those of models."""
    names = list(models)
    found = (
        [name.format(model=model) for model in names] if "{model}" in name else [name]
        for name in find_kind(kind).inputs
    )
    return [name for each in found for name in each]


def command_of(kind: str, request: Request, env: str, given: Mapping[str, Any]) -> list[str]:
    """Return the command line of a job, behind ``python``.

    Parameters
    ----------
    kind, request
        The job.
    env, given
        Environment, and ``--params``, of the service.
    """
    found = find_kind(kind)
    texts = ",".join(_texts(kind, request, given))
    return [*found.program, *found.words(request), "--env", env, *(["--params", texts] if texts else [])]


def parameters_of(kind: str, request: Request, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the command of a job reads from its command line; its tables lie where these say."""
    return nested_parameters(_texts(kind, request, given))


def _texts(kind: str, request: Request, given: Mapping[str, Any]) -> list[str]:
    params = {**flattened(given), **flattened(find_kind(kind).params(request))}
    return [f"{key}={value}" for key, value in params.items()]

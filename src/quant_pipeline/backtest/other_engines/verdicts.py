"""What other engines have written into an exchange folder: fills, values of the account, and a verdict on the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError

from quant_pipeline.backtest.other_engines.folder import ENGINES, FACTS, FILLS, VERSION
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.parameters import Parameters, describe_faults


class Verdict(Parameters):
    """What an engine says of its run; ``verdict.json``.

    Attributes
    ----------
    version
        Of the format.
    fingerprint
        Of the exchange folder that was executed.
    engine, engine_version, licence, python
        What executed it.
    prices
        Whether its prices contain the spread of the cost rules, or are those of the market.
    look_ahead
        What a strategy of the engine knows before its order executes that it could not know in a market; empty where
        there is nothing.
    notes
        What the engine does otherwise.
    seconds
        Of the run.
    measured
        Counts that the engine reports, by name.
    """

    version: Literal[1]
    fingerprint: str
    engine: str
    engine_version: str
    licence: str
    python: str
    prices: Literal["with_costs", "before_costs"]
    look_ahead: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = Field(ge=0)
    measured: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class Executed:
    """What an engine wrote back.

    Attributes
    ----------
    name
        Its folder.
    verdict
        What it says of its run.
    fills
        One row an order of the plan: ``order``, ``quantity``, ``price``, ``fee``, ``message``.
    nav
        ``date``, ``nav``, ``cash`` of every session, or None.
    """

    name: str
    verdict: Verdict
    fills: pd.DataFrame
    nav: pd.DataFrame | None


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what an exchange folder says of itself.

    Raises
    ------
    ConfigurationError
        When it is none, or one of another version.
    """
    file = folder / FACTS
    if not file.is_file():
        raise ConfigurationError(
            f"{folder} is no exchange folder: it has no {FACTS}. `kedro backtest export own` writes one"
        )
    try:
        facts = read_json(file)
    except ValueError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}. Write it again: `kedro backtest export own`"
        ) from error
    if facts.get("version") != VERSION:
        raise ConfigurationError(
            f"{file} has version {facts.get('version')} of the format, this is {VERSION}; write it again: "
            "`kedro backtest export own`"
        )
    return facts


def read_executed(folder: Path, facts: Mapping[str, Any]) -> list[Executed]:
    """Read what engines have written into an exchange folder, by name.

    Parameters
    ----------
    folder
        The exchange folder.
    facts
        Of :func:`read_facts`.

    Raises
    ------
    ConfigurationError
        When a verdict or table does not fit the format.
    StaleDataError
        When a verdict is of another plan.
    """
    places = sorted(path.parent for path in (folder / ENGINES).glob("*/verdict.json"))
    return [_read_engine(place, facts) for place in places]


def _read_engine(place: Path, facts: Mapping[str, Any]) -> Executed:
    file = place / "verdict.json"
    try:
        verdict = Verdict.model_validate(read_json(file))
    except ValidationError as error:
        raise ConfigurationError(f"{describe_faults(error, Verdict, str(file))}. Run the adapter again.") from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is no JSON: {error}. Run the adapter again.") from error
    if verdict.fingerprint != facts["fingerprint"]:
        raise StaleDataError(f"{file} is of another plan than {FACTS}; run the adapter again")
    fills = pd.read_parquet(place / "fills.parquet")
    missing = [column for column in FILLS if column not in fills.columns]
    if missing or sorted(fills["order"]) != list(range(facts["orders"])):
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has not one row for each order of the plan"
        raise ConfigurationError(f"{place / 'fills.parquet'} {fault}. Run the adapter again.")
    nav = place / "nav.parquet"
    return Executed(
        name=place.name,
        verdict=verdict,
        fills=fills.sort_values("order").reset_index(drop=True),
        nav=pd.read_parquet(nav) if nav.is_file() else None,
    )

"""What the configuration takes from the user's files: last session, calendar, rules of its exchange, segments.

`project.resolvers` registers `fact_of` as the resolver ``market_files``, and `exchange_rules` under its name;
``conf/files``, ``conf/qlib`` and ``conf/cn`` refer to them. Facts of a folder are kept beside the parsed files, so that
a command that reads no market knows them too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from pydantic import ValidationError

from quant_pipeline.common.atomic import replacing_file
from quant_pipeline.common.exceptions import ConfigurationError, QuantPipelineError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.places import path_here, require_local
from quant_pipeline.market.sources.folder_state import DECISIVE, states_of
from quant_pipeline.project.project_paths import source_parameters
from quant_pipeline.project.unresolved import plain, unresolved

if TYPE_CHECKING:
    from quant_pipeline.exchange.rules import PresetName
    from quant_pipeline.project.configuration import ProjectConfigLoader

logger = logging.getLogger(__name__)

RESOLVER = "market_files"
RULES = "exchange_rules"
PRESETS: dict[str, PresetName] = {"XSHG": "CN"}
"""Calendar to the preset of its rules and costs; others have those of the US, as ``conf/base``."""
SOURCES = ("files", "china")
"""Market sources that read a folder of files."""
FACTS = "facts.json"
_SUM = "sum"
"""Key of what is kept that tells damage."""
_STATES = "states"
"""Key of the states of files among what was found."""
SMALLEST_SEGMENT = 20
SEGMENTS = ("train_start", "train_end", "valid_start", "valid_end", "test_start")


def options_of(loader: ProjectConfigLoader) -> dict[str, Any]:
    """Return the options of an environment that reads files, without folder and calendar; empty for others."""
    entry = unresolved(loader, "catalog").get("market_source", {})
    if not isinstance(entry, Mapping) or entry.get("source") not in SOURCES:
        return {}
    given = {name: plain(loader, value) for name, value in (entry.get("parameters") or {}).items()}
    others = ("folder", "simulated")
    return {name: value for name, value in given.items() if name not in others and f"${{{RESOLVER}:" not in str(value)}


def fact_of(loader: ProjectConfigLoader, name: str, default: Any = None) -> Any:
    """Return a fact about the files of the environment's folder.

    Parameters
    ----------
    loader
        The configuration that asks.
    name
        ``as_of``, ``calendar``, or a bound of `SEGMENTS`.
    default
        Returned while there are no files, and for segments that fit the span of the files as they are.
    """
    chosen = _chosen(loader, name)
    if chosen is not None:
        return chosen
    facts = _facts(loader)
    if not facts:
        return _today() if name == "as_of" and default is None else default
    if name not in SEGMENTS:
        return facts[name]
    return _segments(loader, facts, default).get(name, default)


def look_again(loader: ProjectConfigLoader) -> None:
    """Ask for the files of folders again: references that are resolved together take the same ones."""
    loader.market_facts.pop(_STATES, None)


def last_bar(loader: ProjectConfigLoader) -> str | None:
    """Return the date of the last bar in the files of the environment; None without files, or for another source."""
    if unresolved(loader, "catalog").get("market_source", {}).get("source") != "files":
        return None
    look_again(loader)
    found: str | None = _facts(loader).get("as_of")
    return found


def only_instrument(loader: ProjectConfigLoader) -> str | None:
    """Return the one instrument of the environment's files; None when there are more, or none."""
    entry = unresolved(loader, "catalog").get("market_source", {})
    if not isinstance(entry, Mapping) or entry.get("source") not in SOURCES:
        return None
    look_again(loader)
    names = _facts(loader).get("instruments", ())
    return str(names[0]) if len(names) == 1 else None


def _today() -> str:
    import pandas as pd

    return f"{pd.Timestamp.now('UTC'):%Y-%m-%d}"


def _chosen(loader: ProjectConfigLoader, name: str) -> Any:
    """Return what ``--params`` or a file says itself."""
    if name == "as_of":
        return loader.runtime_params.get("as_of")
    if name != "calendar":
        return None
    given = OmegaConf.select(OmegaConf.create(loader.runtime_params), "market_rules.calendar")
    return given or options_of(loader).get("calendar")


def exchange_rules(loader: ProjectConfigLoader, key: str) -> Any:
    """Return a rule or a cost of the exchange whose calendar fits the market.

    Parameters
    ----------
    loader
        The configuration that asks.
    key
        ``market_rules.lot``, or another key of ``market_rules`` or ``cost_rules``.
    """
    from quant_pipeline.exchange.rules import CostRules, MarketRules

    block, _, name = key.partition(".")
    kinds: dict[str, Any] = {"market_rules": MarketRules, "cost_rules": CostRules}
    preset = PRESETS.get(fact_of(loader, "calendar", "XNYS"), "US")
    rules = kinds[block].preset(preset).model_dump(mode="json") if block in kinds else {}
    if name not in rules:
        raise ConfigurationError(f"${{{RULES}:{key}}} is no key of market_rules or cost_rules; correct it")
    return rules[name]


def _facts(loader: ProjectConfigLoader) -> dict[str, Any]:
    entry = unresolved(loader, "catalog").get("market_source", {})
    parameters = entry.get("parameters") or {} if isinstance(entry, Mapping) else {}
    cache = path_here(loader.project, str(plain(loader, "${globals:paths.market}"))) / "01_raw" / ".cache"
    if isinstance(entry, Mapping) and entry.get("source") not in SOURCES:
        return _facts_of_source(loader, str(entry.get("source")), parameters, cache)
    named = source_parameters({"folder": plain(loader, parameters.get("folder"))}, loader.project)["folder"]
    if named is None:
        return {}
    calendar = _chosen(loader, "calendar")
    options = options_of(loader) | ({"calendar": calendar} if calendar else {})
    try:
        folder = require_local(str(named), "`folder`")
        files = _states(loader, folder, options)
        if not files:
            return _kept(cache)
        key = _fingerprint(folder, options, files)
        known = loader.market_facts.get(key) or _kept(cache, key)
        if not known:
            known = _look(folder, options, cache)
            if known:
                _keep(cache, known | {"key": key})
    except (QuantPipelineError, ValidationError) as error:
        # Whatever reads the market says it again, and stops.
        logger.debug("no facts of the market files: %s", error)
        return {}
    loader.market_facts[key] = known
    return known


def _states(loader: ProjectConfigLoader, folder: Path, options: Mapping[str, Any]) -> list[list[Any]]:
    """Return the states of the files of a folder, which are looked at once until `look_again`."""
    asked = folder, *(str(options.get(name)) for name in DECISIVE)
    looked = loader.market_facts.setdefault(_STATES, {})
    if asked not in looked:
        looked[asked] = states_of(folder, options)
    found: list[list[Any]] = looked[asked]
    return found


def _facts_of_source(
    loader: ProjectConfigLoader, name: str, parameters: Mapping[str, Any], cache: Path
) -> dict[str, Any]:
    """Return what a source knows without reading its bars; what it knew last where it cannot be asked."""
    from quant_pipeline.market.sources.source import find_source

    asked = {key: plain(loader, value) for key, value in parameters.items() if f"${{{RESOLVER}:" not in str(value)}
    given = source_parameters(asked, loader.project)
    key = json.dumps([name, given], default=str, sort_keys=True)
    if key in loader.market_facts:
        known: dict[str, Any] = loader.market_facts[key]
        return known
    try:
        source = find_source(name)
        if source.facts is None:
            return {}
        known = source.facts(source.parameters.model_validate(given))
    except (QuantPipelineError, ValidationError) as error:
        # Whatever reads the market says it again, and stops.
        logger.debug("no facts of %s: %s", given, error)
        return _kept(cache)
    loader.market_facts[key] = known
    _keep(cache, known | {"key": key})
    return known


def _look(folder: Path, options: dict[str, Any], cache: Path) -> dict[str, Any]:
    from quant_pipeline.market.sources.files import FilesMarketParameters
    from quant_pipeline.market.sources.files.kept_observation import observe_once

    seen = observe_once(folder, FilesMarketParameters.model_validate(options), cache)
    if seen.rows.empty:
        return {}
    sessions = [f"{day:%Y-%m-%d}" for day in sorted(seen.rows["date"].unique())]
    return {
        "as_of": sessions[-1],
        "calendar": seen.calendar,
        "sessions": sessions,
        "instruments": sorted(seen.rows["instrument"].unique())[:2],
    }


def _segments(loader: ProjectConfigLoader, facts: dict[str, Any], default: Any) -> dict[str, str]:
    """Return bounds derived from the span of the bars; none where the configured ones fit."""
    written = _plain_split(loader)
    if not written.keys() >= set(SEGMENTS):
        return {}
    # Later bars are not known at the session of the run. Globals that refer to segments are read before they name it.
    as_of = loader.session or facts["as_of"]
    sessions = [day for day in facts["sessions"] if day <= as_of]
    bounds = (("train_start", "train_end"), ("valid_start", "valid_end"), ("test_start", None))
    counts = [
        sum(written[first] <= day <= (written[last] if last else "9999") for day in sessions) for first, last in bounds
    ]
    if min(counts) >= SMALLEST_SEGMENT or len(sessions) < 10:
        return {}
    warm = min(60, len(sessions) // 5)
    rest = sessions[warm:]
    valid, test = int(len(rest) * 0.6), int(len(rest) * 0.8)
    derived = dict(zip(SEGMENTS, (rest[0], rest[valid - 1], rest[valid], rest[test - 1], rest[test]), strict=True))
    if not loader.market_facts.get("said"):
        loader.market_facts["said"] = derived
        logger.warning(
            "`split` of conf/%s does not fit the bars (%s to %s), so it is derived from them: train %s to %s, valid %s "
            "to %s, test from %s; write `split` with dates of your own to change it",
            loader.environment, sessions[0], sessions[-1], *derived.values(),
        )  # fmt: skip
    return derived


def _plain_split(loader: ProjectConfigLoader) -> dict[str, str]:
    """Return the bounds that may be derived: the defaults beside the references of `split` to this resolver.

    Dates that the user writes in the place of a reference are not derived.
    """
    split = unresolved(loader, "parameters").get("split")
    pattern = rf"\$\{{{RESOLVER}: *(\w+) *, *['\"\\]*([\d-]+)"
    return dict(re.findall(pattern, str(split)))


def _fingerprint(folder: Path, options: dict[str, Any], files: list[list[Any]]) -> str:
    """Return a key that changes with every file that the market depends on, and with the options."""
    return hashlib.sha256(
        json.dumps([str(folder.resolve()), options, files], default=str, sort_keys=True).encode()
    ).hexdigest()


def _kept(cache: Path, key: str | None = None) -> dict[str, Any]:
    try:
        facts = read_json(cache / FACTS)
    except (OSError, ValueError):
        return {}
    return facts if _are_facts(facts) and key in (None, facts["key"]) else {}


def _are_facts(found: Any) -> bool:
    """Return whether what was kept holds facts; a file may be damaged, and its text is none of the configuration."""
    # Earlier versions wrote no sum.
    return (
        isinstance(found, dict)
        and found.get(_SUM) in (None, _sum_of(found))
        and isinstance(found.get("key"), str)
        and isinstance(found.get("calendar"), str)
        and _are_texts([found.get("as_of")], _is_day)
        and _are_texts(found.get("sessions"), _is_day)
        and _are_texts(found.get("instruments", ["of a source"]), bool)
    )


def _sum_of(facts: Mapping[str, Any]) -> str:
    """Return a sum of facts that changes with each of them."""
    stated = {name: value for name, value in facts.items() if name != _SUM}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _are_texts(found: Any, are_fit: Callable[[str], bool]) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(text, str) and are_fit(text) for text in found)


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return date.fromisoformat(text).isoformat() == text
    return False


def _keep(cache: Path, facts: dict[str, Any]) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with replacing_file(cache / FACTS) as beside:
            beside.write_text(json.dumps({**facts, _SUM: _sum_of(facts)}), encoding="utf-8")
    except OSError as error:
        logger.warning("the facts of the market files cannot be kept in %s: %s", cache, error)

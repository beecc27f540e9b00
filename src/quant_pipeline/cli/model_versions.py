"""Versions of models for `kedro models list` and `as-of`: their windows, their worth, since when they score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from quant_pipeline.cli.opened_models import store_of
from quant_pipeline.cli.opened_project import OpenedProject
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.labels import describe_label
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.fingerprint import CONTINUED
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.store import Aliases

UNKNOWN = "-"
COLUMNS = ("model", "version", "role", "label", "learned from", "rank IC", "age")


class Change(NamedTuple):
    """What going back to a session does to one model.

    Attributes
    ----------
    model
        Its name.
    present, then
        Champion, and the one at the close of the session; None where the history does not know one.
    """

    model: str
    present: str | None
    then: str | None

    @property
    def is_one(self) -> bool:
        """Whether another champion takes over."""
        return self.then is not None and self.then != self.present


def describe_versions(opened: OpenedProject, registry: Mapping[str, ModelSpec]) -> list[tuple[str, ...]]:
    """Return a row per champion, candidate and former champion, see `COLUMNS`.

    The rank IC is that of the test sessions when the version was trained; the age counts sessions since the last label
    that it has learned.
    """
    rows: list[tuple[str, ...]] = []
    for name in registry:
        store = store_of(opened, name)
        roles = _roles(store.aliases)
        if not roles:
            rows.append((name, UNKNOWN, "not trained yet", *[UNKNOWN] * 4))
            continue
        measures = opened.catalog.load(f"{name}.measures")
        for identity, role in roles.items():
            try:
                facts = store.facts_of(identity)
            except ModelError:
                rows.append((name, identity, f"{role}, damaged", *[UNKNOWN] * 4))
                continue
            if origin := facts.inputs.get(CONTINUED):
                role = f"{role}, from {origin}"
            learned = f"{facts.window['train'][0]} to {facts.window['valid'][1]}"
            worth = measures.get(identity, {}).get("rank_ic")
            rank_ic = UNKNOWN if worth is None else f"{worth:+.4f}"
            age = _age(facts, pd.Timestamp(opened.parameters["as_of"]))
            rows.append((name, identity, role, describe_label(facts.label), learned, rank_ic, age))
    return rows


def find_changes(opened: OpenedProject, registry: Mapping[str, ModelSpec], session: str) -> list[Change]:
    """Return the champion of every model, now and at the close of a session."""
    stores = {name: store_of(opened, name).aliases for name in registry}
    return [Change(name, aliases.champion, aliases.champion_at(session)) for name, aliases in stores.items()]


def _roles(aliases: Aliases) -> dict[str, str]:
    """Return what each version is, by identity: champion, candidate, then the champions before, the last one first."""
    roles = {}
    if aliases.champion is not None:
        since = f" since {aliases.since}" if aliases.since else ""
        roles[aliases.champion] = f"champion{since}"
    if aliases.candidate is not None:
        roles.setdefault(aliases.candidate, "candidate")
    for identity in reversed(aliases.champions):
        roles.setdefault(identity, "champion before")
    return roles


def _age(facts: BundleFacts, session: pd.Timestamp) -> str:
    learned = facts.learned_until
    if learned > session:
        return f"learned up to {learned:%Y-%m-%d}"
    sessions = len(TradingCalendar.of(facts.calendar, learned, session).sessions) - 1
    return f"{sessions} session{'' if sessions == 1 else 's'}"

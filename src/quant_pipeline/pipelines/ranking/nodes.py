"""The node of the ranking: the universe of a session by every source, as tables, files, page and manifest."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.order_generation.sources import scores_by_source
from quant_pipeline.pipelines.ranking.cross_section import COLUMNS, Listing, RankingRules, agreement, rank_source
from quant_pipeline.pipelines.ranking.manifest import state_manifest, write_csv, write_json
from quant_pipeline.pipelines.ranking.page import compose_ranking_page
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.reports import wording

logger = logging.getLogger(__name__)


@takes_records(listing=Listing.at, rules=RankingRules)
def rank_universe(
    score_file: pd.DataFrame | None,
    listing: Listing,
    rules: RankingRules,
    previous_ranking: pd.DataFrame | None,
    decile_history: pd.DataFrame | None,
    latest_fused_scores: pd.DataFrame | None = None,
    **latest_scores: pd.DataFrame,
) -> tuple[pd.DataFrame, str, str, str, dict[str, Any]]:
    """Rank the universe of a session by every combination and model, and by the file of scores where there is one.

    Parameters
    ----------
    score_file
        Scores made elsewhere; None when there is no file.
    listing
        The instruments at the close of the session.
    rules
        How they are ranked, and what the scores were made for.
    previous_ranking, decile_history
        The ranking of the session before, and what the deciles have earned; None where there is none.
    latest_fused_scores, **latest_scores
        Scores of the combinations and of the models.

    Returns
    -------
    tuple
        The ranking (see `rank_source` and `agreement` for its columns); the best of each source, or all of it, as CSV,
        JSON and page; and the manifest.

    Raises
    ------
    StaleDataError
        When no source has scores of the session.
    """
    session, price = listing.session, rules.market_rules.deal_price
    executed = execution_session(TradingCalendar.of(rules.market_rules.calendar, session, session), session)
    found = scores_by_source(latest_fused_scores, latest_scores, score_file)
    sources = _newest_scores(found, listing, rules.ranking.max_age)
    tables = [
        rank_source(name, table, listing, rules.ranking, decile_history, previous_ranking)
        for name, table in sources.items()
    ]
    ranked = pd.concat(tables, ignore_index=True)
    members = {name: combination.models for name, combination in rules.ensemble.enabled.items()}
    table = ranked.assign(
        agreement=agreement(ranked, members),
        session=session,
        execution_session=executed,
        deal_price=price,
        horizon=rules.label.horizon,
    )[COLUMNS]
    # The table has all: the next session computes the change of every instrument from it.
    sent = table
    if rules.ranking.top is not None:
        sent = table[table["rank"] <= rules.ranking.top].reset_index(drop=True)
    facts = {
        "session": wording.day(session),
        "execution_session": wording.day(executed),
        "next_decision": wording.day(rules.next_decision(session)),
        "deal_price": price,
        "horizon": rules.label.horizon,
        "scaling": rules.ranking.scaling,
        "calendar": rules.market_rules.calendar,
        "bars_up_to": wording.day(listing.bars_up_to),
        "universe": len(listing.members),
        "previous_session": _session_of(previous_ranking),
    }
    page = compose_ranking_page(sent, facts, rules.ensemble.default, unit_of_amounts(rules.market_rules.calendar))
    csv, json = write_csv(sent), write_json(sent)
    texts = {"ranking.csv": csv, "ranking.json": json, "ranking.html": page}
    rows = csv if sent is table else write_csv(table)
    return table, csv, json, page, state_manifest(sources, rows, texts, facts)


def _newest_scores(sources: Mapping[str, pd.DataFrame], listing: Listing, max_age: int) -> dict[str, pd.DataFrame]:
    """Keep the newest scores of each source with their ``age``; a source without any is named in a warning."""
    kept, session = {}, wording.day(listing.session)
    for name, table in sources.items():
        known = table[(table["datetime"] <= listing.session) & table["score"].notna()]
        newest = known["datetime"].max()
        age = listing.age_of(newest)
        if known.empty or age > max_age:
            last = "none" if known.empty else f"the newest are of {wording.day(newest)}"
            logger.warning("%s has no scores of %s (%s) and is not ranked", name, session, last)
            continue
        kept[name] = known[known["datetime"] == newest].assign(age=age)
    if not kept:
        command = f"`kedro run --pipelines prediction --params as_of={session}`"
        raise StaleDataError(f"no source has scores of {session}. Run {command} first.")
    return kept


def _session_of(ranking: pd.DataFrame | None) -> str | None:
    return None if ranking is None or ranking.empty else wording.day(ranking["session"].iloc[0])

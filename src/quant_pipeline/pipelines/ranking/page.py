"""The page of a ranking: the best and the worst of the default combination, then those of every other source."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, details, masthead, paragraph, section, table
from quant_pipeline.reports.page import compose_page

SHOWN = 50
"""Instruments of a source on the page; the files have all."""

INDEXES = {
    "rank": "The index places the ranks evenly between \N{MINUS SIGN}100 and +100; 0 is the median.",
    "minmax": "The index is \N{MINUS SIGN}100 for the lowest score, +100 for the highest, and 0 half-way between them.",
}
"""What the index of each scaling says."""


def compose_ranking_page(ranking: pd.DataFrame, facts: Mapping[str, Any], default: str, currency: str) -> str:
    """Compose the page.

    Parameters
    ----------
    ranking
        The ranking of all sources.
    facts
        Session, horizon and execution price.
    default
        The combination whose scores become orders; it comes first.
    currency
        In which traded values are stated.

    Returns
    -------
    str
        One self-contained HTML page.
    """
    sources = list(dict.fromkeys(ranking["source"]))
    first = default if default in sources else sources[0]
    others = [source for source in sources if source != first]
    horizon = wording.plural(facts["horizon"], "session")
    head = masthead(
        "Ranking",
        wording.long_day(facts["session"]),
        f"{wording.plural(facts['universe'], 'instrument')} by {wording.plural(len(sources), 'source')} of scores. "
        f"They predict the return over {horizon} from the {facts['deal_price']} of {facts['execution_session']}. "
        f"{_decided(facts)}A ranking is no advice.",
    )
    best = ranking[ranking["source"] == first]
    parts = [
        section(
            "ranking",
            f"Ranking by {first}",
            paragraph(
                f"{INDEXES[facts['scaling']]} Agreement is the share of the members, or for a model of the other "
                "models, on the same side of the median. "
                f"Realised is what the decile has earned over {horizon} out of sample, after one round trip of costs, "
                "with its band."
            ),
            table(_shown(best), _columns(best, currency, facts), f"The first {min(SHOWN, len(best))} of {len(best)}"),
            _deciles(best),
        ),
        section("sources", "Other sources", *(_source(ranking, name, currency, facts) for name in others)),
    ]
    links = (("ranking", "Ranking"), ("sources", "Other sources"))
    return compose_page(f"Ranking {facts['session']}", head, links, parts, f"Bars up to {facts['bars_up_to']}")


def _decided(facts: Mapping[str, Any]) -> str:
    """Say when the strategy decides, where it does not decide at this close."""
    if facts["next_decision"] == facts["session"]:
        return ""
    return f"The strategy decides nothing at this close, and next at that of {facts['next_decision']}. "


def _columns(rows: pd.DataFrame, currency: str, facts: Mapping[str, Any]) -> list[Column]:
    """Return the columns of a source; that of liquidity only where an instrument shown lacks it."""
    # No line ends within the date.
    day = str(facts["previous_session"]).replace("-", "\N{NON-BREAKING HYPHEN}")
    change = f"change since {day}" if facts["previous_session"] else "change"
    return [
        Column("instrument", "instrument", kind="text"),
        Column("rank", "rank", wording.place),
        Column("index", "index", wording.count),
        Column("change", change, wording.count),
        Column("agreement", "agreement", wording.percent),
        Column("decile", "decile", wording.count),
        Column("net_return", "realised", wording.percent_exact),
        Column("lower", "from", wording.percent_exact),
        Column("upper", "to", wording.percent_exact),
        Column("traded_value", f"traded a session, {currency}", wording.amount),
        *([Column("liquidity", "liquidity", kind="text")] if rows.head(SHOWN)["is_illiquid"].any() else []),
        Column("name", "name", kind="text"),
        Column("sector", "sector", kind="text"),
    ]


def _source(ranking: pd.DataFrame, name: str, currency: str, facts: Mapping[str, Any]) -> Html:
    rows = ranking[ranking["source"] == name]
    caption = f"The first {min(SHOWN, len(rows))} of {len(rows)}"
    return details(name, table(_shown(rows), _columns(rows, currency, facts), caption), _deciles(rows))


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.head(SHOWN).assign(liquidity=rows["is_illiquid"].map({True: "illiquid", False: ""}))


def _deciles(rows: pd.DataFrame) -> Html:
    """Show what the deciles have earned."""
    known = rows.dropna(subset="net_return").drop_duplicates("decile").sort_values("decile", ascending=False)
    if known.empty:
        return paragraph("What the deciles have earned is not known before the ensemble stage has run.", style="empty")
    columns = [
        Column("decile", "decile", wording.count),
        Column("net_return", "mean return after costs", wording.percent_exact),
        Column("lower", "from", wording.percent_exact),
        Column("upper", "to", wording.percent_exact),
        Column("sessions", "sessions", wording.count),
        Column("cases", "cases", wording.count),
    ]
    return table(known, columns, "What each decile has earned out of sample; 10 has the best scores")

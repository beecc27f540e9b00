"""What every model and every combination would do with this account today."""

import pandas as pd

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.pipelines.order_generation.decision import DecisionRules, Situation

OPINIONS = ("BUY", "SELL", "HOLD")
NO_OPINION = "-"
NOTHING = "none"
"""`NO_OPINION` before a rank: a dash before a number is a negative one where a spreadsheet opens the table."""
OPINION_COLUMNS = ["source", "kind", "is_chosen", "instrument", "opinion", "rank", "score"]


def opinions_of_sources(
    sources: dict[str, pd.DataFrame], chosen: str, situation: Situation, rules: DecisionRules
) -> pd.DataFrame:
    """Let every source decide alone, on the same account, market and rules.

    Returns
    -------
    pandas.DataFrame
        One row per source and instrument: ``source``, ``kind`` (``combination``, ``model``, ``file``), ``is_chosen``
        (its scores become the orders), ``instrument``, ``opinion`` (``BUY``, ``SELL``, ``HOLD`` of what is held, ``-``
        for what is neither held nor wanted), ``rank`` (1 = best, 0 without score), ``score``.
    """
    tables = []
    for name, table in sources.items():
        scores = table.set_index("instrument")["score"]
        try:
            orders = situation.decide(scores, rules)
        except StrategyError as error:
            raise StrategyError(f"opinion of {name}: {error.message}") from error
        orders = orders.set_index("instrument")
        decided = orders["side"].str.upper().where(orders["quantity"] > 0, NO_OPINION)
        instruments = scores.index.union(orders.index)
        ranks = scores.rank(ascending=False, method="first").reindex(instruments).fillna(0)
        rows = {
            "source": name,
            "kind": table["kind"].iloc[0],
            "is_chosen": name == chosen,
            "instrument": instruments,
            "opinion": decided.reindex(instruments).fillna(NO_OPINION).to_numpy(),
            "rank": ranks.astype("int64").to_numpy(),
            "score": scores.reindex(instruments).to_numpy(dtype=float),
        }
        tables.append(pd.DataFrame(rows, columns=OPINION_COLUMNS).sort_values(["rank", "instrument"]))
    return pd.concat(tables, ignore_index=True).astype({"source": "str", "instrument": "str", "opinion": "str"})


def compare_opinions(opinions: pd.DataFrame, *, every: bool = False) -> pd.DataFrame:
    """Put the opinions side by side, for people.

    Parameters
    ----------
    opinions
        As returned by `opinions_of_sources`.
    every
        Whether every instrument with a score gets a row.

    Returns
    -------
    pandas.DataFrame
        One row per instrument that a source would buy, sell or hold, or per instrument: ``instrument``, the number of
        sources that say ``buy``, ``sell`` and ``hold``, ``mean_rank``, then one column per source such as ``BUY 3``
        (opinion and rank), ``none 73`` where it would do nothing. The instruments that the chosen source ranks best
        come first.
    """
    named = opinions["opinion"] != NO_OPINION
    shown = opinions if every else opinions[opinions["instrument"].isin(opinions.loc[named, "instrument"].unique())]
    counts = {opinion.lower(): shown["opinion"].eq(opinion).groupby(shown["instrument"]).sum() for opinion in OPINIONS}
    ranked = shown[shown["rank"] > 0]
    table = pd.DataFrame({**counts, "mean_rank": ranked.groupby("instrument")["rank"].mean().round(1)})
    words = shown["opinion"].replace(NO_OPINION, NOTHING) + " " + shown["rank"].astype(str)
    texts = shown.assign(word=words).pivot(index="instrument", columns="source", values="word")
    order = shown[shown["is_chosen"]].set_index("instrument")["rank"].replace(0, len(opinions))
    table = table.join(texts[list(dict.fromkeys(shown["source"]))])
    first = order.reindex(table.index).fillna(len(opinions))
    return table.iloc[first.argsort(kind="stable")].rename_axis("instrument").reset_index()

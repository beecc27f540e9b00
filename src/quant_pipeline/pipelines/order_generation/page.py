"""Draw and compose: the rank chart and the page of the opinions."""

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.common.environments import in_environment
from quant_pipeline.pipelines.order_generation.decision import Situation
from quant_pipeline.pipelines.order_generation.opinions import NO_OPINION
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, join, masthead, paragraph, picture, section, table
from quant_pipeline.reports.order_columns import INSTRUMENT, order_columns
from quant_pipeline.reports.page import compose_page
from quant_pipeline.reports.theme import blank_figure, light, plain, say_instead

INSTRUMENTS_SHOWN = 40
ROW_HEIGHT = 18


def draw_ranks(opinions: pd.DataFrame) -> go.Figure:
    """Draw how every source ranks the instruments that are held or wanted.

    Parameters
    ----------
    opinions
        As returned by `opinions_of_sources`.

    Returns
    -------
    plotly.graph_objects.Figure
        Instruments by sources; the darker the better ranked, with rank and opinion in the cell.
    """
    figure = blank_figure(
        "Ranks by model and combination", "Rank 1 is best. B, S and H: the source would buy, sell, hold."
    )
    named = opinions[opinions["opinion"] != NO_OPINION]["instrument"].unique()
    order = opinions[opinions["is_chosen"] & opinions["instrument"].isin(named)]
    shown = [*order.loc[order["rank"] > 0, "instrument"], *order.loc[order["rank"] == 0, "instrument"]]
    shown = shown[:INSTRUMENTS_SHOWN]
    if not shown:
        return say_instead(figure, "No source would buy, sell or hold anything")
    sources = list(dict.fromkeys(opinions["source"]))
    ranks = opinions.pivot(index="instrument", columns="source", values="rank").reindex(index=shown, columns=sources)
    letters = opinions.assign(letter=opinions["opinion"].str[0].replace(NO_OPINION, ""))
    words = letters.pivot(index="instrument", columns="source", values="letter").reindex(index=shown, columns=sources)
    scored = ranks.where(ranks > 0)
    figure.add_heatmap(
        z=scored.to_numpy(),
        x=[plain(source) for source in sources],
        y=shown,
        text=(scored.astype("Int64").astype("str").replace("<NA>", "") + " " + words.fillna("")).to_numpy(),
        texttemplate="%{text}",
        colorscale=[[0, light("accent")], [1, light("wash")]],
        colorbar={"title": {"text": "rank"}},
        hovertemplate="%{y}, %{x}: rank %{z}<extra></extra>",
    )
    figure.update_layout(height=160 + ROW_HEIGHT * len(shown), hovermode="closest")
    figure.update_xaxes(type="category", hoverformat=None, side="top")
    return figure.update_yaxes(type="category", autorange="reversed", hoverformat=None)


def write_header(situation: Situation, source: str) -> Html:
    """Head the page with the account, the source of its orders, and the state of the account where it is not active."""
    name, title = situation.state.name, wording.long_day(situation.session)
    head = masthead(
        "Orders and opinions",
        title,
        f"Orders decided at the close by the scores of {source}, with what every other source of scores would do.",
        account=name,
    )
    return join([head, *(paragraph(in_environment(line, name), style="callout") for line in situation.remarks.lines)])


def compose_opinion_page(
    comparison: pd.DataFrame, orders: pd.DataFrame, figure: go.Figure, header: Html, as_of: str, currency: str
) -> str:
    """Compose the page: orders with their alternates, the rank chart, the opinions side by side.

    Returns
    -------
    str
        One self-contained HTML page.
    """
    columns = [
        INSTRUMENT,
        Column("buy", "buy", wording.count),
        Column("sell", "sell", wording.count),
        Column("hold", "hold", wording.count),
        Column("mean_rank", "mean rank", wording.tenths),
        *(Column(name, plain(name), kind="text") for name in comparison.columns[5:]),
    ]
    parts = [
        section(
            "orders",
            "Orders",
            table(orders, order_columns(currency), "Orders of the next session, then the alternates"),
        ),
        section("ranks", "Ranks", picture(figure, "rank-chart")),
        section(
            "opinions",
            "Opinions",
            paragraph("Of what a source neither holds nor wants, it says none before its rank."),
            table(comparison, columns, "What every source would do, with its rank"),
        ),
    ]
    links = (("orders", "Orders"), ("ranks", "Ranks"), ("opinions", "Opinions"))
    return compose_page(f"Orders and opinions {as_of}", header, links, parts, f"Decided at the close of {as_of}")

"""Figures: each function draws one picture from one table and computes nothing that a reader would quote."""

import pandas as pd
import plotly.graph_objects as go

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
ACCENT, REFERENCE, LOSS = "#1b6ca8", "#9aa5b1", "#c0392b"
PALETTE = ("#1b6ca8", "#d98e04", "#2f855a", "#8e44ad", "#c0392b", "#566573")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def draw_net_asset_value(nav: pd.DataFrame) -> go.Figure:
    """Draw net asset value against the benchmark, logarithmic, both in USD from the same start."""
    figure = _empty("Net asset value of the default combination, USD (log scale)")
    figure.add_scatter(x=nav["date"], y=nav["benchmark"], name="benchmark", line={"color": REFERENCE, "width": 1.5})
    figure.add_scatter(x=nav["date"], y=nav["nav"], name="strategy", line={"color": ACCENT, "width": 2})
    return figure.update_yaxes(type="log", tickformat="$,.4~s")


def draw_drawdown(nav: pd.DataFrame) -> go.Figure:
    """Draw how far strategy and benchmark stand below their highest value so far."""
    figure = _empty("Drawdown from the highest value so far")
    for column, name, colour in (("benchmark", "benchmark", REFERENCE), ("nav", "strategy", LOSS)):
        depth = nav[column] / nav[column].cummax() - 1
        fill = "tozeroy" if column == "nav" else None
        figure.add_scatter(x=nav["date"], y=depth, name=name, fill=fill, line={"color": colour, "width": 1.2})
    return figure.update_yaxes(tickformat=".0%")


def draw_information(ic_series: pd.DataFrame) -> go.Figure:
    """Draw the cumulative rank IC of every model and of the fused score; a steady slope is a steady edge."""
    figure = _empty("Cumulative rank information coefficient, out of sample")
    wide = ic_series.pivot(index="date", columns="model", values="rank_ic").fillna(0.0).cumsum()
    others = [model for model in wide.columns if model != "fused"]
    for place, model in enumerate([*others, "fused"]):
        style = {"color": INK, "width": 2.5} if model == "fused" else {"color": PALETTE[place % 6], "width": 1.5}
        figure.add_scatter(x=wide.index, y=wide[model], name=model, line=style)
    return figure


def draw_turnover(nav: pd.DataFrame) -> go.Figure:
    """Draw the part of the net asset value that is traded, and what trading cost, by month."""
    monthly = nav.set_index("date").resample("MS").agg({"turnover": "sum", "cost": "sum"})
    figure = _empty("Turnover per month (part of net asset value) and cost (USD, right)")
    figure.add_bar(x=monthly.index, y=monthly["turnover"], name="turnover", marker_color=ACCENT)
    figure.add_scatter(x=monthly.index, y=monthly["cost"], name="cost", yaxis="y2", line={"color": LOSS, "width": 1.5})
    figure.update_layout(yaxis2={"overlaying": "y", "side": "right", "tickformat": "$,.2~s", "showgrid": False})
    return figure.update_layout(yaxis={"tickformat": ".0%"})


def draw_monthly_returns(nav: pd.DataFrame) -> go.Figure:
    """Draw the return of every month as a heat map, years downwards."""
    closes = nav.set_index("date")["nav"].resample("ME").last()
    returns = closes.pct_change()
    returns.iloc[0] = closes.iloc[0] / nav["nav"].iloc[0] - 1
    table = returns.groupby([returns.index.year, returns.index.month]).first().unstack()
    table.columns = [pd.Timestamp(2000, month, 1).strftime("%b") for month in table.columns]
    figure = _empty("Return by month")
    figure.add_heatmap(
        z=table.to_numpy(),
        x=list(table.columns),
        y=[str(year) for year in table.index],
        text=table.map(lambda value: "" if pd.isna(value) else f"{value:+.1%}").to_numpy(),
        texttemplate="%{text}",
        colorscale=[[0, LOSS], [0.5, "#ffffff"], [1, "#2f855a"]],
        zmid=0,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{y} %{x}: %{z:.2%}<extra></extra>",
    )
    return figure.update_yaxes(autorange="reversed", type="category")


def draw_account(account_nav: pd.DataFrame) -> go.Figure:
    """Draw net asset value and cash of the account since it was opened."""
    figure = _empty("Net asset value and cash of the account, USD")
    figure.add_scatter(
        x=account_nav["date"], y=account_nav["nav"], name="net asset value", mode="lines+markers", line={"color": ACCENT}
    )
    figure.add_scatter(
        x=account_nav["date"], y=account_nav["cash"], name="cash", mode="lines+markers", line={"color": REFERENCE}
    )
    return figure.update_yaxes(tickformat="$,.4~s")


def _empty(title: str) -> go.Figure:
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "tickcolor": GRID}
    return go.Figure(
        layout={
            "title": {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"},
            "font": {"family": FONT, "size": 12, "color": INK},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "colorway": list(PALETTE),
            "height": 340,
            "margin": {"l": 60, "r": 24, "t": 48, "b": 64},
            "legend": {"orientation": "h", "y": -0.16, "x": 0},
            "hovermode": "x unified",
            "xaxis": axis,
            "yaxis": axis,
        }
    )

"""Figures of the daily report: each function makes one from one table; `measures` computes what they show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.pipelines.backtest.figures import NO_BACKTEST
from quant_pipeline.pipelines.reporting import measures
from quant_pipeline.reports import wording
from quant_pipeline.reports.theme import blank_figure, light, plain, say_instead, series_style

NO_INFORMATION = "No label of a test session is realised yet"
FUSED = "fused"


def draw_combinations(combination_nav: pd.DataFrame, default: str, currency: str) -> go.Figure:
    """Draw the net asset value of every combination from the same start, logarithmic.

    Parameters
    ----------
    combination_nav
        ``date``, ``combination``, ``nav``.
    default
        The combination whose score becomes orders.
    currency
        Of the amounts.
    """
    wide = measures.values_of_combinations(combination_nav)
    last = wide.iloc[-1]
    figure = blank_figure(
        f"Net asset value of every combination, {currency}",
        f"At the end {last.idxmax()} stands highest, {wording.amount(last.max())} {currency}; "
        f"orders come from {default}.",
    )
    for index, name in enumerate(wide.columns):
        line = {"color": light("ink"), "width": 2.6} if name == default else series_style(index)
        figure.add_scatter(x=wide.index, y=wide[name], name=plain(name), line=line)
    return figure.update_yaxes(type="log", tickformat=",.3~s", hoverformat=",.0f")


def draw_weights(ensemble_weight_history: pd.DataFrame, combination: str) -> go.Figure:
    """Draw how the weights of one combination went.

    Parameters
    ----------
    ensemble_weight_history
        ``combination``, ``model``, ``weight``, ``session`` (the first one it holds for).
    combination
        Which one.
    """
    part = ensemble_weight_history[ensemble_weight_history["combination"] == combination]
    wide = part.pivot(index="session", columns="model", values="weight")
    figure = blank_figure(
        f"Weights of {combination}",
        f"Renewed {wording.count(len(wide) - 1)} times, each from labels realised by then.",
    )
    for index, model in enumerate(wide.columns):
        line = {**series_style(index), "shape": "hv"}
        figure.add_scatter(x=wide.index, y=wide[model], name=plain(model), line=line)
    return figure.update_yaxes(tickformat=".0%", hoverformat=".1%", rangemode="tozero").update_layout(height=260)


def draw_cumulative_information(ic_series: pd.DataFrame) -> go.Figure:
    """Draw the running sum of rank ICs of every model and of the fused score; a steady slope is a steady edge.

    Parameters
    ----------
    ic_series
        ``date``, ``model``, ``rank_ic``.
    """
    title = "Cumulative rank IC, out of sample"
    if ic_series.empty:
        return say_instead(blank_figure(title, NO_INFORMATION), NO_INFORMATION)
    running = measures.coefficients_by_model(ic_series).fillna(0.0).cumsum()
    figure = blank_figure(title, f"A steady slope is a steady edge. At the end: {_ends(running, wording.ratio)}.")
    _add_models(figure, running)
    return figure.update_yaxes(hoverformat="+.2f")


def draw_rolling_information(ic_series: pd.DataFrame) -> go.Figure:
    """Draw the mean rank IC of the last sixty sessions; below zero a model has ordered returns the wrong way round.

    Parameters
    ----------
    ic_series
        ``date``, ``model``, ``rank_ic``.
    """
    window = measures.ROLLING_SESSIONS
    title = f"Mean rank IC of the last {window} sessions"
    if ic_series.empty:
        return say_instead(blank_figure(title, NO_INFORMATION), NO_INFORMATION)
    wide = measures.coefficients_by_model(ic_series)
    if len(wide) < window:
        message = f"{window} sessions are needed, {len(wide)} are known"
        return say_instead(blank_figure(title, message), message)
    rolling = wide.rolling(window, min_periods=window // 2).mean().iloc[window - 1 :]
    newest = _ends(rolling, wording.coefficient)
    figure = blank_figure(title, f"Below zero, scores rank returns the wrong way round. Newest: {newest}.")
    figure.add_hline(y=0, line={"color": light("reference"), "width": 1})
    _add_models(figure, rolling)
    return figure.update_yaxes(hoverformat="+.4f", tickformat="+.2f")


def draw_turnover(backtest_nav: pd.DataFrame, currency: str) -> go.Figure:
    """Draw turnover and trading costs by month, one above the other.

    Parameters
    ----------
    backtest_nav
        ``date``, ``turnover`` (fraction of net asset value, buys plus sales), ``cost``.
    currency
        Of the costs.
    """
    title = "Turnover and costs by month"
    if backtest_nav.empty:
        return say_instead(blank_figure(title, NO_BACKTEST), NO_BACKTEST)
    monthly = backtest_nav.set_index("date")[["turnover", "cost"]].resample("MS").sum()
    figure = blank_figure(
        title,
        f"In a month {wording.times(monthly['turnover'].mean())} the net asset value was bought or sold on average, "
        f"at a cost of {wording.amount(monthly['cost'].mean())} {currency}.",
    )
    figure.add_bar(x=monthly.index, y=monthly["turnover"], name="turnover, times the NAV", marker_color=light("accent"))
    figure.add_bar(
        x=monthly.index, y=monthly["cost"], name=f"cost, {currency}", yaxis="y2", marker_color=light("caution")
    )
    upper = {"tickformat": ".1~f", "hoverformat": ".2f", "ticksuffix": " \N{MULTIPLICATION SIGN}"}
    lower = {"tickformat": ",.3~s", "hoverformat": ",.0f"}
    return _stack_panels(figure, upper, lower).update_xaxes(hoverformat="%B %Y").update_layout(bargap=0.25)


def draw_account(
    account_nav: pd.DataFrame, currency: str, flows: Sequence[tuple[pd.Timestamp, float]] = ()
) -> go.Figure:
    """Draw net asset value and cash of the account since it was opened.

    Parameters
    ----------
    account_nav
        ``date``, ``nav``, ``cash``.
    currency
        Of the amounts.
    flows
        Deposits (positive) and withdrawals by session; each is marked where the curve jumps.
    """
    title = f"Net asset value and cash of the account, {currency}"
    if len(account_nav) < 2:
        message = "A curve needs two booked sessions" if len(account_nav) else "Nothing is booked yet"
        return say_instead(blank_figure(title, "The account so far."), message)
    last = account_nav.iloc[-1]
    figure = blank_figure(
        title,
        f"On {wording.day(last['date'])} the account was worth {wording.amount(last['nav'])} {currency}, "
        f"{wording.amount(last['cash'])} {currency} of it in cash.",
    )
    mode = "lines+markers" if len(account_nav) <= 40 else "lines"
    value = {"color": light("accent"), "width": 2.2}
    cash = {"color": light("reference"), "width": 1.6}
    figure.add_scatter(x=account_nav["date"], y=account_nav["nav"], name="net asset value", mode=mode, line=value)
    figure.add_scatter(x=account_nav["date"], y=account_nav["cash"], name="cash", mode=mode, line=cash, yaxis="y2")
    _mark_flows(figure, account_nav, flows)
    amounts = {"tickformat": ",.4~s", "hoverformat": ",.2f"}
    return _stack_panels(figure, amounts, {**amounts, "rangemode": "tozero"})


def _mark_flows(figure: go.Figure, account_nav: pd.DataFrame, flows: Sequence[tuple[pd.Timestamp, float]]) -> None:
    """Mark deposits and withdrawals at the first close that has them; what opened the account is no jump."""
    dates = pd.DatetimeIndex(account_nav["date"])
    places = [(dates.searchsorted(date), amount) for date, amount in flows]
    shown = [(place, amount) for place, amount in places if 0 < place < len(dates)]
    if not shown:
        return
    at = [place for place, _ in shown]
    words = [f"{'deposit' if amount > 0 else 'withdrawal'} {wording.amount_signed(amount)}" for _, amount in shown]
    figure.add_scatter(
        x=dates[at],
        y=account_nav["nav"].iloc[at],
        name="deposits and withdrawals",
        mode="markers",
        marker={"symbol": "diamond", "size": 9, "color": light("reference")},
        text=words,
        hovertemplate="%{text}<extra></extra>",
    )


def _ends(table: pd.DataFrame, write: wording.Write) -> str:
    """Name the last values of the fused score and of the best single model."""
    last = table.iloc[-1]
    single = last.drop(FUSED, errors="ignore")
    chosen = [name for name in (FUSED,) if name in last.index]
    if single.notna().any():
        chosen.append(single.idxmax())
    return ", ".join(f"{name} {write(last[name])}" for name in chosen)


def _stack_panels(figure: go.Figure, upper: dict[str, str], lower: dict[str, str]) -> go.Figure:
    """Give the traces on ``y`` and on ``y2`` a panel each, above one common time axis."""
    common = figure.layout.yaxis.to_plotly_json()
    figure.update_layout(
        yaxis={"domain": [0.46, 1], **upper}, yaxis2={**common, "domain": [0, 0.28], "nticks": 4, **lower}
    )
    return figure.update_layout(yaxis2_anchor="x").update_xaxes(anchor="y2")


def _add_models(figure: go.Figure, table: pd.DataFrame) -> None:
    fused = {"color": light("ink"), "width": 2.6}
    for index, model in enumerate(table.columns):
        line = fused if model == FUSED else series_style(index)
        figure.add_scatter(x=table.index, y=table[model], name=plain(model), line=line)

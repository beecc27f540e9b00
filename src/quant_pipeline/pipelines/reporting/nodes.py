"""Nodes of reporting."""

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.reporting import figures, page, wording
from quant_pipeline.pipelines.reporting.summary import summarise_run
from quant_pipeline.strategy.rules import MarketRules


def draw_figures(backtest_nav: pd.DataFrame, ic_series: pd.DataFrame) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Draw the three figures that the lineage previews.

    Returns
    -------
    tuple of plotly.graph_objects.Figure
        Net asset value, drawdown, cumulative rank IC.
    """
    return (
        figures.draw_net_asset_value(backtest_nav),
        figures.draw_drawdown(backtest_nav),
        figures.draw_information(ic_series),
    )


def compose_report(
    nav_figure: go.Figure,
    drawdown_figure: go.Figure,
    ic_figure: go.Figure,
    backtest_nav: pd.DataFrame,
    backtest_performance: dict[str, float],
    combination_comparison: pd.DataFrame,
    ensemble_weights: pd.DataFrame,
    ic_series: pd.DataFrame,
    orders: pd.DataFrame,
    holdings: pd.DataFrame,
    account_nav: pd.DataFrame,
    data_quality: pd.DataFrame,
    report: dict[str, str],
    as_of: str,
) -> str:
    """Compose the page of a run, from the headline down to the data.

    Parameters
    ----------
    nav_figure, drawdown_figure, ic_figure
        Figures drawn before.
    backtest_nav, backtest_performance, combination_comparison, ensemble_weights, ic_series
        The research side.
    orders, holdings, account_nav
        The account at ``as_of`` and its next orders.
    data_quality
        Findings of ingestion.
    report
        ``account``, ``market`` and ``path``.
    as_of
        Session at whose close the report stands.

    Returns
    -------
    str
        A self-contained HTML page.
    """
    performance = backtest_performance
    dealing = orders[orders["side"] != "hold"]
    headline = {
        "return per year": wording.percent(performance["annualised_return"]),
        "benchmark": wording.percent(performance["benchmark_annualised_return"]),
        "Sharpe ratio": wording.ratio(performance["sharpe"]),
        "maximum drawdown": wording.percent(performance["maximum_drawdown"]),
        "rank IC, fused": wording.signed(ic_series.loc[ic_series["model"] == "fused", "rank_ic"].mean()),
        "orders": f"{len(dealing)}",
        "account, USD": wording.dollars(account_nav["nav"].iloc[-1]),
    }
    parts = [
        page.cards(headline),
        page.section(
            "Backtest",
            page.picture(nav_figure, "net-asset-value"),
            page.picture(drawdown_figure, "drawdown"),
            page.picture(figures.draw_monthly_returns(backtest_nav), "monthly-returns"),
            page.picture(figures.draw_turnover(backtest_nav), "turnover"),
            note="The fused score of the default combination over the test sessions, traded at the next deal price with costs.",
        ),
        page.section("Scores", page.picture(ic_figure, "information"), _information_table(ic_series)),
        page.section("Combinations", _comparison_table(combination_comparison), _weights_table(ensemble_weights)),
        page.section("Orders of the next session", _orders_table(dealing), note="Sales deal first, then buys in this order."),
        page.section("Account", page.picture(figures.draw_account(account_nav), "account"), _holdings_table(holdings)),
        page.section("Data quality", _quality_table(data_quality), note="Findings are listed, never repaired in silence."),
    ]
    title = f"{report['account']}: {as_of}"
    return page.compose_page(title, f"Market {report['market']}, as known at the close of {as_of}.", parts)


def summarise(
    ic_series: pd.DataFrame,
    backtest_performance: dict[str, float],
    combination_comparison: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    report_page: str,
    report: dict[str, str],
    as_of: str,
    market_rules: MarketRules,
) -> str:
    """Write the summary that a run ends with.

    Parameters
    ----------
    ic_series, backtest_performance, combination_comparison, orders, account_nav
        What it tells.
    report_page
        The page; only its being there matters.
    report
        ``account``, ``market`` and ``path``.
    as_of, market_rules
        Where the pipeline stands, and the calendar that knows the session after it.

    Returns
    -------
    str
        Plain text.
    """
    session = pd.Timestamp(as_of)
    next_session = TradingCalendar.of(market_rules.calendar, session, session).next(session)
    option = "" if report["account"] == "sim" else f" --env {report['account']}"
    next_commands = [
        (f"kedro run --pipelines daily{option} --params as_of={next_session:%Y-%m-%d}", "the next day"),
        ("kedro viz run", "the lineage"),
        ("mlflow ui --backend-store-uri sqlite:///mlflow.db", "the training runs"),
    ]
    title = f"{report['account']} at the close of {as_of}"
    return summarise_run(
        title,
        ic_series,
        backtest_performance,
        combination_comparison,
        orders,
        account_nav,
        f"{report['path']}/{as_of}/report.html",
        next_commands,
    )


def _information_table(ic_series: pd.DataFrame) -> str:
    by_model = ic_series.groupby("model")[["ic", "rank_ic"]]
    summary = by_model.mean().reset_index()
    deviation = by_model.std(ddof=1)["rank_ic"].to_numpy()
    summary["rank_ICIR"] = summary["rank_ic"] / deviation
    summary["sessions"] = by_model.size().to_numpy()
    formats = {
        "model": wording.text,
        "ic": wording.signed,
        "rank_ic": wording.signed,
        "rank_ICIR": wording.ratio,
        "sessions": wording.count,
    }
    return page.table(summary, formats, "Information coefficients over the test sessions, daily means")


def _comparison_table(comparison: pd.DataFrame) -> str:
    formats = {
        "combination": wording.text,
        "members": wording.text,
        "method": wording.text,
        "rank_ic": wording.signed,
        "icir": wording.ratio,
        "annualised_return": wording.percent,
        "sharpe": wording.ratio,
        "maximum_drawdown": wording.percent,
    }
    return page.table(comparison, formats, "Every enabled combination, backtested by the same rules")


def _weights_table(weights: pd.DataFrame) -> str:
    wide = weights.pivot(index="combination", columns="model", values="weight").reset_index()
    formats = {name: wording.text if name == "combination" else wording.percent for name in wide.columns}
    return page.table(wide, formats, "Weights, fixed before the first test session")


def _orders_table(dealing: pd.DataFrame) -> str:
    formats = {
        "side": wording.text,
        "instrument": wording.text,
        "quantity": wording.count,
        "reference_price": wording.price,
        "estimated_value": wording.dollars,
        "rank": wording.count,
        "reason": wording.text,
    }
    return page.table(dealing, formats, "Quantities in shares, prices and values in USD", "No order: everything is held.")


def _holdings_table(holdings: pd.DataFrame) -> str:
    formats = {
        "instrument": wording.text,
        "quantity": wording.count,
        "average_cost": wording.price,
        "price": wording.price,
        "market_value": wording.dollars,
        "unrealised_profit": wording.dollars,
        "weight": wording.percent,
    }
    return page.table(holdings, formats, "Holdings; shares, USD, part of net asset value", "The account holds cash only.")


def _quality_table(data_quality: pd.DataFrame) -> str:
    counts = data_quality.groupby(["severity", "check"]).size().rename("findings").reset_index()
    formats = {"severity": wording.text, "check": wording.text, "findings": wording.count}
    return page.table(counts, formats, "Findings by check", "No check found anything.")

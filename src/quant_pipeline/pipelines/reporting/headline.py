"""The top of the page: one sentence of verdict, and the figures that a reader quotes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from quant_pipeline.pipelines.reporting import figures, measures
from quant_pipeline.pipelines.reporting.context import ReportContext
from quant_pipeline.pipelines.reporting.sections_of_account import account_change
from quant_pipeline.reports import elements, wording
from quant_pipeline.reports.elements import Card, Html, paragraph

SIMULATED_MARKETS = ("simulated", "cn_simulated")
REAL_MONEY = "live"


def write_header(context: ReportContext, verdict: str) -> Html:
    """Write title, account and verdict.

    Parameters
    ----------
    context
        Where the report stands.
    verdict
        The report in a few sentences.
    """
    notice = (
        paragraph(
            "The market of this account is simulated: its returns show that the machinery works, not that the strategy "
            "does.",
            style="callout",
        )
        if context.market in SIMULATED_MARKETS
        else Html("")
    )
    title = wording.long_day(context.as_of)
    is_real = context.account == REAL_MONEY
    head = elements.masthead("Strategy report", title, verdict, account=context.account, is_real=is_real)
    remarks = [paragraph(remark, style="callout") for remark in context.remarks]
    return elements.join([head, *remarks, notice])


def write_verdict(
    context: ReportContext,
    backtest_nav: pd.DataFrame,
    backtest_performance: Mapping[str, float | None],
    orders: pd.DataFrame,
    data_quality: pd.DataFrame,
    account_nav: pd.DataFrame,
) -> str:
    """Summarise the report in a few sentences: the account, what to do next, the backtest, what to look at.

    Parameters
    ----------
    context
        Where the report stands.
    backtest_nav, backtest_performance, orders, data_quality, account_nav
        Any may be empty.
    """
    sentences = [*_account_sentences(context, account_nav), _orders_sentence(context, orders)]
    if backtest_nav.empty:
        sentences.append("No backtest has been run yet.")
    else:
        own, reference = (backtest_performance.get(key) for key in ("annualised_return", "benchmark_annualised_return"))
        deepest = backtest_performance.get("maximum_drawdown")
        depth = "" if deepest is None else f", with a drawdown of up to {wording.percent(-deepest)}"
        sentences.append(
            f"From {wording.day(backtest_nav['date'].iloc[0])} to {wording.day(backtest_nav['date'].iloc[-1])} the "
            f"backtest returned {wording.percent(own)} a year after costs against {wording.percent(reference)} of the "
            f"benchmark{depth}."
        )
        sentences.extend(filter(None, [context.not_backtested]))
    errors = _count(data_quality, "error")
    if errors:
        sentences.append(f"The data have {wording.plural(errors, 'error')}: look at them before you trade.")
    return " ".join(sentences)


def _account_sentences(context: ReportContext, account_nav: pd.DataFrame) -> list[str]:
    if account_nav.empty:
        return ["No session of the account is booked yet."]
    worth = f"The account is worth {wording.amount(account_nav['nav'].iloc[-1])} {context.currency}."
    return [worth, *filter(None, [account_change(context, account_nav)])]


def headline_cards(
    context: ReportContext,
    backtest_performance: Mapping[str, float | None],
    backtest_nav: pd.DataFrame,
    ic_series: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    data_quality: pd.DataFrame,
) -> Html:
    """Show the figures that a reader quotes, each linking to the section that explains it.

    Parameters
    ----------
    context
        Where the report stands.
    backtest_performance, backtest_nav, ic_series, orders, account_nav, data_quality
        Any may be empty; the value is then a dash.
    """
    cards = [
        _account_card(context, account_nav),
        _orders_card(context, orders),
        *_performance_cards(backtest_performance, backtest_nav),
        _score_card(ic_series),
        _data_card(data_quality),
    ]
    return elements.cards(cards)


def _performance_cards(performance: Mapping[str, float | None], nav: pd.DataFrame) -> list[Card]:
    compared = measures.compare_measures(nav, performance)

    def card(label: str, key: str, write: wording.Write) -> Card:
        own, reference = compared.loc[key] if key in compared.index else (None, None)
        return Card(label, write(own), f"benchmark {write(reference)}", "backtest")

    return [
        card("Return per year", "annualised_return", wording.percent),
        Card("Excess return per year", *_relative(performance), "backtest"),
        card("Sharpe ratio", "sharpe", wording.ratio),
        card("Maximum drawdown", "maximum_drawdown", wording.percent),
    ]


def _relative(performance: Mapping[str, float | None]) -> tuple[str, str]:
    excess = wording.percent_signed(performance.get("annualised_excess_return"))
    return excess, f"information ratio {wording.ratio(performance.get('information_ratio'))}"


def _score_card(ic_series: pd.DataFrame) -> Card:
    label = "Rank IC, fused"
    fused = ic_series[ic_series["model"] == figures.FUSED] if len(ic_series) else ic_series
    if fused.empty:
        return Card(label, wording.MISSING, "not measured yet", "scores")
    row = measures.information_table(fused).iloc[0]
    beside = f"rank ICIR {wording.ratio(row['rank_icir'])} in {wording.plural(int(row['sessions']), 'session')}"
    return Card(label, wording.coefficient(row["rank_ic"]), beside, "scores")


def _orders_card(context: ReportContext, orders: pd.DataFrame) -> Card:
    totals = measures.order_totals(orders)
    value = f"{totals['sell'][0]} sell, {totals['buy'][0]} buy"
    return Card("Orders", value, f"for {wording.day(context.executes_in)}, {context.deal_price}", "orders")


def _account_card(context: ReportContext, account_nav: pd.DataFrame) -> Card:
    label = f"Account, {context.currency}"
    if account_nav.empty:
        return Card(label, wording.MISSING, "nothing booked yet", "account")
    newest = account_nav.iloc[-1]
    in_cash = wording.percent(newest["cash"] / newest["nav"])
    return Card(label, wording.amount(newest["nav"]), f"cash {in_cash}", "account")


def _data_card(data_quality: pd.DataFrame) -> Card:
    errors, warnings = _count(data_quality, "error"), _count(data_quality, "warning")
    return Card("Data", wording.plural(errors, "error"), wording.plural(warnings, "warning"), "data", errors > 0)


def _orders_sentence(context: ReportContext, orders: pd.DataFrame) -> str:
    totals = measures.order_totals(orders)
    sales, buys = totals["sell"][0], totals["buy"][0]
    when = f"{wording.long_day(context.executes_in)} at the {context.deal_price}"
    if not sales and not buys:
        why = "" if context.is_decided else f": the strategy decides at {context.decides}, and this is none"
        return f"There is nothing to trade on {when}{why}."
    return f"{wording.plural(sales, 'sale')} and {wording.plural(buys, 'buy')} are due on {when}."


def _count(data_quality: pd.DataFrame, severity: str) -> int:
    return int((data_quality["severity"] == severity).sum()) if len(data_quality) else 0

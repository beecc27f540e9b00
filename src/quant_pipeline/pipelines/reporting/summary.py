"""The summary a run ends with, for a terminal of a hundred columns."""

from collections.abc import Mapping, Sequence

import pandas as pd

LISTED_ORDERS = 12


def summarise_run(
    title: str,
    ic_series: pd.DataFrame,
    performance: Mapping[str, float],
    comparison: pd.DataFrame,
    orders: pd.DataFrame,
    account_nav: pd.DataFrame,
    report: str,
    next_commands: Sequence[tuple[str, str]],
) -> str:
    """Write the summary.

    Parameters
    ----------
    title
        Account and session.
    ic_series, performance, comparison, orders, account_nav
        The tables of the report.
    report
        Where the page lies.
    next_commands
        ``(command, what it does)``.

    Returns
    -------
    str
        Plain text.
    """
    newest = account_nav.iloc[-1]
    parts = [
        title,
        "",
        _information(ic_series),
        "",
        _backtest(performance),
        "",
        _comparison(comparison),
        "",
        f"Account: net asset value {newest['nav']:,.2f} USD, cash {newest['cash']:,.2f} USD.",
        _orders(orders),
        "",
        f"Report: {report}",
        "",
        "Next:",
        *(f"  {command:<64} {what}" for command, what in next_commands),
    ]
    return "\n".join(parts) + "\n"


def _information(ic_series: pd.DataFrame) -> str:
    by_model = ic_series.groupby("model")[["ic", "rank_ic"]]
    mean, deviation = by_model.mean(), by_model.std(ddof=1)
    lines = [f"{'Out of sample':<28} {'IC':>8} {'rank IC':>8} {'rank ICIR':>10} {'sessions':>9}"]
    for model in sorted(mean.index, key=lambda name: (name == "fused", name)):
        stability = mean.loc[model, "rank_ic"] / deviation.loc[model, "rank_ic"]
        sessions = by_model.count().loc[model, "rank_ic"]
        lines.append(
            f"{model:<28} {mean.loc[model, 'ic']:>+8.4f} {mean.loc[model, 'rank_ic']:>+8.4f} {stability:>10.2f} {sessions:>9}"
        )
    return "\n".join(lines)


def _backtest(performance: Mapping[str, float]) -> str:
    rows = (
        ("return per year", "annualised_return", "benchmark_annualised_return", ".1%"),
        ("volatility per year", "annualised_volatility", None, ".1%"),
        ("Sharpe ratio", "sharpe", None, ".2f"),
        ("maximum drawdown", "maximum_drawdown", "benchmark_maximum_drawdown", ".1%"),
    )
    lines = [f"{'Backtest of the fused score':<28} {'strategy':>9} {'benchmark':>10}"]
    for label, key, reference, style in rows:
        right = format(performance[reference], style) if reference else ""
        lines.append(f"{label:<28} {format(performance[key], style):>9} {right:>10}".rstrip())
    return "\n".join(lines)


def _comparison(comparison: pd.DataFrame) -> str:
    lines = [f"{'Combination':<28} {'rank IC':>8} {'return':>8} {'Sharpe':>7} {'drawdown':>9}"]
    for row in comparison.itertuples(index=False):
        lines.append(
            f"{row.combination:<28} {row.rank_ic:>+8.4f} {row.annualised_return:>8.1%} {row.sharpe:>7.2f} {row.maximum_drawdown:>9.1%}"
        )
    return "\n".join(lines)


def _orders(orders: pd.DataFrame) -> str:
    dealing = orders[orders["side"] != "hold"]
    counts = orders["side"].value_counts()
    lines = [f"Orders for the next session: {counts.get('sell', 0)} sell, {counts.get('buy', 0)} buy, {counts.get('hold', 0)} hold."]
    for row in dealing.head(LISTED_ORDERS).itertuples(index=False):
        lines.append(f"  {row.side:<5} {row.instrument:<6} {row.quantity:>8,}  at about {row.reference_price:>9,.2f}  {row.reason}"[:100])
    if len(dealing) > LISTED_ORDERS:
        lines.append(f"  … and {len(dealing) - LISTED_ORDERS} more in the report")
    return "\n".join(lines)

"""Sections on the account: what executing has cost, what the portfolio has earned and risked."""

from __future__ import annotations

from typing import Any

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.pipelines.analysis import figures
from quant_pipeline.pipelines.analysis.analysed import AnalysedAccount, band_columns
from quant_pipeline.reports import wording
from quant_pipeline.reports.definitions import define
from quant_pipeline.reports.elements import Column, Html, code, details, paragraph, picture, section, table
from quant_pipeline.trading.shadow.causes import CAUSES
from quant_pipeline.trading.shadow.shortfall import PARTS

SHOWN = 20
SHARES = (
    "total_return", "annualised_return", "annualised_volatility", "maximum_drawdown", "win_rate", "tracking_error",
    "benchmark_total_return", "annualised_excess_return", "alpha",
)  # fmt: skip
"""Measures that are fractions."""
MEASURES = {
    "total_return": "return",
    "annualised_return": "return a year",
    "annualised_volatility": "volatility a year",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "maximum_drawdown": "deepest drawdown",
    "longest_drawdown_sessions": "longest drawdown, sessions",
    "win_rate": "sessions with a gain",
    "annualised_turnover": "turnover a year",
    "benchmark_total_return": "return of the benchmark",
    "annualised_excess_return": "return a year over the benchmark",
    "tracking_error": "tracking error a year",
    "information_ratio": "information ratio",
    "beta": "beta to the benchmark",
    "alpha": "alpha a year",
}


def execution_section(page: AnalysedAccount, shadow_sessions: pd.DataFrame) -> Html:
    """Show what executing has cost, and how far the account is from its shadow."""
    groups, around, excursions, slippage = (
        page.tables[name] for name in ("execution", "surroundings", "excursions", "slippage")
    )
    currency = page.currency
    parts = [
        paragraph(
            "Implementation shortfall: what a portfolio that executes every decision at its close, for nothing, has "
            "earned more by the close of the session. Its four parts sum to it; costs are positive."
        )
    ]
    if groups.empty:
        parts.append(paragraph("No order has been planned yet.", style="empty"))
    else:
        columns = [
            Column("of", "orders", kind="text"),
            Column("orders", "number", wording.count),
            Column("executed", "executed", wording.count),
            *(Column(part, f"{part}, {currency}", wording.amount_signed) for part in PARTS),
            Column("shortfall", f"shortfall, {currency}", wording.amount_signed),
            Column("shortfall_bps", "in bp", wording.ratio),
            *band_columns(wording.ratio),
            Column("share_of_volume", "of the volume", wording.percent_exact),
        ]
        parts.append(table(groups, columns, "Shortfall of planned orders", strong="all orders"))
    parts += _surroundings(around)
    parts += _slippage(page, slippage)
    parts += _shadow(page, shadow_sessions)
    if len(excursions):
        worst = excursions.sort_values("worst").head(SHOWN)
        columns = [
            Column("instrument", "instrument", kind="text"),
            Column("opened", "bought", wording.day),
            Column("closed", "sold", wording.day),
            Column("return", "return", wording.percent_signed, "signed"),
            Column("worst", "lowest", wording.percent_signed),
            Column("best", "highest", wording.percent_signed),
            Column("realised_profit", f"profit, {currency}", wording.amount_signed, "signed"),
        ]
        middle = excursions[["worst", "best"]].median()
        sentence = (
            f"While they were held, {wording.plural(len(excursions), 'round trip')} were in the middle "
            f"{wording.percent_signed(middle['worst'])} at worst and {wording.percent_signed(middle['best'])} at best."
        )
        caption = f"The {len(worst)} with the lowest lows"
        parts += [paragraph(sentence), details("Excursions of round trips", table(worst, columns, caption))]
    return section("execution", "Execution", *parts)


def _surroundings(around: pd.DataFrame) -> list[Html]:
    """Show how much of the volume executed orders were, and how far the session went against and with them."""
    if around.empty:
        return []
    headings = {"share_of_volume": "of the volume", "adverse": "at worst", "favourable": "at best"}
    columns = [Column("of", "executed orders", kind="text"), Column("orders", "number", wording.count)]
    for name, heading in headings.items():
        ends = (
            Column(f"{name}_{end}", word, wording.percent_exact) for end, word in (("lower", "from"), ("upper", "to"))
        )
        columns += [Column(name, heading, wording.percent_exact), *ends]
    caption = "Share of the volume, and the extremes of the session against the price of the fills"
    return [table(around, columns, caption, strong="all orders")]


def _slippage(page: AnalysedAccount, slippage: pd.DataFrame) -> list[Html]:
    if slippage.empty:
        least = f"{page.rules.min_orders} executed orders in {wording.plural(page.rules.min_sessions, 'session')}"
        return [paragraph(f"Slippage is proposed from {least} on.", style="empty")]
    columns = [
        Column("parameter", "parameter", kind="text"),
        *(Column(name, heading, _six_decimals)
          for name, heading in (("present", "present"), ("proposed", "proposed"), ("lower", "from"), ("upper", "to"))),
        Column("orders", "orders", wording.count),
        Column("sessions", "sessions", wording.count),
    ]  # fmt: skip
    command = in_environment("kedro account adopt-slippage", page.account)
    return [
        table(slippage, columns, "Slippage of cost_rules, as fills have really paid it"),
        paragraph("To let the backtest pay it: ", code(command)),
    ]


def _six_decimals(value: float) -> str:
    return f"{value:.6f}".replace("-", "\N{MINUS SIGN}")


def _shadow(page: AnalysedAccount, shadow_sessions: pd.DataFrame) -> list[Html]:
    if shadow_sessions.empty:
        return []
    sessions = wording.plural(len(shadow_sessions), "session")
    if not shadow_sessions["difference"].any():
        return [paragraph(f"Over {sessions} the account earned to the cent what its shadow earned.")]
    sums = shadow_sessions[[*CAUSES]].sum()
    rows = pd.DataFrame({"cause": [cause.replace("_", " ") for cause in sums.index], "amount": sums.to_numpy()})
    whole = pd.DataFrame({"cause": ["difference"], "amount": [shadow_sessions["difference"].sum()]})
    shown = pd.concat([rows[rows["amount"] != 0], whole])
    columns = [
        Column("cause", "cause", kind="text"),
        Column("amount", f"earned less than the backtest, {page.currency}", wording.price),
    ]
    caption = f"Account against its shadow over {sessions}"
    return [
        picture(figures.draw_shadow(shadow_sessions, page.currency), "shadow"),
        table(shown, columns, caption, strong="difference"),
    ]


def portfolio_section(page: AnalysedAccount) -> Html:
    """Show returns, round trips, concentration and how long selling everything would take."""
    measures, trips, spread, exits = (
        page.tables[name] for name in ("portfolio", "round_trips", "concentration", "exit")
    )
    parts: list[Html] = []
    if measures.empty:
        parts.append(paragraph("Two closes are needed before anything can be measured.", style="empty"))
    else:
        parts += [paragraph(define(measures["measure"])), _measures(measures)]
    columns = [
        Column("held", "held", kind="text"),
        Column("round_trips", "round trips", wording.count),
        Column("hit_rate", "with a gain", wording.percent),
        *band_columns(wording.percent),
        Column("mean_return", "mean return", wording.percent_exact),
        Column("mean_lower", "from", wording.percent_exact),
        Column("mean_upper", "to", wording.percent_exact),
        Column("profit", f"profit, {page.currency}", wording.amount_signed, "signed"),
    ]
    parts.append(table(trips, columns, "Round trips by the time they were held", strong="all"))
    if len(spread) and not spread["holdings"].iloc[-1]:
        parts.append(paragraph("Nothing is held at the newest close."))
    elif len(spread):
        newest = spread.iloc[-1]
        parts.append(
            paragraph(
                f"{wording.plural(int(newest['holdings']), 'holding')}, as spread as "
                f"{wording.ratio(newest['effective_holdings'])} equal ones; the largest is "
                f"{wording.percent(newest['largest'])} of the account, the five largest "
                f"{wording.percent(newest['five_largest'])}, and {wording.percent(newest['invested'])} is invested."
            )
        )
    if len(exits):
        slowest = exits["sessions_to_exit"].max()
        within = float(exits.loc[exits["sessions_to_exit"] <= 1, "weight"].sum() / exits["weight"].sum())
        part = wording.percent(page.rules.exit_participation)
        took = (
            "cannot be said: some had no volume" if slowest == float("inf") else wording.plural(int(slowest), "session")
        )
        parts.append(
            paragraph(
                f"Selling everything at {part} of the median volume takes {took}; {wording.percent(within)} of what is "
                "held can go in one session."
            )
        )
    return section("portfolio", "Portfolio", *parts)


def _measures(measures: pd.DataFrame) -> Html:
    known = measures[measures["measure"].isin(MEASURES)]
    rows = pd.DataFrame(
        {
            "measure": known["measure"].map(MEASURES),
            **{
                name: [_measure(measure, value) for measure, value in zip(known["measure"], known[name], strict=True)]
                for name in ("value", "lower", "upper")
            },
            "sessions": known["sessions"],
        }
    )
    columns = [
        Column("measure", "measure", kind="text"),
        Column("value", "value"),
        Column("lower", "from"),
        Column("upper", "to"),
        Column("sessions", "sessions", wording.count),
    ]
    return table(rows, columns, "Returns of the account, without flows")


def _measure(measure: str, value: Any) -> str:
    if measure in SHARES:
        return wording.percent_exact(value)
    if measure == "annualised_turnover":
        return wording.times(value)
    return wording.count(value) if measure.endswith("sessions") else wording.ratio(value)

"""Sections on what models have known, and on what the account owes to risk factors."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.pipelines.analysis import figures
from quant_pipeline.pipelines.analysis.analysed import AnalysedAccount, band_columns
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, details, paragraph, picture, run_first, section, table

PART_WORDS = {"not_modelled": "not modelled", "other": "corrections and others", "profit": "profit"}


def models_section(page: AnalysedAccount, decay: pd.DataFrame | None) -> Html:
    """Show what the models have known, what each adds and how alike they are."""
    measured, left_out, alike = (page.tables[name] for name in ("models", "left_out", "alike"))
    columns = [
        Column("model", "model", kind="text"),
        Column("rank_ic", "rank IC", wording.coefficient),
        *band_columns(wording.coefficient),
        Column("rank_icir", "rank ICIR", wording.ratio),
        Column("long_rank_ic", "among the best", wording.coefficient),
        Column("long_lower", "from", wording.coefficient),
        Column("long_upper", "to", wording.coefficient),
        Column("sessions", "sessions", wording.count),
    ]
    stability = [
        Column("model", "model", kind="text"),
        Column("score_psi", "PSI of scores", wording.score),
        Column("stability", "scores are", kind="text"),
        Column("cusum", "CUSUM of rank IC", wording.ratio),
        Column("cusum_p", "p", wording.score),
        Column("turned", "furthest on", wording.day),
        Column("sessions", "sessions", wording.count),
    ]
    parts = [
        paragraph(
            "Out of sample, on the account's label. Among the best is the rank IC of the instruments that the strategy "
            "could hold. PSI compares the newest scores with those of validation. CUSUM asks whether the rank IC has "
            "kept its mean: a small p says that it has not, and the session where the path was furthest is where it "
            "turned."
        ),
        table(measured, columns, "What each model has known"),
        table(measured, stability, "Whether it is still what it was"),
    ]
    if len(left_out):
        parts.append(
            table(
                left_out,
                [
                    Column("model", "left out", kind="text"),
                    Column("with_all", "rank IC with all", wording.coefficient),
                    Column("without", "without it", wording.coefficient),
                    Column("adds", "it adds", wording.coefficient, "signed"),
                    *band_columns(wording.coefficient),
                    Column("sessions", "sessions", wording.count),
                ],
                "The default combination without each of its members, paired by session",
            )
        )
    if decay is None or decay.empty:
        parts.append(run_first("Decay over horizons and spreads of quantiles are those of the model report.",
                               page.run("model_report")))  # fmt: skip
    else:
        columns = [
            Column("factor", "model", kind="text"),
            Column("horizon", "horizon", wording.count),
            Column("rank_ic", "rank IC", wording.coefficient),
            Column("rank_ic_lower", "from", wording.coefficient),
            Column("rank_ic_upper", "to", wording.coefficient),
            Column("spread", "spread of quantiles", wording.percent_exact),
            Column("spread_t", "t", wording.ratio),
            Column("sessions", "sessions", wording.count),
        ]
        parts.append(details("Decay over horizons, by the model report", table(decay, columns, "Rank IC by horizon")))
    if len(alike):
        wide = alike.assign(pair=alike["one"] + " · " + alike["other"])
        wide = wide.pivot(index="quarter", columns="pair", values="correlation").reset_index()
        pairs = [Column(str(name), str(name), wording.ratio) for name in wide.columns[1:]]
        caption = "Mean correlation of ranks within sessions, by quarter"
        columns = [Column("quarter", "quarter", kind="text"), *pairs]
        parts.append(details("How alike the models are", table(wide, columns, caption)))
    return section("models", "Models", *parts)


def risk_section(page: AnalysedAccount) -> Html:
    """Show what the account owes to factors, beside the exposures of the backtest."""
    names = ("attribution", "attribution_summary", "exposures", "loadings", "factor_quality")
    attribution, summary, exposures, loadings, quality = (page.tables[name] for name in names)
    currency = page.currency
    parts = [
        paragraph(
            "Factors are those of this universe: exposures come from bars up to the close before the session that they "
            "explain, and size is the traded value, a proxy. The parts of each session sum to the change of the net "
            "asset value; the rest is what no part explains, such as dividends that are paid after their ex-date."
        )
    ]
    if len(quality):
        explained = wording.percent(float(quality["r_squared"].mean()))
        parts.append(paragraph(f"In the mean they explain {explained} of the variance of a session across "
                               f"{wording.count(quality['instruments'].mean())} instruments."))  # fmt: skip
    parts.append(picture(figures.draw_attribution(attribution, currency), "attribution"))
    named = summary.assign(part=summary["part"].map(lambda part: PART_WORDS.get(part, part)))
    columns = [
        Column("part", "part", kind="text"),
        Column("amount", f"amount, {currency}", wording.amount_signed, "signed"),
        Column("mean_bps", "mean, bp a session", wording.ratio),
        *band_columns(wording.ratio),
        Column("sessions", "sessions", wording.count),
    ]
    parts.append(table(named, columns, "Where the profit comes from", strong="profit"))
    if len(exposures):
        columns = [
            Column("factor", "factor", kind="text"),
            Column("portfolio", "of", kind="text"),
            Column("newest", "newest", wording.ratio),
            Column("mean", "mean", wording.ratio),
            *band_columns(wording.ratio),
            Column("sessions", "sessions", wording.count),
        ]
        parts += [
            picture(figures.draw_exposures(exposures), "exposures"),
            details(
                "All exposures", table(exposures, columns, "Market is the invested part; styles are in deviations")
            ),
        ]
    parts += _loadings(page, loadings)
    return section("risk", "Risk factors", *parts)


def _loadings(page: AnalysedAccount, loadings: pd.DataFrame) -> list[Html]:
    if loadings.empty:
        sentence = f"How returns move with factors is measured from {page.rules.min_sessions} sessions on."
        return [paragraph(sentence, style="empty")]
    columns = [
        Column("factor", "factor", kind="text"),
        Column("loading", "loading", wording.ratio),
        *band_columns(wording.ratio),
        Column("t", "t", wording.ratio),
        Column("contribution", "brings a year", wording.percent_exact),
    ]
    parts = []
    for (portfolio, sort), rows in loadings.groupby(["portfolio", "factors"], sort=False):
        first = rows.iloc[0]
        caption = (
            f"Returns of the {portfolio} on {sort}: {wording.plural(int(first['sessions']), 'session')}, "
            f"{wording.percent(first['r_squared'])} explained; alpha is a year of it"
        )
        parts.append(details(f"{str(portfolio).capitalize()} on {sort}", table(rows, columns, caption)))
    return parts

"""What the account owes to risk factors: attribution in money, exposures beside the backtest's, loadings with bands."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.risk_factors.attribution import NOT_MODELLED, PARTS, RiskModel
from quant_pipeline.evaluation.risk_factors.exposures import STYLES
from quant_pipeline.evaluation.risk_factors.loadings import LOADING_COLUMNS, measure_loadings
from quant_pipeline.evaluation.risk_factors.regression import MARKET
from quant_pipeline.pipelines.analysis.bands import mean_with_band
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters

MONEY = (*PARTS, "trading", "costs", "interest", "other", "rest")
"""Parts of the change of the net asset value beside the flow."""
ATTRIBUTION_COLUMNS = {
    "date": "datetime64[ns]",
    "change": "float64",
    "flow": "float64",
    **dict.fromkeys(MONEY, "float64"),
}
SUMMARY_COLUMNS = ["part", "amount", "mean_bps", "lower", "upper", "sessions"]
EXPOSURE_COLUMNS = ["portfolio", "factor", "newest", "mean", "lower", "upper", "sessions"]
TICK = Decimal("0.0001")


def attribute_sessions(profits: pd.DataFrame, holdings: pd.DataFrame, model: RiskModel) -> pd.DataFrame:
    """Cut every session's change of the net asset value into factors, sectors, selection, trading, costs, and a rest.

    Parameters
    ----------
    profits, holdings
        As returned by `quant_pipeline.trading.ledger.profit_parts.profit_parts`.
    model
        Exposures and factors.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``change``, ``flow`` and the parts `MONEY`, which sum to ``change`` with the flow. ``rest`` is what no
        part explains: dividends that are paid later than they are ex, taxes on them, cash for fractions. Holdings
        earned over more than one session, where sessions before were never closed, are ``not_modelled``.
    """
    by_session = dict(tuple(holdings.groupby("date")))
    rows = []
    for each in profits.itertuples(index=False):
        held = by_session.get(each.date)
        values = pd.Series(dtype="float64") if held is None else held.set_index("instrument")["value"]
        parts = dict.fromkeys(PARTS, 0.0)
        if _is_one_session(model.exposures.sessions, each.since, each.date):
            parts = model.attribute(each.date, values)
        else:
            parts[NOT_MODELLED] = each.holdings
        parts |= {name: getattr(each, name) for name in MONEY[len(PARTS) : -1]}
        exact = {name: Decimal(str(amount)).quantize(TICK) for name, amount in parts.items()}
        change, flow = (Decimal(str(amount)).quantize(TICK) for amount in (each.change, each.flow))
        rest = change - flow - sum(exact.values(), Decimal(0))
        rows.append({"date": each.date, "change": change, "flow": flow, **exact, "rest": rest})
    return pd.DataFrame(rows, columns=list(ATTRIBUTION_COLUMNS)).astype(ATTRIBUTION_COLUMNS)


def _is_one_session(sessions: pd.DatetimeIndex, since: pd.Timestamp, date: pd.Timestamp) -> bool:
    before, at = sessions.get_indexer([since, date])
    return bool(before >= 0 and at == before + 1)


def returns_of_one_session(returns: pd.Series, sessions: pd.DatetimeIndex) -> pd.Series:
    """Keep the returns from one session to the next: the factors of one session do not explain those over several.

    Parameters
    ----------
    returns
        Return since the row before, by session; the first one has none before it.
    sessions
        All sessions of the market.
    """
    places = sessions.get_indexer(returns.index)
    is_next = np.diff(places, prepend=-2) == 1
    return returns[is_next & (places > 0)]


def summarise_attribution(
    attribution: pd.DataFrame, profits: pd.DataFrame, parameters: AnalysisParameters
) -> pd.DataFrame:
    """Sum every part up, with the band of its mean in basis points of the net asset value of the close before.

    Returns
    -------
    pandas.DataFrame
        ``part`` (the last one is the whole), ``amount``, ``mean_bps`` a session with its band, ``sessions``.
    """
    base = profits["before"] + profits["flow"]
    counted = (base > 0).to_numpy()
    whole = attribution.assign(profit=attribution["change"] - attribution["flow"])
    rows = []
    for part in (*MONEY, "profit"):
        bps = (whole[part] / base * 1e4)[counted]
        band = mean_with_band(bps, parameters.min_sessions, parameters.confidence)
        rows.append((part, whole[part].sum(), *band[:3], band.cases))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def compare_exposures(
    portfolios: Mapping[str, pd.DataFrame], model: RiskModel, parameters: AnalysisParameters
) -> pd.DataFrame:
    """List the exposures of portfolios at their closes, the newest and the mean.

    Parameters
    ----------
    portfolios
        By name: ``date``, ``instrument``, ``value``, ``nav``; a session in which nothing is held is a row without an
        instrument.
    model
        Exposures.
    parameters
        Minimum of sessions, confidence.

    Returns
    -------
    pandas.DataFrame
        ``portfolio``, ``factor`` (market, which is the invested part, then styles, then sectors), ``newest``, ``mean``
        with its band, ``sessions``. A session of which the model knows nothing has none.
    """
    rows = []
    for name, table in portfolios.items():
        days = sorted(table["date"].unique())[-parameters.sessions :]
        found = pd.DataFrame(
            {
                day: model.exposure_of(day, _values(held), float(held["nav"].iloc[0]))
                for day, held in table[table["date"].isin(days)].groupby("date")
            }
        ).T
        styles = [factor for factor in (MARKET, *STYLES) if factor in found.columns]
        for factor in (*styles, *sorted(set(found.columns) - set(styles))):
            # What is not held in a known session is 0; of an unknown session nothing is known.
            series = found[factor].fillna(0.0).where(found[MARKET].notna())
            band = mean_with_band(series, parameters.min_sessions, parameters.confidence, horizon=5)
            rows.append((name, factor, series.iloc[-1], *band[:3], band.cases))
    return pd.DataFrame(rows, columns=EXPOSURE_COLUMNS)


def _values(held: pd.DataFrame) -> pd.Series:
    return held.dropna(subset="instrument").set_index("instrument")["value"]


def measure_all_loadings(
    returns: Mapping[str, pd.Series], factors: Mapping[str, pd.DataFrame], parameters: AnalysisParameters
) -> pd.DataFrame:
    """Regress the returns of portfolios on every set of factors: own styles, published ones.

    Returns
    -------
    pandas.DataFrame
        ``portfolio``, ``factors``, then the columns of `measure_loadings`; no rows where there are too few sessions.
    """
    tables = []
    for name, series in returns.items():
        for sort, table in factors.items():
            found = measure_loadings(
                series.tail(parameters.sessions), table, parameters.min_sessions, parameters.confidence
            )
            if found is not None:
                tables.append(found.assign(portfolio=name, factors=sort))
    columns = ["portfolio", "factors", *LOADING_COLUMNS]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)

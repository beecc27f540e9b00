"""Nodes of features: panels of factors, and labels."""

import pandas as pd
from pydantic import PositiveInt

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors import labels
from quant_pipeline.factors.feature_sets import FeatureSet, with_traded
from quant_pipeline.factors.model_label import ModelLabel
from quant_pipeline.factors.panel_parts import PanelInParts, change_panel, compute_in_parts
from quant_pipeline.factors.precomputed import check_file_factors, join_file_factors
from quant_pipeline.market.data import said_to_come_from, source_of


class LabelParameters(ModelLabel):
    """What the models learn to predict, unless their entry in the registry says otherwise.

    Attributes
    ----------
    horizon
        Sessions between buying and selling.
    """

    horizon: PositiveInt = 1


def compute_feature_set(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DataFrame,
    feature_set: FeatureSet,
    factor_file: pd.DataFrame | None = None,
) -> pd.DataFrame | PanelInParts:
    """Evaluate all factors of a set on the whole history, and join those of its file.

    Returns
    -------
    pandas.DataFrame or PanelInParts
        Panel ``(datetime, instrument) × factor``, float32; the row of a session uses bars up to its close. Beside the
        factors, `TRADED` marks the rows whose instrument has a bar in the session. ``attrs`` say what made the bars. A
        panel above `PART_BYTES` is computed when it is saved, some years at a time.
    """
    days, source = pd.DatetimeIndex(sessions["date"]), source_of(adjusted_bars)
    computed = compute_in_parts(adjusted_bars, with_traded(feature_set.computed_expressions()), days, divided=True)
    if factor_file is None:
        return change_panel(computed, lambda panel: said_to_come_from(source, panel))
    instruments, file = pd.Index(adjusted_bars["instrument"].unique()), str(feature_set.file)
    given = check_file_factors(factor_file, feature_set.file_factors, days, instruments, file)
    return change_panel(computed, lambda panel: said_to_come_from(source, join_file_factors(panel, given)))


def compute_labels(
    adjusted_bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    label: LabelParameters,
    market_rules: MarketRules,
) -> pd.DataFrame:
    """Compute the return that a decision at each session would have earned.

    Returns
    -------
    pandas.DataFrame
        Panel with the one column ``label``. The label of session ``t`` is known at the execution price of
        ``t + 1 + horizon``; rows whose future has not happened yet are missing values. A position that is delisted on
        the way exits at what it received. ``attrs["expression"]`` says what it is; Parquet keeps it.
    """
    calendar = pd.DatetimeIndex(sessions["date"])
    horizons = {"label": label.horizon}
    price = label.price or market_rules.deal_price
    table = labels.compute_labels(adjusted_bars, corporate_actions, calendar, price, horizons)
    table.attrs["expression"] = labels.expression_of(label, market_rules.deal_price)
    return table

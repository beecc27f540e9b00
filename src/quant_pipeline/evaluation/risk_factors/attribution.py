"""What a portfolio owes to factors, session by session, in money; the parts sum to what its holdings earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.risk_factors.exposures import STYLES, Exposures
from quant_pipeline.evaluation.risk_factors.regression import MARKET, SECTOR, FactorReturns, SessionFit

SELECTION, NOT_MODELLED = "selection", "not_modelled"
PARTS = (MARKET, "sectors", *STYLES, SELECTION, NOT_MODELLED)


@dataclass(frozen=True)
class RiskModel:
    """Exposures and the factors that follow from them."""

    exposures: Exposures
    factors: FactorReturns

    def attribute(self, session: pd.Timestamp, values: pd.Series) -> dict[str, float]:
        """Cut the profit of holdings in a session into factors, sectors and selection.

        Parameters
        ----------
        session
            Session.
        values
            Value at the close before by instrument.

        Returns
        -------
        dict of float
            `PARTS`. What has no exposures, and everything in a session without factors, is ``not_modelled``. The sum is
            ``values`` times the total returns of the session; an instrument without a return has none.
        """
        parts = dict.fromkeys(PARTS, 0.0)
        row = self._row(session)
        if row is None:
            return parts
        places = self.exposures.instruments.get_indexer(values.index)
        held = values.to_numpy(dtype=np.float64)[places >= 0]
        places = places[places >= 0]
        earned = np.nan_to_num(self.exposures.returns[row][places])
        fit = self.factors.fits.get(session)
        if fit is None:
            return parts | {NOT_MODELLED: float(held @ earned)}
        styles = self.exposures.styles[row - 1][places]
        sectors, has_sector = self._sector_returns(fit, places)
        known = np.isfinite(styles).all(axis=1) & has_sector
        factors = dict(zip(fit.names, fit.values, strict=True))
        by_style = np.array([factors[style] for style in STYLES])
        money = held[known]
        parts[MARKET] = float(money.sum() * factors[MARKET])
        parts["sectors"] = float(money @ sectors[known])
        for place, style in enumerate(STYLES):
            parts[style] = float(money @ styles[known][:, place] * by_style[place])
        expected = factors[MARKET] + sectors[known] + styles[known] @ by_style
        parts[SELECTION] = float(money @ (earned[known] - expected))
        parts[NOT_MODELLED] = float(held[~known] @ earned[~known])
        return parts

    def exposure_of(self, session: pd.Timestamp, values: pd.Series, base: float) -> dict[str, float]:
        """Return the exposures of a portfolio at a close: market (invested part), each sector, each style.

        Parameters
        ----------
        session
            Session.
        values
            Value by instrument.
        base
            Net asset value that they are parts of.
        """
        row = self._row(session, closes=True)
        if row is None or not base > 0:
            return {}
        places = self.exposures.instruments.get_indexer(values.index)
        weights = values.to_numpy(dtype=np.float64)[places >= 0] / base
        places = places[places >= 0]
        styles = np.nan_to_num(self.exposures.styles[row][places])
        sectors = self.exposures.sectors.fillna("unknown").to_numpy(dtype=str)[places]
        found = {MARKET: float(weights.sum())}
        found |= {f"{SECTOR}{name}": float(weights[sectors == name].sum()) for name in sorted({*sectors})}
        return found | {style: float(weights @ styles[:, place]) for place, style in enumerate(STYLES)}

    def _row(self, session: pd.Timestamp, closes: bool = False) -> int | None:
        row = int(self.exposures.sessions.get_indexer([session])[0])
        return row if row >= (0 if closes else 1) else None

    def _sector_returns(self, fit: SessionFit, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors = dict(zip(fit.names, fit.values, strict=True))
        names = self.exposures.sectors.fillna("unknown").to_numpy(dtype=str)[places]
        found = [factors.get(f"{SECTOR}{name}") for name in names]
        known = np.array([v is not None for v in found], dtype=bool)
        return np.array([0.0 if value is None else value for value in found], dtype=np.float64), known

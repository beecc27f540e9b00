"""Invented tickers and company names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

SECTORS = (
    "Technology",
    "Financials",
    "Health Care",
    "Industrials",
    "Consumer",
    "Energy",
    "Utilities",
    "Materials",
)
_BUSINESS = {
    "Technology": ("Systems", "Semiconductor", "Software"),
    "Financials": ("Bancorp", "Insurance", "Capital"),
    "Health Care": ("Therapeutics", "Devices", "Laboratories"),
    "Industrials": ("Machinery", "Logistics", "Aerospace"),
    "Consumer": ("Brands", "Stores", "Foods"),
    "Energy": ("Petroleum", "Drilling", "Renewables"),
    "Utilities": ("Power", "Water", "Gas"),
    "Materials": ("Chemicals", "Mining", "Paper"),
}
_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


def name_instruments(rng: np.random.Generator, sector: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Invent a ticker of four letters and a company for every instrument.

    Parameters
    ----------
    rng
        Source of randomness.
    sector
        Place in `SECTORS` of every instrument.

    Returns
    -------
    pandas.DataFrame
        ``instrument`` (unique), ``name``, ``sector``.
    """
    stems: list[str] = []
    while len(stems) < len(sector):
        letters = [rng.choice(list(alphabet)) for alphabet in (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS)]
        stem = "".join(letters)
        if stem not in stems:
            stems.append(stem)
    names = [
        f"{stem.capitalize()} {rng.choice(_BUSINESS[SECTORS[index]])}"
        for stem, index in zip(stems, sector, strict=True)
    ]
    return pd.DataFrame(
        {"instrument": [stem.upper() for stem in stems], "name": names, "sector": [SECTORS[index] for index in sector]},
        dtype="str",
    )

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
_SHORT = (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS)
_LONG = (*_SHORT, _CONSONANTS, _VOWELS)
_MOST_SHORT = 2_000
"""Names up to which tickers have four letters, of which there are 4,900: beyond, most that are drawn are taken."""


def name_instruments(rng: np.random.Generator, sector: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Invent a ticker of four letters, in a large market of six, and a company for every instrument.

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
    alphabets = [list(alphabet) for alphabet in (_SHORT if len(sector) <= _MOST_SHORT else _LONG)]
    stems: dict[str, None] = {}
    while len(stems) < len(sector):
        stems["".join(rng.choice(alphabet) for alphabet in alphabets)] = None
    names = [
        f"{stem.capitalize()} {rng.choice(_BUSINESS[SECTORS[index]])}"
        for stem, index in zip(stems, sector, strict=True)
    ]
    return pd.DataFrame(
        {"instrument": [stem.upper() for stem in stems], "name": names, "sector": [SECTORS[index] for index in sector]},
        dtype="str",
    )

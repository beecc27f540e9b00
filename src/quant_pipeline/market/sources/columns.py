"""Names that vendors give to the same columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REQUIRED = ("date", "open", "high", "low", "close", "volume")
OPTIONAL = ("instrument", "vendor_adjusted_close", "dividend", "split")

_SYNONYMS = {
    "date": ("date", "timestamp", "datetime", "<date>"),
    "instrument": ("instrument", "symbol", "ticker", "<ticker>"),
    "open": ("open", "<open>", "1. open"),
    "high": ("high", "<high>", "2. high"),
    "low": ("low", "<low>", "3. low"),
    "close": ("close", "<close>", "4. close"),
    "volume": ("volume", "<vol>", "6. volume"),
    "vendor_adjusted_close": ("vendor_adjusted_close", "adjusted_close", "adj close", "adj_close", "5. adjusted close"),
    "dividend": ("dividend", "dividends", "dividend_amount", "7. dividend amount"),
    "split": ("split", "stock splits", "split_coefficient", "8. split coefficient"),
}
_CANONICAL = {synonym: name for name, synonyms in _SYNONYMS.items() for synonym in synonyms}

# Yahoo restates the past for every split; the other vendors deliver prices as they were traded.
_SPLIT_ADJUSTED_MARKS = ("stock splits",)


def recognise(columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Find out which column is which.

    Parameters
    ----------
    columns
        Header of a file.
    mapping
        Own mapping, our name to the file's; it wins over what is recognised.

    Returns
    -------
    dict
        The file's name to ours, for the columns that are used.
    """
    own = {theirs: ours for ours, theirs in mapping.items()}
    found: dict[str, str] = {}
    for column in columns:
        name = own.get(column) or _CANONICAL.get(column.strip().lower())
        if name is not None and (column in own or name not in mapping) and name not in found.values():
            found[column] = name
    return found


def prices_are_split_adjusted(columns: Sequence[str]) -> bool:
    """Return whether a header is that of a vendor whose prices are restated for later splits."""
    return any(column.strip().lower() in _SPLIT_ADJUSTED_MARKS for column in columns)

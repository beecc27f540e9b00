"""Names of columns as vendors write them: without quotes, blanks and units, and what the unit means."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from quant_pipeline.market.sources.files.layouts import CANONICAL, VARIANTS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CURRENCIES = _words(
    "usd eur gbp jpy cny cnh rmb hkd inr cad aud nzd chf sek nok dkk sgd krw twd brl mxn zar pln thb idr myr php try "
    "ils sar aed rub czk huf clp usdt usdc"
)
MONEY = CURRENCIES | _words("$ € £ ¥ ₹ ₩ us$ hk$ a$ c$ s$ nt$ r$ rs rs. re 元 円 원 港元 美元")
HUNDREDTHS = _words("gbx pence penny p cents cent usc usx zac ila agorot ¢")
SHARES = _words("shares share shs units nos no. 股 株 주")
MULTIPLES = {
    "k": 1e3, "000": 1e3, "'000": 1e3, "000s": 1e3, "thousand": 1e3, "thousands": 1e3, "thou": 1e3,
    "tsd.": 1e3, "千股": 1e3,
    "m": 1e6, "mn": 1e6, "mm": 1e6, "mio": 1e6, "mio.": 1e6, "mil": 1e6, "million": 1e6, "millions": 1e6,
    "万股": 1e4, "万": 1e4, "百万股": 1e6, "手": 100.0, "lots of 100": 100.0, "round lots": 100.0, "bn": 1e9,
}  # fmt: skip
"""What one unit of a volume is in shares."""
LOTS = _words("lots lot contracts")
"""Units of a volume that are of another size at every exchange."""

_IN_BRACKETS = re.compile(r"(?P<name>.*\S)\s*[(\[{]\s*(?:in\s+)?(?P<unit>[^()\[\]{}]{1,14}?)\s*[)\]}]")
_AT_END = re.compile(r"(?P<name>.*[^\s_/,-])(?:\s*[_ /-]|,)\s*(?:in\s+)?(?P<unit>[a-z$€£¥₹]{1,5})")


class ColumnName(NamedTuple):
    """A name of a column, and its unit.

    Attributes
    ----------
    name
        In small letters; without the unit where `unit` is known.
    unit
        In small letters; empty without one.
    """

    name: str
    unit: str = ""


@lru_cache(maxsize=10_000)
def column_name(text: str) -> ColumnName:
    """Split ``Close (USD)``, ``close_usd`` or ``Volume ('000)`` into name and unit; volumes of money are amounts."""
    name = " ".join(text.strip().strip("\"'").lower().split()).rstrip("* ")
    name = VARIANTS.get(name, name)
    if name in CANONICAL:
        return ColumnName(name)
    found = _IN_BRACKETS.fullmatch(name)
    if found is not None and _is_unit(found["unit"]):
        inner = column_name(found["name"]).name
        return _of_money(ColumnName(inner, found["unit"]))
    found = _AT_END.fullmatch(name)
    if found is not None and found["unit"] in MONEY | HUNDREDTHS - {"p"}:
        inner = found["name"].strip()
        inner = VARIANTS.get(inner, inner)
        if inner in CANONICAL:
            return _of_money(ColumnName(inner, found["unit"]))
    return ColumnName(name)


def _is_unit(text: str) -> bool:
    return text in MONEY or text in HUNDREDTHS or text in SHARES or text in MULTIPLES or text in LOTS


def _of_money(named: ColumnName) -> ColumnName:
    is_volume = CANONICAL.get(named.name) == "volume" and named.unit in MONEY
    return ColumnName("amount", named.unit) if is_volume else named

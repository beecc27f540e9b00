"""Codes of mainland China's shares: every vendor's spelling, read into Qlib's.

A share has six digits, and the digits alone say exchange and board. Vendors add the exchange in front or behind:
``600000.SH`` (tushare, Wind), ``sh600000`` and ``600000`` (akshare), ``sh.600000`` (baostock), ``SH600000`` (Qlib),
``600000.XSHG`` (JoinQuant, RiceQuant), ``600000.SS`` (Yahoo), ``600000.SSE`` (vn.py), ``SHSE.600000`` (MyQuant).
"""

from __future__ import annotations

import re

from quant_pipeline.common.exceptions import MarketDataError

_EXCHANGES = {
    spelling: exchange
    for exchange, spellings in {
        "SH": ("SH", "SS", "SSE", "SHSE", "XSHG"),
        "SZ": ("SZ", "SZSE", "XSHE"),
        "BJ": ("BJ", "BSE", "BJSE", "XBSE"),
    }.items()
    for spelling in spellings
}

_SHARES = {
    "SH": ("60", "688", "689"),
    "SZ": ("000", "001", "002", "003", "004", "30"),
    "BJ": ("43", "83", "87", "88", "92"),
}
"""First digits of the shares in CNY of each exchange; indices, funds, bonds and B shares have others."""

_CODE = re.compile(r"(?:([A-Z]+)\.?)?(\d{6})(?:\.?([A-Z]+))?", re.ASCII)


def begins_a_code(prefix: str) -> bool:
    """Return whether the code of a share, as `chinese_code` returns it, can begin with a text."""
    if re.fullmatch(r"(?:[A-Z]{2}\d{0,6})?", prefix, re.ASCII) is None:
        return False
    starts = [exchange + digits for exchange, each in _SHARES.items() for digits in each]
    return any(start.startswith(prefix) or prefix.startswith(start) for start in starts)


def chinese_code(instrument: str) -> str:
    """Return the code of a share in Qlib's spelling: ``SH600000``, ``SZ000001``, ``BJ430047``.

    Parameters
    ----------
    instrument
        Code in any vendor's spelling, in capitals or not.

    Raises
    ------
    MarketDataError
        When it is no code of a share, or names an exchange that the digits contradict.
    """
    read = _CODE.fullmatch(instrument.strip().upper())
    if read is None or (read[1] and read[3]):
        raise MarketDataError(
            f"{instrument!r} is no code of a Chinese share, such as 600000.SH, sh600000, sh.600000 or 600000.XSHG. "
            "Correct it, or set `market_rules.instrument_codes: as_given` and write `price_limits` of your own."
        )
    number, named = read[2], read[1] or read[3]
    exchange = next((name for name, starts in _SHARES.items() if number.startswith(starts)), None)
    if exchange is None:
        raise MarketDataError(
            f"{instrument!r} is no share in CNY of Shanghai, Shenzhen or Beijing: no board has codes that begin with "
            f"{number[:3]}. Leave indices, funds, bonds and B shares out of the universe."
        )
    if named is not None and _EXCHANGES.get(named) != exchange:
        raise MarketDataError(
            f"{instrument!r} names the exchange {named}, but {number} is a share of {exchange}. Correct the code."
        )
    return exchange + number

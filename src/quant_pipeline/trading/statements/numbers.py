"""Numbers as brokers write them: decimal marks, thousands, signs, currencies; what could be two numbers is an error."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Literal

DecimalMark = Literal[".", ","]

SYMBOLS: dict[str, tuple[str, ...]] = {
    "$": ("USD", "CAD", "AUD", "HKD", "SGD", "NZD", "MXN"),
    "€": ("EUR",),
    "£": ("GBP",),
    "¥": ("CNY", "JPY"),
    "元": ("CNY",),
    "₹": ("INR",),
    "₩": ("KRW",),
}
"""Currencies that a sign may stand for."""

_MINUS = dict.fromkeys(map(ord, "\u2212\u2012\u2013\u2014\ufe63\uff0d"), "-")
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u02bc\u00b4`"), "'")
_GROUPED = {
    ".": re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}|\d+"),
    ",": re.compile(r"\d{1,3}(?:\.\d{3})+|\d+"),
}
_SPACED = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?![ '\d])")
_SCIENTIFIC = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d+")


def read_number(text: str, mark: DecimalMark, currency: str) -> Decimal:
    """Read a number.

    Parameters
    ----------
    text
        ``1,234.50``, ``(5.00)``, ``12.34-``, ``−5``, ``$-0.88``, ``5.00 USD``, ``1'234.50``, ``1 234,50``.
    mark
        Decimal mark; the other one may separate thousands.
    currency
        Currency of the amounts; a sign or code of another one is refused.

    Raises
    ------
    ValueError
        When it is no number, or a mark is where it has no meaning.
    """
    negative, body = _signed(text, currency)
    if _SCIENTIFIC.fullmatch(body):
        return -Decimal(body) if negative else Decimal(body)
    body = _SPACED.sub(lambda found: re.sub(r"[ ']", "", found.group()), body)
    whole, point, fraction = body.rpartition(mark) if mark in body else (body, "", "")
    if point and not re.fullmatch(r"\d*", fraction):
        raise ValueError(_not_a_number(text, mark))
    if not (_GROUPED[mark].fullmatch(whole) or (whole == "" and fraction)):
        raise ValueError(_not_a_number(text, mark))
    digits = re.sub(r"\D", "", whole) or "0"
    try:
        value = Decimal(f"{digits}.{fraction}" if fraction else digits)
    except InvalidOperation:  # pragma: no cover - the patterns above leave digits only
        raise ValueError(f"'{text}' is no number") from None
    return -value if negative else value


def decimal_mark(texts: Iterable[str]) -> tuple[DecimalMark | None, str]:
    """Find out the decimal mark of a file that does not declare it.

    Parameters
    ----------
    texts
        All its numbers.

    Returns
    -------
    tuple
        The mark, or None and a number that shows that it has to be declared: it has a decimal comma, or it is a number
        such as ``1,234`` that means another thing by the other mark and the file has none that decides.
    """
    shown: dict[str, str] = {}
    for text in texts:
        shown.setdefault(_evidence(text), text)
    if "," in shown:
        return None, shown[","]
    if "." in shown:
        return ".", ""
    return (None, shown["either"]) if "either" in shown else (".", "")


def _evidence(text: str) -> str:
    body = re.sub(r"[^\d.,]", "", unicodedata.normalize("NFKC", text))
    points, commas = body.count("."), body.count(",")
    if points and commas:
        return "." if body.rindex(".") > body.rindex(",") else ","
    if points + commas == 0:
        return ""
    mark: DecimalMark = "." if points else ","
    other = "," if points else "."
    if points + commas > 1:
        return other
    whole, _, fraction = body.partition(mark)
    if len(fraction) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0"):
        return "either"
    return mark


def _signed(text: str, currency: str) -> tuple[bool, str]:
    """Take sign, brackets and currency off a number."""
    plain = unicodedata.normalize("NFKC", text).translate(_MINUS).translate(_APOSTROPHES)
    plain = " ".join(plain.split())
    if re.fullmatch(r"#[A-Z/0]+[!?]?", plain):
        raise ValueError(f"'{text}' is an error of the spreadsheet; repair the cell there")
    for symbol, meanings in SYMBOLS.items():
        if symbol in plain:
            _refuse_currency(text, meanings, currency)
            plain = plain.replace(f"US{symbol}", "").replace(symbol, "")
    for code in re.findall(r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", plain):
        _refuse_currency(text, (code,), currency)
        plain = plain.replace(code, "")
    plain = plain.strip()
    signs = re.findall(r"^\(|\)$|^[-+]|[-+]$", plain)
    if signs == ["(", ")"] and not re.search(r"[-+]", plain):
        return True, plain[1:-1].strip()
    if signs == ["-"]:
        return True, plain.strip("-").strip()
    if signs in ([], ["+"]):
        return False, plain.strip("+").strip()
    raise ValueError(f"'{text}' is no number")


def _refuse_currency(text: str, meanings: tuple[str, ...], currency: str) -> None:
    if currency not in meanings:
        raise ValueError(f"'{text}' is an amount in {meanings[0]}, the amounts of this file are in {currency}")


def _not_a_number(text: str, mark: DecimalMark) -> str:
    other = "," if mark == "." else "."
    if other in text and re.search(r"\d", text):
        return (
            f"'{text}' has a '{other}' that separates no thousands; if it is the decimal mark, set "
            f'`decimal: "{other}"` in the format'
        )
    return f"'{text}' is no number"

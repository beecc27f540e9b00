"""The currency in which an exchange states its prices."""

_CURRENCIES = {
    "USD": "XNYS XNAS NYSE NASDAQ ARCX BATS",
    "CNY": "XSHG XSHE SSE",
    "HKD": "XHKG HKEX",
    "EUR": "XETR XFRA XPAR XAMS XBRU XLIS XMIL XMAD XDUB XHEL XWBO ASEX",
    "GBP": "XLON LSE",
    "CHF": "XSWX SIX",
    "JPY": "XTKS TSE JPX",
    "CAD": "XTSE TSX",
    "AUD": "XASX ASX",
    "INR": "XBOM XNSE BSE",
    "KRW": "XKRX",
    "TWD": "XTAI",
    "SGD": "XSES",
    "SEK": "XSTO",
    "NOK": "XOSL",
    "DKK": "XCSE",
    "PLN": "XWAR",
    "BRL": "BVMF",
}


def currency_of(calendar: str) -> str | None:
    """Return the currency of the exchange of a calendar; None when it is not known."""
    return next((currency for currency, names in _CURRENCIES.items() if calendar in names.split()), None)


def unit_of_amounts(calendar: str) -> str:
    """Return what pages and summaries write behind an amount: the currency of the exchange, ``units`` if unknown."""
    return currency_of(calendar) or "units"

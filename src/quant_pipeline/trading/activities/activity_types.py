"""Alpaca's types of account activities and what each does to an account: one table for the live adapter and for files.

The types are those of the schema ``ActivityType`` as of 6 November 2026
(https://docs.alpaca.markets/us/changelog/2026-11-06-activity-types-b66d603) with the codes of earlier versions, which
old records still have. Sub types are a free text at Alpaca; those that change the meaning of their type are listed.
"""

from __future__ import annotations

from enum import StrEnum

from quant_pipeline.trading.broker_records import CashKind, PositionKind


class OtherMeaning(StrEnum):
    """What a record is that is neither cash nor a corporate action or transfer.

    ``FILL`` is an execution of an order, ``TRADE`` one that was booked without an order of the account (an exercised
    option delivers shares, an external trade), ``FOREIGN`` belongs to options and the like, ``MEMO`` changes nothing.
    """

    FILL = "fill"
    TRADE = "trade"
    FOREIGN = "foreign"
    MEMO = "memo"


ActivityMeaning = CashKind | PositionKind | OtherMeaning

# Pairs, because members of two enumerations with one word are equal.
_TYPES: tuple[tuple[ActivityMeaning, str], ...] = (
    (OtherMeaning.FILL, "FILL"),
    (OtherMeaning.TRADE, "OPTRD EXTRD TRD DVF ALLOC"),
    (OtherMeaning.FOREIGN, "OPASN OPEXP OPEXC OPCA ECEXP"),
    (OtherMeaning.MEMO, "MEM"),
    (CashKind.DIVIDEND, "DIV DIVCGL DIVCGS DIVTXEX CGD"),
    (CashKind.RETURN_OF_CAPITAL, "DIVROC"),
    (CashKind.CASH_IN_LIEU, "CIL"),
    (CashKind.FEE, "FEE CFEE PTC PTR DIVFEE"),
    (CashKind.INTEREST, "INT INTPNL"),
    (CashKind.TRANSFER, "CSD CSW CSR JNL JNLC ACATC TRANS"),
    (CashKind.TAX, "DIVNRA DIVFT DIVTW DIVWH WH INTNRA INTTW"),
    (CashKind.OTHER, "MISC SWP CORR SEG SUB OPCSH OCT INVPNL FXTRD FXCNV"),
    (PositionKind.SPLIT, "SPLIT SSP"),
    (PositionKind.SPIN_OFF, "SPIN SSO"),
    (PositionKind.MERGER, "MA REORG VOF"),
    (PositionKind.SYMBOL_CHANGE, "NC SC"),
    (PositionKind.STOCK_DIVIDEND, "DIVS"),
    (PositionKind.TRANSFER, "ACATS JNLS DTCS"),
    (PositionKind.REMOVAL, "WRM FIMAT"),
)
_SUB_TYPES: dict[tuple[str, str], ActivityMeaning] = {
    ("DIV", "SDIV"): PositionKind.STOCK_DIVIDEND,
    ("DIV", "ROC"): CashKind.RETURN_OF_CAPITAL,
    ("SPLIT", "USPLIT"): PositionKind.UNIT_SPLIT,
    ("REORG", "WRM"): PositionKind.REMOVAL,
}

ACTIVITY_TYPES: dict[str, ActivityMeaning] = {name: meaning for meaning, names in _TYPES for name in names.split()}
"""Meaning of every known type; `meaning_of` also looks at the sub type."""


def meaning_of(activity_type: str, sub_type: str = "") -> ActivityMeaning | None:
    """Return what a record of a type, and where it matters of a sub type, means; None when the type is not known."""
    # Corporate actions of options carry their sub type as in DIV.ROC under OPCA; only their type matters.
    return _SUB_TYPES.get((activity_type, sub_type), ACTIVITY_TYPES.get(activity_type))

"""From a row of a statement to what it means for the account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import Cells, plain
from quant_pipeline.trading.statements.numbers import read_number

SIDES = {"buy": "buy", "b": "buy", "bought": "buy", "sell": "sell", "s": "sell", "sld": "sell", "sold": "sell"}
COST, COST_FRACTION, PARENT = "cost", "cost_fraction", "parent"


@dataclass
class Facts:
    """What a row stands for.

    Attributes
    ----------
    kind, values
        Kind and payload of the event.
    missing
        What the row does not tell and a row written by hand has to: ``cost`` or ``cost_fraction``; empty when it is
        complete; ``parent`` when it does not name the company that a spin-off comes from.
    """

    kind: EventKind
    values: dict[str, Any]
    missing: str = ""


def interpret(cells: Cells) -> Facts:
    """Return the kind of event and the facts that a row stands for.

    Raises
    ------
    AccountError
        When a field is missing, malformed or contradicts another one.
    """
    return _MEANINGS[cells.rule.book](cells)


def _fill(cells: Cells) -> Facts:
    quantity, fee, side = cells.number("quantity"), cells.number("fee", required=False), _side(cells)
    if quantity == 0:
        raise cells.fail("quantity", "a trade needs shares")
    quantity = abs(quantity)
    sign = -1 if side == "buy" else 1
    if cells.has("price"):
        price = cells.number("price")
        cash = _cash_of_fill(cells, sign * quantity * price - fee, quantity)
    else:
        cash = cells.number("cash")
        price = (sign * (cash + fee) / quantity).quantize(Decimal("1e-8"))
    if price < 0:
        raise cells.fail("price", f"a price of {price} is negative")
    facts = {"instrument": cells.instrument(), "side": side, "quantity": plain(quantity), "price": plain(price)}
    facts |= {"fee": plain(fee), "cash": plain(cash)}
    return Facts(EventKind.FILL, {**facts, "lots": _lots(cells)} if cells.has("lots") else facts)


def _side(cells: Cells) -> str:
    if not cells.has("side"):
        return "buy" if cells.number("quantity") > 0 else "sell"
    name = cells.text("side").lower()
    if name.endswith("(ca.)"):
        # Flex queries mark a cancelled execution in the side; its amounts are those of the opposite.
        return "sell" if (cells.number("cash", required=False) or -cells.number("quantity")) > 0 else "buy"
    side = SIDES.get(name)
    if side is None:
        raise cells.fail("side", f"'{cells.text('side')}' is neither buy nor sell")
    return side


def _cash_of_fill(cells: Cells, computed: Decimal, quantity: Decimal) -> Decimal:
    if not cells.has("cash"):
        return computed
    cash = cells.number("cash")
    tolerance = Decimal(str(cells.form.tolerance))
    if cells.form.rounded_prices:
        # A price of two decimals may be half a cent off, for every share.
        exponent = cells.number("price").as_tuple().exponent
        tolerance += quantity * Decimal(5).scaleb(int(exponent) - 1)
    if abs(cash - computed) > tolerance:
        raise cells.fail("cash", f"{cash} is not what quantity, price and fees give, {plain(computed)}")
    return cash


def _lots(cells: Cells) -> list[list[str]]:
    parts = [part.rsplit("=", 1) for part in cells.text("lots").split(";")]
    if any(len(part) != 2 for part in parts):
        raise cells.fail("lots", "write the chosen lots as <lot>=<quantity>, several with ; between them")
    try:
        return [[name.strip(), plain(read_number(number, ".", cells.currency()))] for name, number in parts]
    except ValueError as error:
        raise cells.fail("lots", str(error)) from None


def _cash_row(kind: EventKind, sign: int = 0) -> Callable[[Cells], Facts]:
    def read(cells: Cells) -> Facts:
        cash = cells.number("cash")
        if cash == 0 or cash * sign < 0:
            wanted = {0: "not be zero", 1: "be positive", -1: "be negative"}[sign]
            raise cells.fail("cash", f"the cash of a {cells.rule.book} must {wanted}, it is {cash}")
        facts = {"amount": plain(cash), "note": cells.text("note", required=False)}
        if cells.names_instrument():
            facts["instrument"] = cells.instrument()
        return Facts(kind, facts)

    return read


def _transfer(cells: Cells) -> Facts:
    quantity = cells.number("quantity")
    facts = {"instrument": cells.instrument(), "quantity": plain(quantity)}
    if quantity == 0:
        raise cells.fail("quantity", "a transfer needs shares")
    if quantity < 0:
        return Facts(EventKind.TRANSFER, facts)
    if cells.has("opened"):
        facts["opened"] = f"{cells.moment('opened').at:%Y-%m-%d}"
    if cells.has("cost"):
        return Facts(EventKind.TRANSFER, facts | {"cost": plain(cells.number("cost"))})
    if cells.has("price") and cells.number("price") > 0:
        return Facts(EventKind.TRANSFER, facts | {"cost": plain(quantity * cells.number("price"))})
    return Facts(EventKind.TRANSFER, facts | {"cost": "0"}, missing=COST)


def _split(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "quantity_change": plain(cells.number("quantity"))}
    return Facts(EventKind.SPLIT, facts | {"amount": plain(cells.number("cash", required=False))})


def _spin_off(cells: Cells) -> Facts:
    parent = cells.instrument() if cells.names_instrument() else ""
    facts = {"instrument": parent, "new_instrument": cells.instrument("new_instrument")}
    facts |= {"quantity": plain(cells.number("quantity")), "amount": plain(cells.number("cash", required=False))}
    if not parent:
        return Facts(EventKind.SPIN_OFF, facts, missing=PARENT)
    if cells.has("cost_fraction"):
        return Facts(EventKind.SPIN_OFF, facts | {"cost_fraction": plain(cells.number("cost_fraction"))})
    return Facts(EventKind.SPIN_OFF, facts | {"cost_fraction": "0"}, missing=COST_FRACTION)


def _merger(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "amount": plain(cells.number("cash", required=False))}
    if cells.has("new_instrument"):
        facts["new_instrument"] = cells.instrument("new_instrument")
    facts["quantity_after"] = plain(cells.number("quantity", required=False))
    if "new_instrument" not in facts and facts["quantity_after"] != "0":
        raise cells.fail("new_instrument", "a merger that gives shares needs the name of the new ones")
    return Facts(EventKind.MERGER, facts)


def _symbol_change(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "amount": plain(cells.number("cash", required=False))}
    return Facts(EventKind.SYMBOL_CHANGE, facts | {"new_instrument": cells.instrument("new_instrument")})


def _cash_in_lieu(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "amount": plain(cells.number("cash"))}
    return Facts(EventKind.CASH_IN_LIEU, facts | {"quantity": plain(abs(cells.number("quantity", required=False)))})


def _delisting(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "amount": plain(cells.number("cash", required=False))}
    if cells.has("quantity") and cells.number("quantity"):
        facts["quantity"] = plain(abs(cells.number("quantity")))
    return Facts(EventKind.DELISTING, facts)


def _return_of_capital(cells: Cells) -> Facts:
    facts = _cash_row(EventKind.RETURN_OF_CAPITAL)(cells)
    facts.values["instrument"] = cells.instrument()
    return facts


def _foreign(cells: Cells) -> Facts:
    quantity = cells.number("quantity", required=False)
    if cells.has("side"):
        quantity = abs(quantity) if _side(cells) == "buy" else -abs(quantity)
    amount = cells.number("cash", required=False)
    if not cells.has("cash") and cells.has("price"):
        # An option is for as many shares as its multiplier says.
        amount = -quantity * cells.number("price") * (cells.number("multiplier", required=False) or 1)
    name = cells.renamed(cells.text("instrument"))
    facts = {"instrument": name, "quantity": plain(quantity), "amount": plain(amount)}
    return Facts(EventKind.FOREIGN_MOVED, facts)


def _bust(cells: Cells) -> Facts:
    return Facts(EventKind.TRADE_BUST, {"fill": cells.text("fill")})


def _correction(cells: Cells) -> Facts:
    return Facts(EventKind.TRADE_CORRECTION, {"fill": cells.text("fill"), **_fill(cells).values})


_MEANINGS: dict[str, Callable[[Cells], Facts]] = {
    "fill": _fill,
    "deposit": _cash_row(EventKind.DEPOSIT, 1),
    "withdrawal": _cash_row(EventKind.WITHDRAWAL, -1),
    "dividend": _cash_row(EventKind.CASH_DIVIDEND),
    "fee": _cash_row(EventKind.FEE),
    "tax": _cash_row(EventKind.TAX),
    "interest": _cash_row(EventKind.INTEREST),
    "other_cash": _cash_row(EventKind.OTHER_CASH),
    "exchange": _cash_row(EventKind.OTHER_CASH),
    "return_of_capital": _return_of_capital,
    "foreign": _foreign,
    "transfer": _transfer,
    "split": _split,
    "spin_off": _spin_off,
    "merger": _merger,
    "symbol_change": _symbol_change,
    "delisting": _delisting,
    "cash_in_lieu": _cash_in_lieu,
    "bust": _bust,
    "correction": _correction,
}

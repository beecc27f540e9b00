"""Tables and amounts in the terminal, the same for every command that draws an account."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

NUMBERS = ("shares", "average cost", "price", "value", "profit", "weight", "sessions", "fee")


def terminal_table(title: str, *columns: str, numbers: Sequence[str] = NUMBERS) -> Table:
    """Make a table without rows; columns of numbers are aligned to the right."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", header_style="dim")
    return table


def amount_text(amount: Decimal | float) -> str:
    """Write an amount of money."""
    return f"{amount:,.2f}"


def signed_text(amount: Decimal | float) -> Text:
    """Write an amount with its sign, gains green and losses red."""
    return Text(f"{amount:+,.2f}", style="green" if amount > 0 else "red" if amount < 0 else "")


def print_drawing(drawn: RenderableType, account: str = "") -> None:
    """Print under the name of the account, when it is given, as wide as ``COLUMNS`` or the terminal."""
    console = Console(width=int(os.environ.get("COLUMNS", "0")) or None)
    if account:
        console.print(f"[bold]{account}[/bold]")
    console.print(drawn)

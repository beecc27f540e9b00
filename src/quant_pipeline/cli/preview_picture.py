"""The preview of statements as a picture in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.preview import Preview, amount


def draw_preview(found: Preview) -> RenderableType:
    """Draw recognised formats, cash, lots, realised profit, and everything that is not understood."""
    parts: list[RenderableType] = [_files(found), _amounts(found)]
    if found.state.positions or found.state.foreign:
        parts.append(_lots(found))
    if found.state.closed_lots:
        parts.append(_closed_lots(found))
    parts += [Text(f"warning: {warning}", style="yellow") for warning in found.warnings]
    parts += [Text(f"problem: {problem}", style="red") for problem in found.problems]
    if found.problems:
        parts.append(Text(f"{len(found.problems)} problems: nothing of this would be booked", style="bold red"))
    else:
        parts.append(Text("everything is understood; nothing was written", style="green"))
    return Group(*parts)


def _files(found: Preview) -> RenderableType:
    table = Table("file", "format", title="Statements", title_justify="left")
    for file, form in sorted(found.formats.items()):
        table.add_row(file, form)
    return table


def _amounts(found: Preview) -> RenderableType:
    state = found.state
    table = Table(show_header=False, title="Account", title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name in ("cash", "contributed", "realised", "dividends", "interest", "other", "charges", "taxes", "fees"):
        table.add_row(name, amount(getattr(state, name)))
    return table


def _lots(found: Preview) -> RenderableType:
    table = Table("instrument", "bought", title="Lots", title_justify="left")
    for name in ("quantity", "cost"):
        table.add_column(name, justify="right")
    for instrument, position in sorted(found.state.positions.items()):
        for lot in position.lots:
            table.add_row(instrument, f"{lot.session:%Y-%m-%d}", plain(lot.quantity), amount(lot.cost))
    for instrument, quantity in sorted(found.state.foreign.items()):
        table.add_row(instrument, "outside of the books", plain(quantity), "")
    return table


def _closed_lots(found: Preview) -> RenderableType:
    table = Table("instrument", "bought", "closed", title="Realised", title_justify="left")
    for name in ("quantity", "cost", "proceeds", "profit"):
        table.add_column(name, justify="right")
    for lot in found.state.closed_lots:
        days = (f"{lot.opened:%Y-%m-%d}", f"{lot.closed:%Y-%m-%d}")
        amounts = (plain(lot.quantity), amount(lot.cost), amount(lot.proceeds), amount(lot.profit))
        table.add_row(lot.instrument, *days, *amounts)
    return table

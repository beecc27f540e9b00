"""What the report has to know about a section, in one record: shipped ones by name, others by dotted path."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quant_pipeline.common.extensions import find_part

if TYPE_CHECKING:
    from quant_pipeline.reports.elements import Html

_RESEARCH: Final = "quant_pipeline.pipelines.reporting.sections_of_research"
_ACCOUNT: Final = "quant_pipeline.pipelines.reporting.sections_of_account"

SHIPPED: Final[dict[str, str]] = {
    "account": f"{_ACCOUNT}.ACCOUNT",
    "orders": f"{_ACCOUNT}.ORDERS",
    "backtest": f"{_RESEARCH}.BACKTEST",
    "scores": f"{_RESEARCH}.SCORES",
    "combinations": f"{_RESEARCH}.COMBINATIONS",
    "costs": f"{_RESEARCH}.COSTS",
    "data": f"{_ACCOUNT}.DATA",
    "next": f"{_ACCOUNT}.NEXT",
    "provenance": f"{_ACCOUNT}.PROVENANCE",
}
"""Name of a section to the path of its record, in the order of the page."""


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes
    ----------
    name
        Its anchor on the page, and the identifier of the element that `write` returns.
    link
        What the menu of the page calls it.
    write
        ``write(context, <dataset>, …)`` returns the section as markup. Arguments behind the context are named as the
        datasets of the catalog that it shows; any of these may be empty.
    """

    name: str
    link: str
    write: Callable[..., Html]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The datasets that the section shows."""
        return tuple(inspect.signature(self.write).parameters)[1:]


def find_section(name: str) -> Section:
    """Return a section by its short name or its dotted path.

    Raises
    ------
    ExtensionError
        When there is no such section, or its module cannot be imported.
    """
    return find_part(name, SHIPPED, Section, "section of the report")

"""The contract of report sections, as tests to inherit; every shipped section passes them.

    class TestMine(ReportSectionContract):
        section = "my_sections.sectors.SECTORS"

        def make_tables(self):
            return {"holdings": ..., "instruments": ...}

pytest finds the inherited tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, ClassVar

import pandas as pd

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.reporting.context import ReportContext, describe_run
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.pipelines.reporting.sections import Section, find_section
from quant_pipeline.reports.elements import Html

HARMFUL = "<img src=x onerror=alert(1)>"
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}


class ReportSectionContract:
    """What every section of the report must do.

    Attributes
    ----------
    section
        Short name or dotted path of the section.
    free_text
        Columns whose text comes from outside: names, reasons, messages.
    """

    section: ClassVar[str]
    free_text: ClassVar[tuple[str, ...]] = ("instrument", "name", "reason", "detail", "message")

    def make_tables(self) -> dict[str, Any]:
        """Return the datasets that the section shows, by name, with some rows."""
        raise NotImplementedError

    @property
    def record(self) -> Section:
        """The section."""
        return find_section(self.section)

    def write(self, tables: Mapping[str, Any]) -> Html:
        """Write the section as the page does."""
        return self.record.write(example_context(), **{name: tables[name] for name in self.record.inputs})

    def test_its_element_has_its_name_and_a_heading(self) -> None:
        """Return one element that the menu can point to."""
        written = self.write(self.make_tables())
        assert isinstance(written, Html)
        assert written.startswith(f'<section id="{self.record.name}"')
        assert written.endswith("</section>")
        assert re.fullmatch(r"[a-z][a-z0-9-]*", self.record.name)
        assert "<h2" in written
        assert self.record.link

    def test_markup_is_balanced_and_names_each_element_once(self) -> None:
        """Close what is opened."""
        read = _read(self.write(self.make_tables()))
        assert read.open == []
        assert read.wrong == []
        assert len(read.names) == len(set(read.names))

    def test_nothing_is_loaded_from_a_network(self) -> None:
        """Show what is on the page itself: it is read from files and in mails."""
        assert _read(self.write(self.make_tables())).loaded == []

    def test_empty_tables_are_written_too(self) -> None:
        """Say what is not there yet: on the first day most tables are empty."""
        empty = {name: _emptied(table) for name, table in self.make_tables().items()}
        written = self.write(empty)
        assert written.startswith(f'<section id="{self.record.name}"')
        assert _read(written).open == []

    def test_text_from_outside_is_escaped(self) -> None:
        """Let no name or message become markup."""
        tables = {name: self._harmful(table) for name, table in self.make_tables().items()}
        assert "<img" not in self.write(tables)

    def test_the_same_tables_give_the_same_bytes_and_stay_as_they_are(self) -> None:
        """Depend on nothing but the tables, and change none."""
        tables, untouched = self.make_tables(), self.make_tables()
        assert self.write(tables) == self.write(tables)
        for name, table in untouched.items():
            if isinstance(table, pd.DataFrame):
                pd.testing.assert_frame_equal(tables[name], table)

    def _harmful(self, table: Any) -> Any:
        if not isinstance(table, pd.DataFrame):
            return table
        return table.assign(**{column: HARMFUL for column in self.free_text if column in table})


def example_context() -> ReportContext:
    """Return where a report of an example account stands."""
    report = ReportParameters(account="example", market="simulated", path="data/accounts/example/08_reporting")
    return describe_run(report, "2024-12-31", MarketRules(), "all_equal", 1, {})


def _emptied(table: Any) -> Any:
    if isinstance(table, pd.DataFrame):
        return table.iloc[:0]
    return {} if isinstance(table, dict) else table


class _Reader(HTMLParser):
    """Reads markup: elements that are open, ends without a beginning, names, and what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.names: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.names.append(str(value))
            if name in ("src", "href") and not str(value).startswith(("#", "data:")):
                self.loaded.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in VOID:
            self.wrong.append(tag)


def _read(markup: str) -> _Reader:
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return reader

"""Rows in the shapes of brokers' exports, and rows that no account can book: what a preview of each has to say."""

import io
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
import yaml

from quant_pipeline.trading.statements import StatementFile, read_statements
from quant_pipeline.trading.statements.preview import preview_statements

INPUTS = yaml.safe_load((Path(__file__).parent / "inputs.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def preview(shipped):
    """Preview the files of an input."""

    def preview(wanted):
        parameters = shipped.with_changes(wanted.get("conf", {}))
        if "currency" in wanted:
            parameters = parameters.model_copy(update={"currency": wanted["currency"]})
        files = [StatementFile(name, _bytes(content)) for name, content in wanted["files"].items()]
        return preview_statements(read_statements(files, parameters, wanted.get("calendar", "XNYS")))

    return preview


def _bytes(content):
    if isinstance(content, str):
        return content.encode()
    return _workbook(content["sheets"]) if "sheets" in content else content["text"].encode(content["encoding"])


def _workbook(sheets):
    book, saved = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(saved)
    return saved.getvalue()


@pytest.mark.parametrize("name", [name for name, wanted in INPUTS.items() if "cash" in wanted])
def test_rows_that_are_understood_book_exactly_this(preview, name):
    wanted, found = INPUTS[name], preview(INPUTS[name])
    assert found.problems == []
    summary = found.summary()
    assert (summary["cash"], summary["positions"]) == (wanted["cash"], wanted["positions"])
    assert summary["realised"] == wanted["realised"]
    assert found.state.discrepancy == 0
    assert "warning" not in wanted or any(wanted["warning"] in warning for warning in found.warnings)
    assert summary["ok"] is ("quarantined" not in wanted)
    assert [row for row in found.quarantined if wanted.get("quarantined", "nothing is expected") in row] == (
        found.quarantined
    )
    assert bool(found.quarantined) is ("quarantined" in wanted)


@pytest.mark.parametrize("name", [name for name, wanted in INPUTS.items() if "problem" in wanted])
def test_rows_that_are_not_understood_say_why_in_one_line(preview, name):
    found = preview(INPUTS[name])
    assert [problem for problem in found.problems if INPUTS[name]["problem"] in problem]
    assert all(len(problem.splitlines()) == 1 for problem in found.problems)
    assert found.summary()["ok"] is False


def cost_of(found, instrument):
    return sum(lot.cost for lot in found.state.positions[instrument].lots)


@pytest.mark.parametrize(
    ("name", "instrument", "cost"),
    [
        ("ib_dividend_return_of_capital", "MPLX", "3916"),
        ("t212_return_of_capital", "KO", "493.44"),
        ("ib_stock_merger", "AMD", "20001"),
        ("rh_two_reverse_splits_one_day", "XOM", "5000"),
        ("al_two_renamings_no_group", "AAPLN", "2000"),
        # 100 by 90 to 10, what the parts were worth.
        ("al_spac_unit_split", "SHRS", "90"),
        ("al_spac_unit_split", "WRNT", "10"),
        ("ib_spin_off_completed_by_hand", "GEV", "3400.2"),
    ],
)
def test_cost_follows_the_shares(preview, name, instrument, cost):
    assert cost_of(preview(INPUTS[name]), instrument) == Decimal(cost)

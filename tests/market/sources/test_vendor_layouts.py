"""A random market in every layout of the table is read back: the same bars, actions and returns to 1e-12."""

import pytest

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.layouts import LAYOUTS
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.testing.fuzz_market import differences, fuzz, silent_differences, written_market
from quant_pipeline.testing.mutations import MUTATIONS
from quant_pipeline.testing.vendor_files import WRITERS
from tests.helpers.representatives import representatives


def test_every_layout_of_the_table_has_a_writer():
    assert set(LAYOUTS) <= set(WRITERS)


@pytest.mark.parametrize("seed", [11])
@pytest.mark.parametrize("layout", WRITERS)
def test_a_market_in_a_layout_is_read_back(layout, seed):
    with written_market(layout, seed) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        assert not seen.is_refused, seen.problems
        assert set(seen.layouts.values()) == {written.layout}
        assert differences(seen, written.bars) == []


# The fewer reach every layout once.
@pytest.mark.parametrize("mutations", representatives([160, 2_000], {160}))
def test_mutated_files_are_read_right_or_named(mutations):
    tally = fuzz(mutations, 22)
    counts = {"layouts": len(WRITERS), "tracebacks": 0, "silent_differences": 0}
    found = tally.summary()
    assert found.pop("mutations") >= mutations
    assert found == counts, tally


def test_another_return_without_a_word_would_be_found():
    with written_market("alpha_vantage_adjusted_numbered", 5) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        seen.rows.loc[7, "close"] *= 1.01
        (found,) = silent_differences(seen, written.bars, {name: f"{name}.csv" for name in ("AAA", "BBB", "CCC")})
        assert "AAA on" in found
        assert differences(seen, written.bars) == ["close differs by 0.01"]


def test_a_lost_dividend_would_be_found():
    with written_market("alpha_vantage_adjusted_numbered", 5) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        seen.rows["dividend"] = 0.0
        assert len(silent_differences(seen, written.bars)) == 3


def test_there_are_mutations_of_bytes_rows_and_columns():
    assert {"foreign byte", "row twice", "column removed", "file cut"} <= set(MUTATIONS)


def test_a_file_lost_among_others_would_be_found():
    with written_market("alpha_vantage_adjusted_numbered", 5) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        seen.rows = seen.rows[seen.rows["instrument"] != "BBB"]
        owners = {name: f"{name}.csv" for name in ("AAA", "BBB", "CCC")}
        assert [text[:3] for text in silent_differences(seen, written.bars, owners)] == ["BBB"]
        named = observe(folder, FilesMarketParameters())
        named.rows = seen.rows
        named.problems = [SourceProblem("BBB.csv", None, None, "cannot be read")]
        assert silent_differences(named, written.bars, owners) == []

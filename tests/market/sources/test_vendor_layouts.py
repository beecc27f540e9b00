"""A random market in every layout of the table is read back: the same bars, actions and returns to 1e-12."""

import pytest

from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.layouts import LAYOUTS
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.testing.fuzz_market import differences, fuzz, silent_difference, written_market
from quant_pipeline.testing.mutations import MUTATIONS
from quant_pipeline.testing.vendor_files import WRITERS


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


def test_a_mutated_file_is_read_right_or_named():
    tally = fuzz(24, seed=21, layouts=("yahoo_history", "alpha_vantage_adjusted", "quandl_wiki", "tiingo"))
    assert tally.summary() == {"layouts": 4, "mutations": 24, "tracebacks": 0, "silent_differences": 0}, tally


@pytest.mark.slow
def test_two_thousand_mutated_files_are_read_right_or_named():
    tally = fuzz(2_000, seed=22)
    counts = {"layouts": len(WRITERS), "mutations": 2_000, "tracebacks": 0, "silent_differences": 0}
    assert tally.summary() == counts, tally


def test_another_return_without_a_word_would_be_found():
    with written_market("alpha_vantage_adjusted_numbered", 5) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        seen.rows.loc[7, "close"] *= 1.01
        assert "AAA on" in silent_difference(seen, written.bars, "AAA.csv")
        assert differences(seen, written.bars) == ["close differs by 0.01"]


def test_a_lost_dividend_would_be_found():
    with written_market("alpha_vantage_adjusted_numbered", 5) as (folder, written):
        seen = observe(folder, FilesMarketParameters())
        seen.rows["dividend"] = 0.0
        assert silent_difference(seen, written.bars, "AAA.csv") is not None


def test_there_are_mutations_of_bytes_rows_and_columns():
    assert {"foreign byte", "row twice", "column removed", "file cut"} <= set(MUTATIONS)

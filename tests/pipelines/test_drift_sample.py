"""The rows that stand for a span in the drift report are a sample of it, whatever the sizes of the panel."""

import numpy as np
import pytest

from quant_pipeline.evaluation.drift import population_stability_index
from quant_pipeline.pipelines.model_report.nodes import MOST_ROWS, sample_rows


@pytest.mark.parametrize(
    ("instruments", "sessions"), [(500, 2_000), (400, 1_500), (250, 1_600), (300, 67), (499, 2_003)]
)
def test_every_instrument_is_drawn_and_nothing_has_drifted_where_nothing_moved(instruments, sessions):
    # Each instrument has a level of its own, as volatilities have; the panel is sorted by session and instrument.
    random = np.random.default_rng(11)
    level = random.normal(size=instruments)
    panel = np.tile(level, sessions) + 0.1 * random.normal(size=instruments * sessions)
    reference = sample_rows(np.ones(len(panel), dtype=bool))
    assert len(reference) == len(set(reference)) == MOST_ROWS
    times_drawn = np.bincount(reference % instruments, minlength=instruments)
    expected = MOST_ROWS / instruments
    assert times_drawn.min() > 0
    assert np.abs(times_drawn - expected).max() < 6 * np.sqrt(expected)
    recent = panel[-63 * instruments :]
    assert population_stability_index(panel[reference], recent, bins=10) < 0.01


def test_only_chosen_rows_are_drawn_in_order_and_the_same_each_time():
    chosen = np.arange(100_000) % 3 == 0
    drawn = sample_rows(chosen)
    assert chosen[drawn].all()
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == sample_rows(chosen).tolist()


def test_few_rows_are_all_taken():
    chosen = np.arange(50_000) % 5 == 0
    assert sample_rows(chosen).tolist() == list(range(0, 50_000, 5))

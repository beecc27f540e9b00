"""Models that read a panel from its files are those that a table in memory gives, and never hold all of it."""

import os
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.stored_panel import StoredPanel
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import CrossSectionalFill, FillMissing, ProcessorChain, RobustZScore
from quant_pipeline.models import panels, processed, scoring
from quant_pipeline.models.fingerprint import changes, fingerprint
from quant_pipeline.models.processed import ProcessedPanel
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import FACTORS

FEW_VALUES = 20 * len(FACTORS) * 7
"""Seven sessions of the planted panel: neither years nor segments are cut where these blocks end."""


@pytest.fixture(scope="module")
def days():
    """The sessions of the planted panel, moved to where they lie in two years."""
    return pd.bdate_range("2019-09-02", periods=160, unit="ns")


@pytest.fixture(scope="module")
def table(features, days):
    moved = features.set_axis(features.index.set_levels(days, level="datetime"))
    # As the engine lays panels out, with gaps; factors of one model are no neighbours.
    values = moved.assign(**{TRADED: np.float32(1)}).to_numpy(copy=True)
    values[::37, 1] = values[::41, 3] = np.nan
    names = [*FACTORS, TRADED]
    moved = pd.DataFrame(np.asfortranarray(values), moved.index, names)[[TRADED, *FACTORS[::-1]]]
    moved.attrs["source"] = "simulated"
    return moved


@pytest.fixture(scope="module")
def stored(table, tmp_path_factory):
    dataset = YearlyPanel(str(tmp_path_factory.mktemp("panel")), lazy=True)
    dataset.save(table)
    return dataset.load()


@pytest.fixture(scope="module")
def others(labels, members, segments, days):
    """Labels, members and segments on the moved sessions."""
    former = dict(zip(labels.index.levels[0], days, strict=True))
    label = labels.set_axis(labels.index.set_levels(days, level="datetime"))
    members = members.assign(date=members["date"].map(former))
    return label, members, {name: days[days.isin(span.map(former))] for name, span in segments.items()}


EVERY_KIND = [
    {"kind": "cross_sectional_fill"},
    {"kind": "neutralise", "size": "noise_b"},
    {"kind": "winsorise"},
    {"kind": "robust_zscore"},
    {"kind": "cross_sectional_rank"},
    {"kind": "fill"},
]


@pytest.mark.parametrize(
    ("processors", "kept_share"), [(None, 1.0), (EVERY_KIND, 0.0)], ids=["default_kept", "every_kind_in_blocks"]
)
@pytest.mark.parametrize("algorithm", ["lightgbm", "ridge", "elastic_net", "gru"])
def test_a_stored_panel_gives_the_bits_of_a_table(
    algorithm, processors, kept_share, make_facts, table, stored, others, monkeypatch
):
    facts = make_facts(algorithm)
    if processors is not None:
        spec = ModelSpec.model_validate({**facts.spec.model_dump(), "processors": processors})
        facts = replace(facts, spec=spec)
    whole = train_bundle(facts, table, *others)
    expected = whole.predict(table)
    monkeypatch.setattr(processed, "KEPT_SHARE", kept_share)
    monkeypatch.setattr(panels, "AT_ONCE", FEW_VALUES)
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", 3 * FEW_VALUES)
    in_blocks = train_bundle(facts, stored, *others)
    assert in_blocks.identity == whole.identity
    pd.testing.assert_frame_equal(in_blocks.learning_curve, whole.learning_curve, check_exact=True)
    pd.testing.assert_frame_equal(in_blocks.importance, whole.importance, check_exact=True)
    pd.testing.assert_series_equal(in_blocks.predict(stored), expected, check_exact=True)
    rows = np.flatnonzero(expected.notna().to_numpy())[::3]
    pd.testing.assert_series_equal(in_blocks.predict(stored, rows), expected.iloc[rows], check_exact=True)


@pytest.mark.parametrize("several_passes", [True, False], ids=["kept", "processed_again"])
def test_rows_are_processed_alike_whether_they_are_kept_or_not(several_passes, stored, monkeypatch):
    chain = ProcessorChain([RobustZScore(), CrossSectionalFill()])
    chain.fit(lambda names: stored.read(columns=names), list(stored.columns))
    monkeypatch.setattr(panels, "AT_ONCE", FEW_VALUES)
    monkeypatch.setattr(processed, "PIECE", FEW_VALUES // 3)
    behind = ProcessedPanel(stored, chain, several_passes=several_passes)
    expected = chain.transform(stored.read())
    for rows in (slice(40, 80), slice(0, 20), slice(80, 160)):
        pd.testing.assert_frame_equal(behind.read(rows), expected.iloc[rows], check_exact=True)
    pd.testing.assert_frame_equal(behind.read(columns=["noise_a"]), expected[["noise_a"]], check_exact=True)


@pytest.mark.parametrize("piece", [1, processed.PIECE])
@pytest.mark.parametrize("change", [-1, 1])
def test_features_of_another_number_than_were_learned_of_are_refused(piece, change, table, monkeypatch):
    chain = ProcessorChain([CrossSectionalFill(), RobustZScore()])
    chain.fit_transform(table)
    monkeypatch.setattr(processed, "PIECE", piece)
    given = table.iloc[:, :-1] if change < 0 else table.assign(one_more=1.0)
    told = f"was fitted on {len(FACTORS)} factors and is given {len(FACTORS) + change}"
    with pytest.raises(ModelError, match=told):
        ProcessedPanel(panels.as_panel(given), chain).read()


def test_each_core_reads_what_it_processes(table, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(panels, "AT_ONCE", table.size // 2)
    together, read_of = threading.Barrier(2, timeout=60), panels.MemoryPanel.read

    def read(panel, rows=None, columns=None):
        together.wait()  # Only two readings at the same time pass.
        return read_of(panel, rows, columns)

    chain = ProcessorChain([FillMissing()])
    expected = chain.transform(table)
    monkeypatch.setattr(panels.MemoryPanel, "read", read)
    behind = ProcessedPanel(panels.MemoryPanel(table), chain, several_passes=True)
    pd.testing.assert_frame_equal(behind.read(), expected, check_exact=True)


def test_the_fingerprint_of_a_stored_panel_is_that_of_its_table(make_facts, table, stored, others, monkeypatch):
    facts = make_facts("ridge")
    monkeypatch.setattr(panels, "AT_ONCE", len(table))
    assert changes(fingerprint(facts, table, *others), fingerprint(facts, stored, *others)) == []
    changed = table.copy()
    changed.iloc[7, 1] += 1
    assert changes(fingerprint(facts, changed, *others), fingerprint(facts, stored, *others)) == ["features"]


class Watched(panels.MemoryPanel):
    """A panel that remembers how many values each reading took."""

    def __init__(self, table):
        super().__init__(table)
        self.sizes = []

    def read(self, rows=None, columns=None):
        read = super().read(rows, columns)
        self.sizes.append(read.size)
        return read


@pytest.mark.parametrize("algorithm", ["lightgbm", "ridge"])
def test_training_and_prediction_read_a_block_at_a_time(algorithm, make_facts, table, others, monkeypatch):
    facts = make_facts(algorithm)
    facts = replace(facts, spec=facts.spec.model_copy(update={"processors": []}))
    filled = table.fillna(0.0)
    expected = train_bundle(facts, filled, *others)
    monkeypatch.setattr(processed, "KEPT_SHARE", 0.0)
    monkeypatch.setattr(panels, "AT_ONCE", FEW_VALUES)
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", FEW_VALUES)
    watched = Watched(filled)
    assert train_bundle(facts, watched, *others).identity == expected.identity
    expected.predict(watched)
    assert max(watched.sizes) <= FEW_VALUES


def test_a_panel_compares_its_rows_once_however_many_blocks_are_read(make_facts, table, others, monkeypatch):
    """A whole market has hundreds of blocks: comparing all rows for each of them took longer than reading them."""
    monkeypatch.setattr(processed, "KEPT_SHARE", 0.0)
    monkeypatch.setattr(panels, "AT_ONCE", FEW_VALUES)
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", FEW_VALUES)
    compared, compare = [], panels.session_starts

    def watch(index):
        compared.append(len(index))
        return compare(index)

    monkeypatch.setattr(panels, "session_starts", watch)
    panel = panels.MemoryPanel(table)
    bundle = train_bundle(make_facts("ridge"), panel, *others)
    # The golden inputs are a panel of their own.
    assert [rows for rows in compared if rows > FEW_VALUES // len(FACTORS)] == [len(table)]
    bundle.predict(panel)
    assert [rows for rows in compared if rows > FEW_VALUES // len(FACTORS)] == [len(table)]


def test_the_values_of_a_panel_in_files_are_hashed_once_for_all_models_of_a_run(
    make_facts, table, others, tmp_path, monkeypatch
):
    dataset = YearlyPanel(str(tmp_path), lazy=True)
    dataset.save(table)
    facts = make_facts("ridge")
    first = fingerprint(facts, dataset.load(), *others)

    def refuse(self, rows=None, columns=None):
        raise AssertionError("it was read again")

    with monkeypatch.context() as patched:
        patched.setattr(StoredPanel, "read", refuse)
        # As training opens it: another object, and a view of the columns that a model uses.
        used = panels.PanelView(dataset.load(), columns=[TRADED, *FACTORS])
        assert fingerprint(facts, used, *others) == first
        fewer = replace(facts, expressions={name: facts.expressions[name] for name in FACTORS[:2]})
        assert changes(first, fingerprint(fewer, used, *others)) == ["factors", "features"]
        more = replace(facts, expressions={**facts.expressions, TRADED: "$close"})
        with pytest.raises(AssertionError, match="read again"):
            fingerprint(more, used, *others)
    dataset.save(table + 1)
    assert changes(first, fingerprint(facts, dataset.load(), *others)) == ["features"]
    assert fingerprint(facts, dataset.load(), *others) == fingerprint(facts, table + 1, *others)

"""One history, computed at once, in blocks or bar by bar: always the same bits."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors import alpha101, alpha158, alpha360
from quant_pipeline.factors import program_runner as execution
from quant_pipeline.factors.array_file import write_arrays
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.plan_file import load_plan, save_plan
from quant_pipeline.factors.streaming import FactorStream
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.properties import examples
from tests.helpers.user_expressions import USER_EXPRESSIONS

FIELDS = ("open", "high", "low", "close", "vwap", "volume", "factor", "sector")
SESSIONS = pd.bdate_range("2021-01-04", periods=420)

WHOLE_HISTORY = {
    "ema": "EMA($close, 12)/$close",
    "fade": "Mean($volume, 0.05)",
    "sum": "Sum($volume, 0)",
    "std": "Std($close/Ref($close, 1), 0)",
    "first": "$close/Ref($close, 0)",
    "peak": "$close/Max($high, 0)-1",
    "since": "IdxMin($low, 0)",
    "trend": "Slope($close, 0)",
    "pair": "Cov($close, $volume, 0)",
    "mean_of_ema": "Mean(EMA($close, 5), 10)",
}
GROWING = {
    "rank": "Rank($close, 0)",
    "median": "Med($close, 0)",
    "week": "TResample($volume, 'W-FRI', 'sum')",
    "skew": "Skew($close, 0)",
}
SETS = {
    "alpha158": alpha158.EXPRESSIONS,
    "alpha360": dict(list(alpha360.EXPRESSIONS.items())[::7]),
    "alpha101": alpha101.EXPRESSIONS,
    "whole history": WHOLE_HISTORY,
    "ever more of it": GROWING,
    "what users write": USER_EXPRESSIONS,
}


@pytest.fixture(scope="module")
def bars():
    """Five instruments that list late, leave early, halt and miss a volume."""
    random = np.random.default_rng(11)
    parts = []
    for number, (first, last) in enumerate([(0, 420), (0, 420), (37, 420), (0, 300), (250, 420)]):
        days = SESSIONS[first:last]
        close = 40 * np.exp(np.cumsum(random.normal(0, 0.02, len(days))))
        opening = close * np.exp(random.normal(0, 0.01, len(days)))
        high, low = np.maximum(close, opening) * 1.004, np.minimum(close, opening) * 0.995
        volume = np.round(np.exp(random.normal(10, 0.6, len(days))))
        volume[random.random(len(days)) < 0.01] = np.nan
        table = pd.DataFrame({"date": days, "instrument": f"I{number}", "open": opening, "high": high, "low": low})
        table = table.assign(close=close, volume=volume, vwap=(high + low + close) / 3, factor=1.5, sector=number % 2)
        halted = random.random(len(days)) < 0.02
        halted[[0, -1]] = False
        parts.append(table[~halted])
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def batch(bars):
    return {name: compute_factors(bars, expressions, SESSIONS) for name, expressions in SETS.items()}


def same_bits(left, right):
    """Whether two panels hold the same numbers, whatever their order of rows."""
    right = right.reindex(left.index)
    return np.array_equal(left.to_numpy().view("int32"), right.to_numpy().view("int32"))


def feed(stream, bars, sessions):
    days = dict(tuple(bars.groupby("date")))
    parts = []
    for session in sessions:
        parts.append(stream.update(session, days[session]))
        left = bars.groupby("instrument")["date"].max()
        stream.drop([name for name in stream.instruments if left[name] <= session])
    return pd.concat(parts)


@pytest.mark.parametrize("name", SETS)
def test_a_stream_gives_the_bits_of_the_batch(bars, batch, name):
    # All instruments have listed by then, and one has left. What keeps all bars, or recomputes windows across
    # instruments, is slow: less of it.
    sessions = SESSIONS[: 150 if name == "ever more of it" else 320]
    expressions = dict(list(SETS[name].items())[:: 6 if name == "alpha101" else 1])
    streamed = feed(FactorStream(compile_factors(expressions)), bars, sessions)
    expected = batch[name].loc[: sessions[-1], list(expressions)]
    assert len(streamed) == len(expected)
    assert same_bits(expected, streamed)


@pytest.mark.parametrize("name", SETS)
def test_a_stream_may_begin_and_go_on_with_sessions_without_any_bar(bars, name, tmp_path):
    expressions = dict(list(SETS[name].items())[::9])
    plan = compile_factors(expressions)
    stream, none, listed = FactorStream(plan), bars[:0], bars[bars["instrument"] == "I2"]
    for session in SESSIONS[:2]:
        found = stream.update(session, none)
        assert (found.shape, list(found.columns), found.index.names) == (
            (0, len(expressions)), list(expressions), ["datetime", "instrument"],
        )  # fmt: skip
        assert set(found.dtypes) == {np.dtype("float32")}
        stream.save(tmp_path / "state.npz")
        stream = FactorStream.load(plan, tmp_path / "state.npz")
    assert stream.preview(SESSIONS[2], none).empty
    days = dict(tuple(listed.groupby("date")))
    parts = [stream.update(session, days.get(session, none)) for session in SESSIONS[2:80]]
    assert same_bits(compute_factors(listed, expressions, SESSIONS, end=SESSIONS[79]), pd.concat(parts))
    # After the last one has left, too.
    stream.drop(stream.instruments)
    assert all(stream.update(session, none).empty for session in SESSIONS[80:90])


@pytest.mark.parametrize("name", ["alpha158", "whole history", "ever more of it"])
def test_a_stream_that_was_saved_and_loaded_goes_on_with_the_same_bits(bars, batch, name, tmp_path):
    plan = compile_factors(SETS[name])
    stream, parts = FactorStream(plan), []
    for first, after in ((0, 3), (3, 38), (38, 39), (39, 120)):
        parts.append(feed(stream, bars, SESSIONS[first:after]))
        stream.save(tmp_path / "state.npz")
        stream = FactorStream.load(plan, tmp_path / "state.npz")
    assert same_bits(batch[name].loc[: SESSIONS[119]], pd.concat(parts))
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@settings(max_examples=examples(12), database=None)
@given(cuts=st.sets(st.integers(1, len(SESSIONS) - 1), max_size=4), name=st.sampled_from(["alpha158", "alpha360"]))
def test_any_split_of_the_history_gives_the_same_bits(bars, batch, cuts, name):
    edges = [0, *sorted(cuts), len(SESSIONS)]
    rows = 0
    for first, after in pairwise(edges):
        # A block knows the bars that its windows reach back to, and none after it.
        known = bars[bars["date"].between(SESSIONS[max(first - 61, 0)], SESSIONS[after - 1])]
        known = known.reset_index(drop=True)
        block = compute_factors(known, SETS[name], SESSIONS, start=SESSIONS[first], end=SESSIONS[after - 1])
        valued = block.dropna(how="all")
        assert same_bits(valued, batch[name])
        rows += len(valued)
    # A halt beside a cut has no row of its own in a block.
    assert rows >= len(batch[name].dropna(how="all")) - 5 * len(edges)


def test_trends_of_windows_with_gaps_do_not_depend_on_where_places_are_counted_from():
    """Whole prices have many windows without a trend, whose sign is that of the rounding."""
    random = np.random.default_rng(0)
    days = SESSIONS[:60]
    parts = [
        pd.DataFrame({"date": days, "instrument": f"N{number:02d}", "close": random.integers(8, 13, 60)})[
            random.random(60) > 0.15
        ]
        for number in range(60)
    ]
    bars = pd.concat(parts, ignore_index=True).astype({"close": "float32", "instrument": "str"})
    expressions = {name: f"{name}($close, {window})" for name, window in (("Slope", 5), ("Rsquare", 5), ("Resi", 7))}
    whole = compute_factors(bars, expressions, SESSIONS)
    others = [
        compute_factors(bars, expressions, SESSIONS, start=days[30]),
        compute_factors(bars, expressions, SESSIONS, end=days[40]),
        compute_factors(bars[bars["instrument"] >= "N31"], expressions, SESSIONS),
    ]
    for other in others:
        assert same_bits(other, whole.loc[other.index])


@pytest.mark.parametrize(("rows", "tile", "threads"), [(300, 310, 3), (1, 250, 1), (10**6, 5000, 2)])
def test_neither_blocks_nor_tiles_nor_threads_change_a_bit(bars, batch, rows, tile, threads, monkeypatch):
    monkeypatch.setattr(execution, "BLOCK_ROWS", rows)
    monkeypatch.setattr(execution, "TILE_ROWS", tile)
    for name in ("alpha158", "alpha101", "whole history"):
        plan = compile_factors(SETS[name])
        plan.threads = threads
        assert same_bits(plan.panel(bars, SESSIONS, None, None), batch[name])


@pytest.mark.parametrize("name", SETS)
def test_a_poisoned_future_changes_no_value_before_it_by_one_bit(bars, batch, name):
    cut = SESSIONS[350]
    poisoned = bars.copy()
    noise = np.random.default_rng(5).uniform(0.3, 3.0, (len(bars), 6))
    later = bars["date"] > cut
    columns = list(FIELDS[:6])
    poisoned.loc[later, columns] = bars.loc[later, columns].to_numpy() * noise[later.to_numpy()]
    after = compute_factors(poisoned, SETS[name], SESSIONS)
    assert same_bits(batch[name].loc[:cut], after.loc[:cut])
    moved = (after.loc[SESSIONS[351] :] != batch[name].loc[SESSIONS[351] :]).any()
    assert moved.mean() >= 0.75


def test_a_stream_refuses_a_label_an_old_session_and_bars_without_a_field(bars):
    with pytest.raises(FactorError, match="a stream knows no future"):
        FactorStream(compile_factors({"label": "Ref($close, -1)"}, allow_future=True))
    stream = FactorStream(compile_factors({"f": "$close/$open"}))
    today = bars[bars["date"] == SESSIONS[5]]
    stream.update(SESSIONS[5], today)
    with pytest.raises(FactorError, match="session 2021-01-11 is not later than 2021-01-11"):
        stream.update(SESSIONS[5], today)
    with pytest.raises(FactorError, match=r"the bars of 2021-01-12 have no column \['open'\]"):
        stream.update(SESSIONS[6], today.drop(columns="open"))
    with pytest.raises(FactorError, match="the bars of 2021-01-12 hold I1 twice"):
        stream.update(SESSIONS[6], pd.concat([today, today[today["instrument"] == "I1"]]))


def test_a_state_of_other_factors_is_refused(bars, tmp_path):
    stream = FactorStream(compile_factors({"f": "Mean($close, 5)"}))
    stream.save(tmp_path / "state.npz")
    with pytest.raises(FactorError, match="belongs to other factors"):
        FactorStream.load(compile_factors({"f": "Mean($close, 6)"}), tmp_path / "state.npz")


READER = """
import sys
from itertools import pairwise
from pathlib import Path
import pandas as pd
from quant_pipeline.factors.plan_file import load_plan
folder = Path(sys.argv[1])
bars = pd.read_parquet(folder / "bars.parquet")
panel = load_plan(folder / "plan.npz").panel(bars, pd.DatetimeIndex(bars["date"].unique()).sort_values(), None, None)
assert "qlib" not in sys.modules, "Qlib was imported"
panel.to_parquet(folder / "panel.parquet")
"""


def test_a_kept_plan_runs_in_another_process_without_qlib(bars, batch, tmp_path):
    expressions = {**alpha158.EXPRESSIONS, **{f"own_{name}": text for name, text in WHOLE_HISTORY.items()}}
    save_plan(compile_factors(expressions), tmp_path / "plan.npz")
    bars.to_parquet(tmp_path / "bars.parquet")
    subprocess.run([sys.executable, "-c", READER, str(tmp_path)], check=True)
    panel = pd.read_parquet(tmp_path / "panel.parquet")
    assert same_bits(batch["alpha158"], panel[list(alpha158.EXPRESSIONS)])
    assert same_bits(batch["whole history"], panel[[f"own_{name}" for name in WHOLE_HISTORY]])


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_damaged_plan_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "plan.npz"
    save_plan(compile_factors({"f": "Mean($close, 5)"}), file)
    with np.load(file) as arrays:
        kept = dict(arrays)
    without = [{key: value for key, value in kept.items() if key != name} for name in kept]
    for damaged in (kept | {"meta": np.array(text.decode("latin-1"))}, *without):
        write_arrays(file, damaged)
        with pytest.raises(FactorError, match=rf"^the plan in {file} is damaged .*; compile it again$"):
            load_plan(file)
    file.write_bytes(text)
    with pytest.raises(FactorError, match=rf"^the plan in {file} is damaged "):
        load_plan(file)


def test_a_plan_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("quant_pipeline.factors.plan_file.FORMAT", 0)
    save_plan(compile_factors({"f": "Mean($close, 5)"}), tmp_path / "plan.npz")
    monkeypatch.undo()
    with pytest.raises(FactorError, match="has format 0, not 1; compile it again"):
        load_plan(tmp_path / "plan.npz")

"""Values of expressions in one call."""

import re

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.project import research
from quant_pipeline.project.research import features


class Tables:
    """What `features` asks of a catalog."""

    def __init__(self, load):
        self.load = load


@pytest.fixture(scope="module")
def catalog(project_path, tmp_path_factory):
    from quant_pipeline.exchange.rules import MarketRules
    from quant_pipeline.pipelines.ingestion.nodes import adjust_for_corporate_actions, list_sessions
    from tests.helpers.whole_path import small_market

    market = small_market().as_of(pd.Timestamp("2023-12-29"))
    tables = {
        "adjusted_bars": adjust_for_corporate_actions(market.bars, market.corporate_actions, market.instruments),
        "sessions": list_sessions(market.bars, MarketRules(), "2023-12-29"),
    }
    return Tables(tables.get)


def test_one_call_gives_the_mean_of_twenty_closes(catalog):
    bars = catalog.load("adjusted_bars")
    name = bars["instrument"].iloc[0]
    panel = features([name], ["Mean($close, 20)"], "2023-06-01", "2023-06-30", catalog=catalog)
    assert list(panel.columns) == ["Mean($close, 20)"]
    assert set(panel.index.get_level_values("instrument")) == {name}
    closes = bars[bars["instrument"] == name].set_index("date")["close"].rolling(20).mean()
    days = panel.index.get_level_values("datetime")
    assert (days[0], days[-1]) == (pd.Timestamp("2023-06-01"), pd.Timestamp("2023-06-30"))
    np.testing.assert_allclose(panel.iloc[:, 0], closes[days], rtol=1e-5)


def test_an_operator_over_the_cross_section_sees_all_instruments(catalog):
    bars, sessions = catalog.load("adjusted_bars"), pd.DatetimeIndex(catalog.load("sessions")["date"])
    name = bars["instrument"].iloc[0]
    panel = features(name, {"rank": "CSRank($close)"}, "2023-12-01", catalog=catalog)
    whole = compute_factors(bars, {"rank": "CSRank($close)"}, sessions)
    pd.testing.assert_frame_equal(panel, whole.loc[panel.index])
    assert len(features("all", {"rank": "CSRank($close)"}, "2023-12-01", catalog=catalog)) > len(panel)


def test_the_example_of_the_guide_runs(catalog, project_path, monkeypatch):
    text = (project_path / "docs/guides/features.md").read_text()
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "features(" in block)
    instruments = sorted(catalog.load("adjusted_bars")["instrument"].unique())[:2]
    monkeypatch.setattr(research, "open_catalog", lambda: catalog)
    names: dict = {}
    exec(compile(example.replace('["DERU", "LELE"]', str(instruments)).replace("2024", "2023"), "guide", "exec"), names)
    assert names["panel"].shape == (2 * 250, 2)


def test_what_is_not_there_is_named(catalog):
    with pytest.raises(FactorError, match="the market has no bars of NOPE; there are 12 instruments"):
        features(["NOPE"], ["$close"], catalog=catalog)
    with pytest.raises(FactorError, match="there is no session from 2030-01-01 to None; the market has 2020-01-02 to"):
        features(["NOPE"], ["$close"], "2030-01-01", catalog=catalog)

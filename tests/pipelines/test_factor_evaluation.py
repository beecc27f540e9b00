"""Factor evaluation in memory: what it finds, what it refuses, and its page in a browser."""

import html

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, FactorError
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.stored_panel import StoredPanel
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.factors.labels import label_expression
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.simulated import generate_market
from quant_pipeline.market.universe import UniverseParameters, select_universe
from quant_pipeline.pipelines.factor_evaluation import nodes
from quant_pipeline.pipelines.factor_evaluation.holding import MEASURES, backtest_factors
from quant_pipeline.pipelines.factor_evaluation.page import compose_factor_page
from quant_pipeline.pipelines.factor_evaluation.parameters import FactorEvaluationParameters
from quant_pipeline.pipelines.ingestion.nodes import list_sessions
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.browser import require_drawn
from tests.helpers.whole_path import AS_OF, small_market

KNOWN = {
    "REVERSAL5": "1-$close/Ref($close, 5)",
    "TRADEDVALUE20": "Log(Mean($vwap*$volume, 20)+1)",
}
CUT = pd.Timestamp("2023-06-30")
RULES = (StrategyRules(topk=4, n_drop=1), MarketRules(), CostRules(), AccountParameters(name="t"))


def parameters(**given):
    defaults = {"known_factors": KNOWN, "size_factor": "TRADEDVALUE20", "resamples": 50, "horizons": [1, 5]}
    return FactorEvaluationParameters.model_validate(defaults | given)


@pytest.fixture(scope="module")
def tables():
    market = small_market().as_of(pd.Timestamp(AS_OF))
    return {
        "adjusted_bars": adjust_bars(market.bars, market.corporate_actions),
        "corporate_actions": market.corporate_actions,
        "sessions": list_sessions(market.bars, MarketRules(), AS_OF),
        "universe_members": select_universe(
            market.bars, market.instruments, UniverseParameters(min_listing_sessions=60)
        ),
        "instruments": market.instruments,
    }


def collect(tables, chosen, handed_over=None, feature_sets=None):
    return nodes.collect_factors(
        tables["adjusted_bars"],
        tables["sessions"],
        tables["universe_members"],
        handed_over,
        feature_sets or {},
        chosen,
    )


def evaluate(tables, chosen, handed_over=None, feature_sets=None):
    returns = nodes.compute_returns_by_horizon(
        tables["adjusted_bars"],
        tables["corporate_actions"],
        tables["sessions"],
        tables["universe_members"],
        chosen,
        MarketRules(),
    )
    collected = collect(tables, chosen, handed_over, feature_sets)
    backtests = pd.DataFrame({"factor": list(collected[0].columns), **dict.fromkeys(MEASURES, 0.5)})
    return nodes.evaluate_factors(*collected, returns, tables["instruments"], backtests, chosen)


@pytest.fixture(scope="module")
def with_bankruptcies():
    """The simulated market of the demo: 150 names over ten years, of which twenty-seven are delisted."""
    market = generate_market().as_of(pd.Timestamp("2024-12-31"))
    universe = UniverseParameters(min_listing_sessions=60, min_price=3.0, min_median_traded_value=1_000_000.0)
    adjusted = adjust_bars(market.bars, market.corporate_actions)
    return {
        "adjusted_bars": adjusted,
        "corporate_actions": market.corporate_actions,
        "sessions": list_sessions(market.bars, MarketRules(), "2024-12-31"),
        "universe_members": select_universe(market.bars, market.instruments, universe),
        "instruments": market.instruments,
    }


@pytest.fixture(scope="module")
def oracle(tables):
    """A file that knows the return of the clock, and one that knows yesterday's."""
    bars = tables["adjusted_bars"]
    opens = bars.pivot(index="date", columns="instrument", values="open")
    known = {"next": opens.shift(-2) / opens.shift(-1) - 1, "last": opens / opens.shift(1) - 1}
    stacked = {name: frame.stack().rename_axis(["datetime", "instrument"]) for name, frame in known.items()}
    return pd.DataFrame(stacked)


@pytest.fixture(scope="module")
def judged(tables, oracle):
    chosen = parameters(expression="$close/$open-1", feature_set="own", factor_file="oracle.parquet")
    feature_sets = {"own": {"expressions": {"KMID": "($close-$open)/$open", "WIDE": "($high-$low)/$open"}}}
    return chosen, evaluate(tables, chosen, oracle, feature_sets)


def test_expression_feature_set_and_file_are_judged_together(judged):
    summary = judged[1][0].set_index("factor")
    assert set(summary.index) == {"expression", "KMID", "WIDE", "next", "last"}
    assert summary.loc["next", "source"] == "oracle.parquet"
    assert summary.loc["WIDE", "source"] == "($high-$low)/$open"


def test_an_oracle_scores_perfectly_on_the_clock_and_on_nothing_else(judged):
    summary = judged[1][0].set_index("factor")
    assert summary.loc["next", "rank_ic"] > 0.999
    assert summary.index[0] == "next"
    assert abs(summary.loc["last", "rank_ic"]) < 0.1
    decay = judged[1][1].set_index(["factor", "horizon"])["rank_ic"]
    assert 0.2 < decay["next", 5] < 0.8


def test_equal_factors_score_equally_and_correlate_fully(judged):
    summary, _, _, _, correlations = judged[1]
    pair = correlations.set_index(["factor", "other"])["correlation"]
    assert pair["expression", "KMID"] == pytest.approx(1.0, abs=1e-3)
    both = summary.set_index("factor")["rank_ic"]
    assert both["expression"] == pytest.approx(both["KMID"], abs=1e-3)
    assert set(summary["nearest_known"]) <= set(KNOWN)


def test_panels_in_files_are_read_in_parts_and_give_the_same_bits(tables, tmp_path, monkeypatch):
    chosen = parameters(feature_set="own", net_of="size")
    sets = {"own": {"expressions": {f"MA{days}": f"Mean($close, {days})/$close" for days in range(2, 8)}}}
    evaluated, known, sources = collect(tables, chosen, feature_sets=sets)
    backtests = pd.DataFrame({"factor": list(evaluated.columns), **dict.fromkeys(MEASURES, 0.5)})
    returns = evaluated.iloc[:, :2].set_axis(["return_1", "return_5"], axis=1).astype("float64")
    more = (sources, returns, tables["instruments"], backtests, chosen)
    here = nodes.evaluate_factors(evaluated, known, *more)

    values, read = [], StoredPanel.read

    def watched(panel, rows=None, columns=None):
        table = read(panel, rows, columns)
        values.append(table.size)
        return table

    monkeypatch.setattr(StoredPanel, "read", watched)
    monkeypatch.setattr("quant_pipeline.models.panels.AT_ONCE", evaluated.size // 5)
    monkeypatch.setattr("quant_pipeline.evaluation.factor_scores.READ_AT_ONCE", 2)
    stored = []
    for name, table in {"evaluated": evaluated, "known": known}.items():
        YearlyPanel(str(tmp_path / name)).save(table)
        stored.append(YearlyPanel(str(tmp_path / name), lazy=True).load())
    for left, right in zip(nodes.evaluate_factors(*stored, *more), here, strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert max(values) <= 2 * len(evaluated)
    assert sum(values) == pytest.approx(2 * evaluated.size + 2 * known.size - known.size / 2)


def test_without_a_choice_the_known_factors_are_judged(tables):
    summary = evaluate(tables, parameters())[0]
    assert set(summary["factor"]) == set(KNOWN)


def test_a_library_is_found_by_its_name_and_a_typo_names_the_nearest(tables):
    assert collect(tables, parameters(feature_set="alpha158"))[0].shape[1] == 158
    with pytest.raises(ConfigurationError, match="did you mean 'alpha158'"):
        collect(tables, parameters(feature_set="alpha15"))


@pytest.mark.parametrize("net_of", ["sector", "size", "sector_and_size"])
def test_a_factor_that_is_only_its_sector_or_size_is_nothing_net_of_it(tables, net_of):
    sectors = tables["instruments"].set_index("instrument")["sector"]
    members = tables["universe_members"].rename(columns={"date": "datetime"})
    code = pd.factorize(members["instrument"].map(sectors))[0].astype("float64")
    handed_over = members.assign(sector_code=code).set_index(["datetime", "instrument"])
    chosen = parameters(expression=KNOWN["TRADEDVALUE20"], factor_file="x", net_of=net_of)
    summary = evaluate(tables, chosen, handed_over)[0].set_index("factor")
    if "sector" in net_of:
        assert pd.isna(summary.loc["sector_code", "rank_ic"])
    if "size" in net_of:
        assert pd.isna(summary.loc["expression", "rank_ic"])


def test_rows_are_the_members_of_the_asked_span(tables):
    panel, known, _ = collect(tables, parameters(expression="$close", start="2022-01-01", end="2022-06-30"))
    days = panel.index.get_level_values("datetime")
    assert days.min() >= pd.Timestamp("2022-01-01")
    assert days.max() <= pd.Timestamp("2022-06-30")
    assert panel.index.equals(known.index)
    members = tables["universe_members"]
    assert len(panel) == members["date"].between("2022-01-01", "2022-06-30").sum()


def test_what_cannot_be_judged_is_refused_clearly(tables, oracle):
    with pytest.raises(FactorError, match="ahead"):
        collect(tables, parameters(expression=label_expression("open", 1)))
    with pytest.raises(ConfigurationError, match="names that are taken: expression"):
        collect(tables, parameters(expression="$close"), oracle.rename(columns={"next": "expression"}))
    with pytest.raises(ConfigurationError, match="no member between"):
        collect(tables, parameters(expression="$close", start="2030-01-01"))
    with pytest.raises(FactorError, match="no factor has a single value"):
        collect(tables, parameters(factor_file="x"), oracle[["next"]] * np.nan)
    with pytest.raises(ValueError, match="size_factor 'NONE'"):
        parameters(size_factor="NONE")
    with pytest.raises(ValueError, match="start is no date"):
        parameters(start="soon")


def test_evaluated_factors_do_not_know_the_future(tables):
    random = np.random.default_rng(3)
    poisoned = tables["adjusted_bars"].copy()
    later = poisoned["date"] > CUT
    for column in ("open", "high", "low", "close", "vwap", "volume"):
        poisoned[column] = poisoned[column].where(~later, poisoned[column] * random.uniform(0.3, 3, len(poisoned)))
    chosen = parameters(feature_set="alpha158")
    before = collect(tables, chosen)[0]
    after = collect({**tables, "adjusted_bars": poisoned}, chosen)[0]
    pd.testing.assert_frame_equal(before.loc[:CUT], after.loc[:CUT], check_exact=True)
    assert not before.loc[CUT:].equals(after.loc[CUT:])


def _two_names():
    """Six sessions, each of which opens where the one before it closed: A rises by one every day, B falls by one."""
    days = pd.bdate_range("2024-01-01", periods=6, unit="ns")
    changes = {"A": (10.0, 1.0), "B": (50.0, -1.0)}
    rows = [
        (day, name, first + place * step, first + place * step + 1, first + place * step - 1,
         first + (place + 1) * step, first + place * step, 1e6)
        for name, (first, step) in changes.items()
        for place, day in enumerate(days)
    ]  # fmt: skip
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "vwap", "volume"])
    actions = pd.DataFrame({"date": [], "instrument": [], "kind": [], "value": []})
    return days, {
        "bars": bars.astype({"instrument": "str"}),
        "corporate_actions": actions.astype({"date": "datetime64[ns]", "instrument": "str"}),
        "sessions": pd.DataFrame({"date": days}),
        "benchmark": pd.DataFrame({"date": days, "total_return_close": 100.0}),
        "instruments": pd.DataFrame({"instrument": ["A", "B"], "sector": "x"}),
    }


def test_holding_a_factor_earns_what_its_highest_instrument_earns_after_costs(tmp_path, monkeypatch):
    """The first value is known after 1 January: 95 % of the cash buys A for 11 at the open of the 2nd, and a spread."""
    days, tables = _two_names()
    index = pd.MultiIndex.from_product([days, ["A", "B"]], names=["datetime", "instrument"])
    factors = pd.DataFrame(
        {"finds A": [1.0, 0.0] * 6, "finds B": [0.0, 1.0] * 6, "nothing": np.nan, "too late": np.nan}, index=index
    )
    factors.loc[(days[-1], "A"), "too late"] = 1.0
    rules = {
        "strategy": StrategyRules(topk=1, n_drop=1, risk_degree=0.95),
        "market_rules": MarketRules(),
        "cost_rules": CostRules(half_spread=0.01),
        "account": AccountParameters(name="t", initial_cash=100_000),
    }
    found = backtest_factors(factors, **tables, **rules).set_index("factor")
    shares = int(95_000 / 11)
    values = np.array([100_000.0] + [100_000 - shares * 11 * 1.01 + shares * close for close in range(12, 17)])
    returns = values[1:] / values[:-1] - 1
    assert found.loc["finds A", "topk_return"] == pytest.approx((values[-1] / 100_000) ** (252 / 5) - 1, rel=1e-4)
    assert found.loc["finds A", "topk_sharpe"] == pytest.approx(
        returns.mean() / returns.std(ddof=1) * np.sqrt(252), rel=1e-4
    )
    assert found.loc["finds B", "topk_return"] < 0
    assert found.loc[["nothing", "too late"], list(MEASURES)].isna().all(axis=None)
    YearlyPanel(str(tmp_path)).save(factors.astype("float32"))
    panel = YearlyPanel(str(tmp_path), lazy=True).load()
    monkeypatch.setattr("quant_pipeline.pipelines.factor_evaluation.holding.AT_ONCE", 2)
    again = backtest_factors(panel, **tables, **rules).set_index("factor")
    pd.testing.assert_frame_equal(again, found, check_exact=True)


@pytest.fixture(scope="module")
def page(judged):
    chosen, results = judged
    return compose_factor_page(*results, chosen, *RULES, AS_OF)


def test_the_page_says_what_was_found(page, judged):
    assert "5 factors" in page
    assert "Strongest: next" in page
    assert "Benjamini and Yekutieli" in page
    assert "keeps the 4 instruments with the highest values" in page
    assert page == compose_factor_page(*judged[1], judged[0], *RULES, AS_OF)


def test_the_page_of_one_factor_with_a_hostile_name_is_escaped(tables):
    handed_over = collect(tables, parameters(expression="$close/$open"))[0].set_axis(["<script>x"], axis=1)
    chosen = parameters(factor_file="x", known_factors={"TRADEDVALUE20": KNOWN["TRADEDVALUE20"]})
    page = compose_factor_page(*evaluate(tables, chosen, handed_over), chosen, *RULES, AS_OF)
    assert "<script>x" not in page


def test_the_page_is_drawn_in_a_browser_at_two_widths(page, tmp_path):
    assert page.count("<figure") == 6
    require_drawn(page, tmp_path / "factors.html")


def test_the_page_shows_what_every_factor_is(page, judged):
    assert "expression or file" in page
    for source in judged[1][0]["source"]:
        assert f">{source}<" in html.unescape(page)


def test_the_library_of_the_parameters_wins_over_the_shipped_one():
    from quant_pipeline.factors.feature_sets import find_feature_set

    own = {"alpha158": FeatureSet(expressions={"mine": "$close"}).model_dump()}
    assert find_feature_set("alpha158", own).all_expressions() == {"mine": "$close"}


YEARLY_SPREADS = {
    # Percent a year at one, five and twenty sessions: with the delistings, and as if nothing had happened to them.
    "LOWVOLATILITY60": ([9.0, 7.6, 3.2], [6.1, 4.7, 1.2]),
    "REVERSAL20": ([-3.9, -4.8, -5.4], [-1.0, -2.1, -3.9]),
    "MOMENTUM120": ([7.1, 7.0, 4.5], [4.1, 4.5, 2.9]),
}


def test_spreads_pay_for_the_bankruptcies_of_their_quantiles(with_bankruptcies):
    """Without the losses of bankruptcies, low volatility looks too poor and buying losers too good.

    An independent check, whose quantiles are cut a little differently, found 6.0 and 8.6 %, -1.1 and -4.0 %.
    """
    own = {
        "LOWVOLATILITY60": "-1*Std($close/Ref($close, 1)-1, 60)",
        "REVERSAL20": "Ref($close, 20)/$close",
        "MOMENTUM120": "$close/Ref($close, 120)-1",
    }
    chosen = parameters(feature_set="own", horizons=[1, 5, 20], resamples=2)
    nothing_happened = with_bankruptcies["corporate_actions"].query("kind != 'delisting'")
    found = {}
    for tables in (with_bankruptcies, {**with_bankruptcies, "corporate_actions": nothing_happened}):
        decay = evaluate(tables, chosen, feature_sets={"own": {"expressions": own}})[1]
        yearly = 100 * decay["spread"] * 252 / decay["horizon"]
        for factor, values in yearly.groupby(decay["factor"]):
            found.setdefault(factor, []).append([round(value, 1) for value in values])
    assert found == {factor: list(spreads) for factor, spreads in YEARLY_SPREADS.items()}

"""From nothing to orders under China's rules, on the command line, in a fresh project folder."""

import pandas as pd
import pytest
import yaml

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.chinese_codes import chinese_code
from quant_pipeline.market.sources.simulated_china import SimulatedChinaParameters, generate_chinese_market
from quant_pipeline.testing.chinese_vendor_files import write_akshare, write_baostock, write_tushare
from quant_pipeline.testing.small_project import SMALL_PARAMETERS
from tests.helpers.project import copy_project
from tests.helpers.representatives import representatives

MARKET = {"n_instruments": 14, "start": "2021-01-04", "end": "2025-03-31", "listed_late": 0.0}
NEXT_DAY = "kedro run --env cn --pipelines daily --params as_of=2025-01-02"


@pytest.fixture(scope="module")
def project(tmp_path_factory, project_path, commands):
    """A copy of the project whose simulated A-shares are few, before any run."""
    project = copy_project(project_path, tmp_path_factory.mktemp("china") / "project", commands)
    conf = project.path / "conf" / "cn"
    catalog = yaml.safe_load((conf / "catalog.yml").read_text())
    catalog["market_source"]["parameters"]["simulated"] |= MARKET
    (conf / "catalog.yml").write_text(yaml.safe_dump(catalog))
    parameters = yaml.safe_load((conf / "parameters.yml").read_text())
    small = {key: value for key, value in SMALL_PARAMETERS.items() if key != "models"}
    small["models"] = {"gru_alpha158": {"hyper": {"epochs": 1}}}
    (conf / "parameters.yml").write_text(yaml.safe_dump(parameters | small | {"account": {"initial_cash": 100000}}))
    return project


@pytest.fixture(scope="module")
def ran(project):
    done = project.run("kedro run --env cn")
    return done.stdout + done.stderr


def table(project, name):
    return pd.read_parquet(project.path / "data/accounts/cn" / name)


def sizes(orders):
    """Fewest shares and step of every order, by the rules of the exchange."""
    rules = MarketRules.preset("CN")
    return pd.DataFrame([rules.lot_of(name) for name in orders["instrument"]], columns=["fewest", "step"])


def test_the_whole_path_ends_with_orders_in_sizes_of_their_boards_and_amounts_in_yuan(project, ran):
    assert "Account: net asset value 100,000.00 CNY, cash 100,000.00 CNY" in ran
    assert "USD" not in ran
    orders = table(project, "orders/2024-12-31.parquet")
    bought = orders[(orders["side"] == "buy") & (orders["quantity"] > 0)].reset_index(drop=True)
    allowed = sizes(bought)
    assert len(bought) == 5
    assert (bought["quantity"] >= allowed["fewest"]).all()
    assert (bought["quantity"] % allowed["step"] == 0).all()
    report = (project.path / "data/accounts/cn/08_reporting/2024-12-31/report.html").read_text()
    assert "value, CNY" in report
    # The configuration at its end names formats of brokers in the US.
    assert ", USD" not in report


def test_the_backtest_obeys_lots_and_the_locks_of_the_next_session(project, ran):
    trades = table(project, "08_reporting/backtest/trades.parquet")
    filled = trades[trades["status"] == "filled"].reset_index(drop=True)
    bought = filled[filled["side"] == "buy"].reset_index(drop=True)
    allowed = sizes(bought)
    assert len(bought) > 50
    assert ((bought["quantity"] >= allowed["fewest"]) & (bought["quantity"] % allowed["step"] == 0)).all()
    # At least five yuan of commission, and stamp duty on sales.
    assert filled["fee"].min() >= 5.0
    both = filled.merge(filled, on=["date", "instrument"], suffixes=("", "_other"))
    assert (both["side"] == both["side_other"]).all(), "nothing is bought and sold in one session"


def test_the_next_day_books_what_was_ordered(project, ran):
    done = project.run(NEXT_DAY)
    assert "CNY" in done.stdout + done.stderr
    log = table(project, "trade_log.parquet")
    orders = table(project, "orders/2024-12-31.parquet")
    wanted = orders[orders["quantity"] > 0].set_index("instrument")["quantity"]
    assert set(log["instrument"]) <= set(wanted.index)
    assert (log.set_index("instrument")["quantity"] <= wanted.reindex(log["instrument"])).all()
    assert len(log) >= 4


@pytest.mark.parametrize("write", representatives([write_tushare, write_akshare, write_baostock], {write_tushare}))
def test_exports_of_a_vendor_become_a_market_of_their_own(project, ran, write, tmp_path):
    bars = pd.read_parquet(project.path / "data/markets/cn_simulated/02_intermediate/bars.parquet")
    bars = bars[bars["instrument"].isin(bars["instrument"].unique()[:3]) & (bars["date"] >= "2024-06-03")]
    rows = bars.drop(columns="vendor_adjusted_close").assign(split=1.0, dividend=0.0).reset_index(drop=True)
    written = write(tmp_path, rows).bars
    project.run(f"kedro run --env cn --pipelines ingestion --params market_folder={tmp_path}")
    read = pd.read_parquet(project.path / "data/markets/cn_files/02_intermediate/bars.parquet")
    pd.testing.assert_frame_equal(in_codes(read), in_codes(written), check_exact=False, rtol=1e-12)
    again = pd.read_parquet(project.path / "data/markets/cn_simulated/02_intermediate/bars.parquet")
    assert len(again["instrument"].unique()) == 14, "the embedded market keeps its tables"


@pytest.mark.slow
def test_models_are_trained_on_exports_and_end_with_orders_in_allowed_sizes(project, tmp_path):
    market = generate_chinese_market(SimulatedChinaParameters(**MARKET))
    bars = market.as_of(pd.Timestamp(MARKET["end"])).bars
    rows = bars.drop(columns="vendor_adjusted_close", errors="ignore").assign(split=1.0, dividend=0.0)
    write_tushare(tmp_path, rows.sort_values(["instrument", "date"], ignore_index=True))
    done = project.run(f"kedro run --env cn --params market_folder={tmp_path}")
    assert "CNY" in done.stdout + done.stderr
    (file,) = (project.path / "data/accounts/cn_files/orders").glob("*.parquet")
    orders = pd.read_parquet(file)
    bought = orders[(orders["side"] == "buy") & (orders["quantity"] > 0)].reset_index(drop=True)
    allowed = sizes(bought)
    assert file.stem == "2025-03-31"
    assert len(bought) == 5
    assert ((bought["quantity"] >= allowed["fewest"]) & (bought["quantity"] % allowed["step"] == 0)).all()
    scores = pd.read_parquet(project.path / "data/markets/cn_files/07_model_output/ensemble/fused_scores.parquet")
    assert scores.notna().all(axis=None)


def in_codes(bars):
    """Sort bars by the codes that all spellings mean."""
    table = bars.assign(instrument=bars["instrument"].map(chinese_code)).sort_values(["instrument", "date"])
    return table[["instrument", "date", "open", "high", "low", "close", "volume"]].reset_index(drop=True)

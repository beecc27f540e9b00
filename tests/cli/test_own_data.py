"""README's section "Your own data", typed as it stands; the same bars as single CSV files and as one Parquet."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from tests.helpers.project import copy_project
from tests.helpers.qlib_dump import chinese_provider

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "path/to/folder"
MARKET = ("02_intermediate/bars.parquet", "02_intermediate/corporate_actions.parquet")
HEADER = ["timestamp", "open", "high", "low", "close", "volume", "dividend_amount", "split_coefficient"]


def section_of_readme(title):
    """Return the commands of the shell blocks of a section."""
    text = (ROOT / "README.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]


def exported(folder: Path, bars: pd.DataFrame, as_csv: bool) -> None:
    """Write bars as Alpha Vantage exports them, one CSV per instrument, or as one Parquet."""
    folder.mkdir(parents=True)
    if not as_csv:
        bars.to_parquet(folder / "bars.parquet", index=False)
        return
    for name, rows in bars.groupby("symbol"):
        rows.drop(columns="symbol").to_csv(folder / f"{name}.csv", index=False)


def simulated_exports() -> pd.DataFrame:
    parameters = SimulatedMarketParameters(seed=2, n_instruments=6, start="2022-01-03", end="2023-12-29")
    market = generate_market(parameters).as_of(pd.Timestamp("2023-12-29"))
    table = market.bars.rename(columns={"date": "timestamp", "instrument": "symbol"})
    for kind, column, none in (("split", "split_coefficient", 1.0), ("cash_dividend", "dividend_amount", 0.0)):
        actions = market.corporate_actions[market.corporate_actions["kind"] == kind]
        actions = actions.rename(columns={"date": "timestamp"})
        known = actions.rename(columns={"instrument": "symbol", "value": column})[["timestamp", "symbol", column]]
        table = table.merge(known, on=["timestamp", "symbol"], how="left").fillna({column: none})
    return table[["symbol", *HEADER]]


def real_exports(market: Path) -> pd.DataFrame:
    """Return the rows of the table that the folder of single files holds too."""
    files = sorted((market / "us_daily_csv").glob("*.csv"))
    first = min(pd.read_csv(file, usecols=["timestamp"])["timestamp"].min() for file in files)
    daily = pd.read_parquet(market / "us_daily.parquet").rename(columns={"date": "timestamp"})
    wanted = daily["symbol"].isin([file.stem for file in files]) & (daily["timestamp"] >= first)
    return daily.loc[wanted, ["symbol", *HEADER, "adjusted_close"]]


def same_tables(first, second, *names):
    for name in names:
        tables = [pd.read_parquet(project.path / "data/markets/files" / name) for project in (first, second)]
        assert len(tables[0])
        pd.testing.assert_frame_equal(*tables)


def same_results(first, second):
    """Compare bars, corporate actions, scores and orders of two projects."""
    same_tables(first, second, *MARKET, "07_model_output/ensemble/fused_scores.parquet")
    orders = [sorted((each.path / "data/accounts/files/orders").glob("*.parquet")) for each in (first, second)]
    assert len(orders[0]) == len(orders[1]) == 1
    ours, theirs = (pd.read_parquet(files[0]) for files in orders)
    assert len(ours)
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_section_of_the_readme_is_typed_as_it_stands_and_the_market_of_a_parquet_is_the_same(
    project_path, tmp_path, commands
):
    """`test_twenty_real_stocks_…` goes on to the orders of both."""
    bars = simulated_exports()
    typed = section_of_readme("Your own data")
    assert typed == [f"kedro market check {FOLDER}", f"kedro run --env files --params market_folder={FOLDER}"]
    single, table = (copy_project(project_path, tmp_path / kind, commands) for kind in ("csv", "parquet"))
    exported(single.path / FOLDER, bars, as_csv=True)
    exported(table.path / FOLDER, bars, as_csv=False)
    checked, ran = (single.run(command) for command in typed)
    assert checked.stdout.rstrip().endswith("can be read")
    assert "Orders for 2024-01-02 at the open" in ran.stdout
    checked, _ = (table.run(command.replace("kedro run", "kedro run --pipelines ingestion")) for command in typed)
    assert checked.stdout.rstrip().endswith("can be read")
    same_tables(single, table, *MARKET)


@pytest.mark.slow
def test_twenty_real_stocks_as_single_files_and_as_parquet_give_the_same_orders(
    project_path, real_market, tmp_path, commands
):
    files, table = (copy_project(project_path, tmp_path / kind, commands) for kind in ("csv", "parquet"))
    shutil.copytree(real_market / "us_daily_csv", files.path / FOLDER)
    exported(table.path / FOLDER, real_exports(real_market), as_csv=False)
    for project in (files, table):
        project.run(f"kedro run --env files --params market_folder={FOLDER}")
    assert pd.read_parquet(files.path / "data/markets/files/02_intermediate/bars.parquet")["instrument"].nunique() == 20
    same_results(files, table)


def test_a_provider_in_the_home_of_the_user_runs_to_orders_by_the_command_of_the_readme(
    project_path, tmp_path, commands, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    chinese_provider(tmp_path / "home/.qlib/qlib_data/cn_data")
    project = copy_project(project_path, tmp_path / "project", commands)
    project.run("kedro run --env qlib --params provider_uri=~/.qlib/qlib_data/cn_data,universe=csi300")
    members = pd.read_parquet(project.path / "data/markets/qlib/03_primary/universe_members.parquet")
    assert members.groupby("instrument").size()["SH600519"] == 233 + 136
    written = project.path / "data/markets/qlib/03_primary/qlib/instruments"
    assert sorted(file.name for file in written.iterdir()) == ["all.txt", "benchmark.txt", "universe.txt"]


def test_a_market_of_one_instrument_says_what_it_cannot_do(project_path, tmp_path, commands):
    bars = simulated_exports()
    project = copy_project(project_path, tmp_path / "project", commands)
    exported(project.path / FOLDER, bars[bars["symbol"] == bars["symbol"].iloc[0]], as_csv=True)
    checked = project.run(f"kedro market check {FOLDER}")
    assert checked.stdout.startswith("1 instruments, ")
    refused = project.run(f"kedro run --env files --params market_folder={FOLDER}", ok=False)
    assert refused.returncode == 1
    assert f"the market has one instrument, {bars['symbol'].iloc[0]}, and models learn to order" in refused.stderr
    assert not (project.path / "data/markets/files/02_intermediate").exists()
    project.run(f"kedro run --env files --pipelines ingestion --params market_folder={FOLDER}")

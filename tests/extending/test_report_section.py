"""The section of docs/extending/report-section.md is on the page, and passes its contract."""

import pandas as pd
import pytest
import yaml
from kedro.framework.startup import bootstrap_project

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.reporting import create_pipeline, nodes
from quant_pipeline.pipelines.reporting import pipeline as module
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from tests.helpers.documented_files import files_of, write_files


@pytest.fixture
def block(tmp_path, monkeypatch, project_path):
    """Put the module of the page on the path and return its block of parameters."""
    page = project_path / "docs" / "extending" / "report-section.md"
    assert len(files_of(page)["src/my_sections/sectors.py"].splitlines()) < 60
    write_files(page, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    chosen = yaml.safe_load((tmp_path / "conf/base/parameters_report.yml").read_text())["report"]
    return {"account": "sim", "market": "simulated", "path": "data/accounts/sim/08_reporting", **chosen}


@pytest.fixture
def tables():
    """The first day: one booked session, nothing else yet."""
    prices = ["quantity", "average_cost", "price", "market_value", "unrealised_profit"]
    holdings = pd.DataFrame({"instrument": ["A", "B", "C"], **dict.fromkeys(prices, 1.0), "weight": [0.5, 0.25, 0.125]})
    return {
        "holdings": holdings,
        "instruments": pd.DataFrame({"instrument": ["A", "B"], "sector": ["Energy", "Energy"]}),
        "account_nav": pd.DataFrame({"date": pd.to_datetime(["2024-12-30"]), "nav": [1e6], "cash": [1e5]}),
        "backtest_nav": pd.DataFrame({"date": [], "nav": [], "benchmark": []}),
        "backtest_performance": {},
        "backtest_facts": {},
        "missed_sessions": pd.DataFrame({"session": [], "missed": [], "is_new": []}),
        "shadow_sessions": pd.DataFrame({"date": [], "difference": []}),
        "ic_series": pd.DataFrame({"date": [], "model": [], "rank_ic": []}),
        "orders": pd.DataFrame({"instrument": [], "side": [], "estimated_value": []}),
        "data_quality": pd.DataFrame({"instrument": [], "date": [], "check": [], "severity": []}),
        **dict.fromkeys(("nav_figure", "drawdown_figure", "ic_figure")),
    }


def test_the_section_is_on_the_page_and_in_the_menu(block, tables):
    report = ReportParameters.model_validate(block)
    combinations = {"all": {"models": ["m"]}}
    settings = {
        "market_rules": MarketRules(),
        "ensemble": EnsembleParameters(default="all", combinations=combinations),
        "label": LabelParameters(horizon=1),
        "as_of": "2024-12-31",
        "account": AccountParameters(name="mine"),
        "execution": ExecutionRules(),
        "events": (),
    }
    page = nodes.compose_report(report, **settings, parameters={}, **tables)
    assert '<li><a href="#sectors">Sectors</a></li><li><a href="#provenance">Provenance</a></li></ul></nav>' in page
    rows = page[page.index('<section id="sectors"') :]
    assert rows.index(">Energy<") < rows.index("75.0%") < rows.index(">not known<") < rows.index("12.5%")
    assert '<section id="scores"' not in page


def test_the_pipeline_reads_what_the_section_shows(block, project_path, monkeypatch):
    bootstrap_project(project_path)
    assert "instruments" not in create_pipeline().inputs()
    monkeypatch.setattr(module, "read_block", lambda _, kind: kind.model_validate(block))
    assert "instruments" in create_pipeline().inputs()


@pytest.mark.usefixtures("block")
def test_the_contract_of_the_page_passes(project_path):
    page = project_path / "docs" / "extending" / "report-section.md"
    exec(compile(files_of(page)["tests/test_sectors.py"], "test_sectors.py", "exec"), names := {})
    case = names["TestSectors"]
    checks = [getattr(case(), name) for name in dir(case) if name.startswith("test_")]
    assert len(checks) == 6
    for check in checks:
        check()

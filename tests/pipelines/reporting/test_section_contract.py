"""Every shipped section passes the contract that the project ships."""

import pandas as pd
import pytest

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.reporting import nodes
from quant_pipeline.pipelines.reporting.sections import SHIPPED
from quant_pipeline.testing.report_section_contract import ReportSectionContract


class ShippedContract(ReportSectionContract):
    @pytest.fixture(autouse=True)
    def _tables(self, tables, settings):
        drawn = nodes.draw_figures(
            tables["backtest_nav"], tables["ic_series"], MarketRules(), tables["backtest_facts"], settings["parameters"]
        )
        self.tables = {**tables, **dict(zip(("nav_figure", "drawdown_figure", "ic_figure"), drawn, strict=True))}

    def make_tables(self):
        shown = {name: self.tables[name] for name in self.record.inputs}
        return {name: table.copy() if isinstance(table, pd.DataFrame) else table for name, table in shown.items()}


globals().update({f"Test_{name}": type(f"Test_{name}", (ShippedContract,), {"section": name}) for name in SHIPPED})

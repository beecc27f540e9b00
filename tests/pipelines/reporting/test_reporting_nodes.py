import plotly.io
import pytest
from kedro.framework.startup import bootstrap_project
from pydantic import ValidationError

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.reporting import create_pipeline, nodes
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.pipelines.reporting.sections import SHIPPED


def test_figures_that_went_through_their_files_give_the_same_page(compose, tables, page, settings):
    drawn = nodes.draw_figures(
        tables["backtest_nav"], tables["ic_series"], MarketRules(), tables["backtest_facts"], settings["parameters"]
    )
    names = ("nav_figure", "drawdown_figure", "ic_figure")
    reloaded = {name: plotly.io.from_json(figure.to_json()) for name, figure in zip(names, drawn, strict=True)}
    assert compose(tables, **reloaded) == page


def test_the_pipeline_writes_page_summary_and_three_figures(project_path):
    bootstrap_project(project_path)
    pipeline = create_pipeline()
    assert pipeline.all_outputs() == {"report_page", "run_summary", "nav_figure", "drawdown_figure", "ic_figure"}


def test_the_summary_names_the_page(tables, settings, page):
    shown = (
        "ic_series",
        "backtest_nav",
        "backtest_performance",
        "backtest_facts",
        "combination_comparison",
        "orders",
        "account_nav",
        "missed_sessions",
    )
    text = nodes.summarise(**{name: tables[name] for name in shown}, report_page=page, **settings)
    assert "data/accounts/sim/08_reporting/2024-12-31/report.html" in text


def test_sections_of_the_parameters_are_those_of_the_page_in_their_order(compose, settings, tables):
    report = settings["report"].model_copy(update={"sections": ("orders", "backtest")})
    page = compose(tables, report=report)
    assert [page.count(f'<section id="{name}"') for name in SHIPPED] == [0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert page.index('<section id="orders"') < page.index('<section id="backtest"')
    assert '<li><a href="#orders">Orders</a></li><li><a href="#backtest">Backtest</a></li></ul></nav>' in page
    assert set(nodes.tables_of(report)) == {*nodes.HEADLINE, "backtest_facts", "nav_figure", "drawdown_figure"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (["backtest", "order"], "there is no section of the report 'order'. Did you mean 'orders'"),
        (["backtest", "orders", "orders"], "two sections are called orders"),
    ],
)
def test_sections_that_cannot_be_written_are_named(settings, sections, words):
    with pytest.raises(ValidationError, match=words):
        ReportParameters.model_validate({**settings["report"].model_dump(), "sections": sections})

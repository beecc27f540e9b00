import plotly.io

from quant_pipeline.pipelines.reporting import create_pipeline, nodes


def test_figures_that_went_through_their_files_give_the_same_page(tables, settings, page):
    drawn = nodes.draw_figures(tables["backtest_nav"], tables["ic_series"])
    reloaded = [plotly.io.from_json(figure.to_json()) for figure in drawn]
    assert nodes.compose_report(*reloaded, **tables, **settings) == page


def test_the_pipeline_writes_page_summary_and_three_figures():
    pipeline = create_pipeline()
    assert pipeline.all_outputs() == {"report_page", "run_summary", "nav_figure", "drawdown_figure", "ic_figure"}


def test_the_summary_names_the_page(tables, settings, page):
    shown = ("ic_series", "backtest_nav", "backtest_performance", "combination_comparison", "orders", "account_nav")
    text = nodes.summarise(*(tables[name] for name in shown), page, **settings)
    assert "data/accounts/sim/08_reporting/2024-12-31/report.html" in text

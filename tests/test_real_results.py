"""The program behind `make results`: its environment, what it keeps, and the tables it writes."""

import pandas as pd
import pytest
import yaml

from tests.helpers.tools import load_tool


@pytest.fixture(scope="module")
def tool(project_path):
    return load_tool(project_path, "real_results")


@pytest.fixture
def results(tool, tmp_path):
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "bars.csv").write_text("a")
    return tool.Results(tmp_path / "results", tmp_path / "market")


PARTS = ("parameters", "globals")


def test_the_environment_has_every_model_of_the_registry_and_the_dates_of_the_page(
    tool, results, project_path, monkeypatch
):
    ran = {}

    def run(self, conf, pipelines, *options):
        ran.update({name: yaml.safe_load((conf / f"research/{name}.yml").read_text()) for name in PARTS})

    monkeypatch.setattr(tool.Results, "_run", run)
    results.train(["ridge_alpha158"])
    entries, named = (ran[name] for name in PARTS)
    assert set(entries["models"]) == set(tool.registered())
    assert all(entry == {"enabled": True} for entry in entries["models"].values())
    assert entries["split"]["test"] == ["2019-01-01", None]
    assert (named["account"], named["market"], named["paths"]["market"]) == ("research",) * 2 + (
        "data/markets/research",
    )
    assert (results.folder / "src/quant_pipeline/__init__.py").samefile(project_path / "src/quant_pipeline/__init__.py")


def test_combinations_without_all_their_members_are_left_out(tool):
    known = {
        "both": {"models": ["a", "b"]},
        "first": {"models": ["a"]},
        "kept": {"models": ["a"], "enabled": False},
    }
    block = tool.combinations(["a"], known)
    assert block["default"] == "first"
    assert block["combinations"] == {
        "both": {"enabled": False},
        "first": {"enabled": True},
        "alone_a": {"models": ["a"], "member_weights": "equal"},
    }


def test_a_model_is_trained_again_only_where_its_entry_or_the_market_has_changed(tool, results, monkeypatch):
    entries = {"one": {"algorithm": "ridge"}, "two": {"algorithm": "gru"}}
    monkeypatch.setattr(tool, "registered", lambda: entries)
    ran = []
    monkeypatch.setattr(tool.Results, "_run", lambda self, conf, pipelines, *options: ran.append((pipelines, *options)))
    results.train(["one", "two"])
    training = [("training", "--namespaces", name) for name in ("one", "two")]
    assert ran == [("ingestion,features",), *training]
    results.train(["one", "two"])
    assert len(ran) == 3

    entries["two"] = {"algorithm": "gru", "seed": 8}
    results.train(["one", "two"])
    assert ran[3:] == training[1:]

    (results.market_folder / "bars.csv").write_text("b")
    other = tool.Results(results.folder, results.market_folder)
    other.train(["one"])
    assert ran[4:] == [("ingestion,features",), training[0]]


PAGE = """before
<!-- make results: information -->
old
<!-- end -->
between
<!-- make results: accounts -->
<!-- end -->
after
"""
WRITTEN = """before
<!-- make results: information -->

2 configurations, one for each model, over 375 sessions. Not trained yet, so not in the table: `late`.

| model | IC | band | rank IC | band | t | false discovery rate | ICIR | sessions above zero | 2019 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `a` | .0193 | \N{MINUS SIGN}.0004 to .0387 | .0186 | .0021 to .0358 | 2.3 | 22 % | .102 | 54 % | .012 |
| `b` | 1.0000 | .0000 to .0000 | .0000 | .0000 to .0000 | \N{EN DASH} | \N{EN DASH} | .000 | 0 % | \N{MINUS SIGN}.012 |

<!-- end -->
between
<!-- make results: accounts -->

| combination | rank IC | return a year | volatility | Sharpe | largest drawdown | turnover a year | information ratio |
| --- | --- | --- | --- | --- | --- | --- | --- |
| `all` (combination) | .0100 | 20.0 % | 10.0 % | 2.00 | \N{MINUS SIGN}5.0 % | 48 \N{MULTIPLICATION SIGN} | .50 |
| `a` | .0186 | 10.0 % | 10.0 % | 1.00 | \N{MINUS SIGN}5.0 % | 48 \N{MULTIPLICATION SIGN} | \N{MINUS SIGN}.50 |
| benchmark |  | 21.0 % |  |  | \N{MINUS SIGN}50.0 % |  |  |

<!-- end -->
after
"""


def test_tables_stand_between_their_marks_and_the_rest_of_the_page_stays(tool, tmp_path):
    summary = pd.DataFrame(
        {
            "factor": ["a", "b"], "sessions": 375, "ic": [0.01927, 1.0], "rank_ic": [0.01858, 0.0],
            "rank_ic_t": [2.269, None], "false_discovery_rate": [0.22, None], "icir": [0.1016, 0.0],
            "positive_share": [0.544, 0.0], "ic_resampled_lower": [-0.0004, 0.0], "ic_resampled_upper": [0.0387, 0.0],
            "rank_ic_resampled_lower": [0.0021, 0.0], "rank_ic_resampled_upper": [0.0358, 0.0],
        }
    )  # fmt: skip
    years = pd.DataFrame({"model": ["a", "b"], "year": 2019, "rank_ic": [0.012, -0.012]})
    compared = pd.DataFrame(
        {
            "combination": ["alone_a", "all"], "rank_ic": [0.0186, 0.01], "annualised_return": [0.1, 0.2],
            "annualised_volatility": 0.1, "sharpe": [1.0, 2.0], "maximum_drawdown": -0.05, "annualised_turnover": 48.2,
            "information_ratio": [-0.5, 0.5],
        }
    )  # fmt: skip
    # A year: the level halves on the way, and ends a fifth and a hundredth above where it began.
    nav = pd.DataFrame({"benchmark": [100.0] * 100 + [50.0] * 100 + [121.0] * 53})
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    tables = {"summary": summary, "years": years, "combinations": compared, "nav": nav}
    tool.write_tables(page, tables, ["late"])
    assert page.read_text() == WRITTEN
    tool.write_tables(page, tables, ["late"])
    assert page.read_text() == WRITTEN
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="has no mark <!-- make results: information -->"):
        tool.write_tables(page, tables, [])


def test_the_page_has_its_marks_and_names_every_model_of_the_registry(tool):
    text = tool.PAGE.read_text(encoding="utf-8")
    table = text[text.index("<!-- make results: information -->") : text.index("<!-- end -->")]
    assert [name for name in tool.registered() if f"`{name}`" not in table] == []

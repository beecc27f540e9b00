"""The dates and reasons that `kedro models plan` shows, in a project whose market has sessions and nothing else."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.models import models as command
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.project import model_registry
from tests.helpers.project import bare_project

LENGTHS = "split.train=18 months,split.valid=6 months,split.test=6 months"
MONTHLY = ["train 2022-06-01 to 2023-11-28, valid 2023-12-01 to 2024-05-29, test 2024-06-03 to 2024-12-31"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, project_path):
    path = bare_project(project_path, tmp_path_factory.mktemp("plan") / "project")
    sessions = TradingCalendar.of("XNYS", pd.Timestamp("2021-01-04"), pd.Timestamp("2025-03-31")).sessions
    file = path / "data/markets/simulated/02_intermediate/sessions.parquet"
    file.parent.mkdir(parents=True)
    pd.DataFrame({"date": sessions}).to_parquet(file)
    return path


@pytest.fixture
def plan(place, monkeypatch):
    """Return the lines of dates that a plan ends with."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(model_registry, "_session_loader", None)
    metadata = bootstrap_project(Path(place))

    def run(params):
        result = CliRunner().invoke(command, ["plan", "--params", params], obj=metadata)
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        waiting = [line for line in lines if "wait" in line and "features 'alpha158' are not there" in line]
        assert len(waiting) == 3
        return [line for line in lines if line.startswith(("train 2", "label of", "The windows", "These dates"))]

    return run


def test_a_plan_names_the_dates_of_windows_that_move_and_when_they_move_next(plan):
    # The last label of train is known at the close before valid: two sessions are purged, and Thanksgiving is none.
    assert plan(f"as_of=2024-12-31,{LENGTHS}") == [*MONTHLY, "The windows move monthly, next on 2025-01-01."]


def test_a_plan_at_an_old_session_has_the_windows_of_then_although_the_market_goes_on(plan):
    assert plan(f"as_of=2024-12-31,{LENGTHS}")[0] == MONTHLY[0]
    later = plan(f"as_of=2025-02-03,{LENGTHS}")
    assert later[0] == "train 2022-08-01 to 2024-01-29, valid 2024-02-01 to 2024-07-29, test 2024-08-01 to 2025-02-03"
    assert later[1] == "The windows move monthly, next on 2025-03-01."


def test_windows_that_are_anchored_stay(plan):
    anchored = plan(f"as_of=2025-02-03,{LENGTHS},split.anchor=2024-12-17")
    assert anchored[0].startswith("train 2022-06-01 to 2023-11-28, valid 2023-12-01 to 2024-05-29, test 2024-06-03")
    assert anchored[1] == "The windows are anchored at 2024-12-17 and do not move."


def test_a_plan_names_the_dates_of_every_label(plan):
    dates = plan(f"as_of=2024-12-31,{LENGTHS},models.ridge_alpha158.label.horizon=5")
    # Six sessions are purged in place of two.
    assert dates[:2] == [
        f"label of 1 session: {MONTHLY[0]}",
        "label of 5 sessions: train 2022-06-01 to 2023-11-21, valid 2023-12-01 to 2024-05-22, test 2024-06-03 to "
        "2024-12-31",
    ]

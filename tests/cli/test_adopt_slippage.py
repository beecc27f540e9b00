"""`kedro account adopt-slippage`: the proposal of the analysis goes into the account's YAML, whose comments stay."""

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account import account
from tests.helpers.project import bare_project

PROPOSED = [
    ("half_spread", 0.0002, 0.00034567, 0.0003, 0.0004, 150, 40),
    ("root_impact", 0.0, 0.01, -0.01, 0.03, 150, 40),
]
COLUMNS = ["parameter", "present", "proposed", "lower", "upper", "orders", "sessions"]


@pytest.fixture
def project(project_path, tmp_path, monkeypatch):
    path = bare_project(project_path, tmp_path / "project")
    monkeypatch.chdir(path)
    return path


def propose(project, rows):
    file = project / "data/accounts/sim/08_reporting/analysis/slippage.parquet"
    file.parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(file)


@pytest.fixture
def adopt(project):
    def type_it(command):
        return CliRunner().invoke(account, command.split()[2:], obj=bootstrap_project(project))

    return lambda: type_it("kedro account adopt-slippage")


def test_proposal_is_written_beside_what_is_there_and_counts(project, adopt):
    file = project / "conf/sim/parameters_costs.yml"
    file.write_text("# Mine.\ncost_rules:\n  per_share: 0.001 # of the broker\n")
    propose(project, PROPOSED)
    done = adopt()
    assert done.exit_code == 0, done.output
    assert "half_spread: 0.0002 becomes 0.000346 (0.0003 to 0.0004)" in done.output
    assert "the present one lies within the band" in done.output
    text = file.read_text()
    assert text.startswith("# Mine.\n")
    assert "# of the broker" in text
    assert "# By the fills of 150 orders in 40 sessions: 0.0003 to 0.0004." in text
    assert yaml.safe_load(text)["cost_rules"] == {"per_share": 0.001, "half_spread": 0.000346, "root_impact": 0.01}
    again = adopt()
    assert yaml.safe_load(file.read_text())["cost_rules"]["half_spread"] == 0.000346
    assert again.exit_code == 0


def test_without_a_proposal_it_says_what_it_needs(project, adopt):
    done = adopt()
    assert done.exit_code == 1
    assert "no slippage is proposed" in done.output
    propose(project, [])
    assert "no slippage is proposed" in adopt().output


def test_what_conf_local_would_hide_is_refused(project, adopt):
    propose(project, PROPOSED)
    (project / "conf/local/parameters.yml").write_text("cost_rules: {half_spread: 0.001}\n")
    done = adopt()
    assert done.exit_code == 1
    assert "conf/local/parameters.yml sets cost_rules.half_spread for every account" in done.output

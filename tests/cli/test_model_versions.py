"""A model is continued in a later window, its versions are listed, and the champions of a session come back."""

import json

import pytest
import yaml

STORE = "data/markets/simulated/06_models/ridge_alpha158"


@pytest.fixture
def continued(project):
    """A project whose ridge was trained at the end of September, and went on learning at the end of the year."""
    file = project.path / "conf/sim/parameters_small.yml"
    settings = yaml.safe_load(file.read_text())
    settings["split"] = {"train": "18 months", "valid": "6 months", "test": "6 months", "refit": "monthly"}
    file.write_text(yaml.safe_dump(settings))
    project.run("kedro run --pipelines training --namespaces ridge_alpha158 --params as_of=2024-09-30")
    before = aliases(project)["champion"]
    printed = project.run("kedro models continue ridge_alpha158").stdout
    return project, before, printed


def aliases(project):
    return json.loads((project.path / STORE / "bundle/aliases.json").read_text())


def test_a_model_goes_on_from_its_champion_and_the_champions_of_a_session_come_back(continued):
    project, september, printed = continued
    december = aliases(project)["champion"]
    assert december != september
    assert f"champion {december} scores from now on, after {september}" in printed
    manifest = json.loads((project.path / STORE / "bundle/versions" / december / "manifest.json").read_text())
    assert manifest["inputs"]["continued_from"] == september
    assert "it was continued from" in project.run("kedro models continue ridge_alpha158").stdout

    listed = project.run("kedro models list").stdout.splitlines()
    place = next(number for number, line in enumerate(listed) if december in line)
    rank_ic = json.loads((project.path / STORE / "measures" / f"{december}.json").read_text())["rank_ic"]
    for shown in ("champion since 2024-12-31, from", "2022-06-01 to 2024-05-29", f"{rank_ic:+.4f}", "147 sessions"):
        assert shown in listed[place]
    assert listed[place + 1].strip() == september

    warned = project.run("kedro run --pipelines prediction --params as_of=2024-09-30").stdout
    assert f"then it was {september}, which `kedro models as-of 2024-09-30` brings back" in " ".join(warned.split())

    told = project.run("kedro models as-of 2024-09-30").stdout
    assert "nothing was changed; to do it: kedro models as-of 2024-09-30 --yes" in told
    assert aliases(project)["champion"] == december
    project.run("kedro models as-of 2024-09-30 --yes")
    assert aliases(project)["champion"] == september
    assert "nothing changes" in project.run("kedro models as-of 2024-09-30 --yes").stdout


def test_a_session_that_the_champions_have_learned_is_not_scored(project):
    refused = project.run("kedro run --pipelines prediction --params as_of=2024-02-01", ok=False)
    assert refused.returncode == 1
    message = " ".join(refused.stderr.split())
    assert "ridge on alpha158 has learned returns that were known on 2024-03-28 only" in message
    assert "combination 'all_icir' hold from 2024-04-01 on and were estimated from what was known then" in message
    algorithm = project.run("kedro models continue nothing", ok=False).stderr
    assert "there is no enabled model 'nothing'" in algorithm

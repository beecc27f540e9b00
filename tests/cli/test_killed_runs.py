"""Kill a run at any moment; the next run ends where an undisturbed one would have, and leaves no rest."""

import random
import shutil
from itertools import pairwise

import pytest
import yaml

from tests.helpers.killed_runs import DAILY, WHOLE, Moment, contents, copy, import_what_runs_need, leftovers, start
from tests.helpers.project import copy_project

MARKET = {"seed": 7, "n_instruments": 10, "start": "2022-06-01", "end": "2025-03-31"}
PARAMETERS = {
    "split": {
        "train": ["2022-12-01", "2023-12-29"],
        "valid": ["2024-01-02", "2024-05-31"],
        "test": ["2024-06-03", "2024-12-31"],
    },
    "strategy": {"topk": 4, "n_drop": 1},
    "models": {
        "lightgbm_alpha158": {"hyper": {"rounds": 20}},
        "gru_alpha158": {"hyper": {"epochs": 1}},
    },
}
NEXT_SESSION = {"as_of": "2025-01-02"}


@pytest.fixture(scope="module")
def fresh(project_path, tmp_path_factory):
    """A project in which nothing was ever run; what the children import is imported."""
    import_what_runs_need()
    made = copy_project(project_path, tmp_path_factory.mktemp("killed") / "fresh").path
    catalog = made / "conf" / "sim" / "catalog.yml"
    entries = yaml.safe_load(catalog.read_text())
    entries["market_source"]["parameters"] = MARKET
    catalog.write_text(yaml.safe_dump(entries))
    (made / "conf" / "sim" / "parameters_small.yml").write_text(yaml.safe_dump(PARAMETERS))
    return made


@pytest.fixture(scope="module")
def whole(fresh):
    """The project after an undisturbed run, and the names of its nodes."""
    return _undisturbed(fresh, "whole", pipeline_names=WHOLE)


@pytest.fixture(scope="module")
def daily(whole):
    """The project after an undisturbed daily run of the next session."""
    return _undisturbed(whole[0], "daily", pipeline_names=DAILY, parameters=NEXT_SESSION)


def _undisturbed(source, name, **run):
    project = copy(source, source.parent / name)
    ended = start(project, **run)
    assert ended.status == 0, ended.output[-6000:]
    assert leftovers(project) == []
    return project, ended.nodes


def _moments(seed, n_nodes, kills):
    """Moments spread over all stages: one per stretch of nodes, at a random node and a random time after its start."""
    drawn = random.Random(seed)
    edges = [round(index * n_nodes / kills) for index in range(kills + 1)]
    return [
        Moment(drawn.randrange(first, max(last, first + 1)), drawn.choice([0.0, 0.02, 0.1, 0.3, 1.0]))
        for first, last in pairwise(edges)
    ]


def _check(source, expected, kills, seed, **run):
    reference, nodes = expected
    wanted, landed = contents(reference), 0
    for number, moment in enumerate(_moments(seed, len(nodes) + 1, kills)):
        project = copy(source, source.parent / f"killed-{number}")
        killed = start(project, moment, **run)
        landed += killed.status == -9
        # A day replaces tables of the day before, which are not missing: it is repeated plainly.
        only_missing = run["pipeline_names"] == WHOLE and bool(number % 2)
        again = start(project, only_missing_outputs=only_missing, **run)
        where = f"killed {moment} at {killed.nodes[-1:]}, then only_missing_outputs={only_missing}"
        assert again.status == 0, f"{where}\n{again.output[-6000:]}"
        found = contents(project)
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        assert differing == [], where
        assert leftovers(project) == [], where
        shutil.rmtree(project)
    assert landed >= kills * 0.7, "too many runs ended before they were killed"


@pytest.mark.slow
def test_a_killed_run_and_a_killed_day_are_completed_by_the_next_run(fresh, whole, daily):
    _check(fresh, whole, 2, seed=1, pipeline_names=WHOLE)
    _check(whole[0], daily, 2, seed=2, pipeline_names=DAILY, parameters=NEXT_SESSION)


@pytest.mark.slow
def test_sixteen_kills_over_all_stages_of_the_whole_path_leave_no_trace(fresh, whole):
    _check(fresh, whole, 16, seed=3, pipeline_names=WHOLE)


@pytest.mark.slow
def test_sixteen_kills_over_all_stages_of_a_day_leave_no_trace(whole, daily):
    _check(whole[0], daily, 16, seed=4, pipeline_names=DAILY, parameters=NEXT_SESSION)

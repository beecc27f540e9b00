"""Only runs of the whole default pipeline have a status in the lineage, and no other run hears of it."""

import json
import logging

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline

from quant_pipeline.project.hooks.lineage import RunStatusHooks


def followed(run_params, folder, monkeypatch):
    """Call the hooks as Kedro does, and return what kedro-viz finds of the run."""
    (folder / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "a"\nproject_name = "a"\n')
    monkeypatch.chdir(folder)
    made = pipeline([node(lambda number: 2 * number, "number", "doubled", name="double")])
    catalog = DataCatalog({"number": MemoryDataset(21)})
    hooks, (double,) = RunStatusHooks(), made.nodes
    hooks.after_catalog_created(catalog)
    hooks.before_pipeline_run(run_params, made)
    hooks.before_node_run(double)
    hooks.after_node_run(double)
    hooks.after_pipeline_run()
    file = folder / ".viz" / "kedro_pipeline_events.json"
    return json.loads(file.read_text()) if file.exists() else None


def test_the_status_of_a_whole_run_is_written(tmp_path, monkeypatch):
    events = followed({"pipeline_names": ["__default__"], "runner": None}, tmp_path, monkeypatch)
    (ended,) = (event for event in events if event["event"] == "after_node_run")
    assert (ended["node"], ended["status"]) == ("double", "success")


@pytest.mark.parametrize(
    "part", [{"pipeline_names": ["daily"]}, {"tags": ["tree"]}, {"runner": "ThreadRunner"}], ids=str
)
def test_a_part_of_it_is_neither_followed_nor_warned_of(part, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    assert followed(part, tmp_path, monkeypatch) is None
    assert caplog.records == []

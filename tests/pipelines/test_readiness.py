"""What a run needs on the disk, by what it writes again."""

import shutil
from collections import namedtuple

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import node, pipeline
from kedro_datasets.text import TextDataset

from quant_pipeline.common.exceptions import StorageError
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.pipelines.readiness import SPARE, problems_of

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_run_needs_its_files_and_the_largest_file_of_each_folder_once_more(tmp_path, monkeypatch, lacking):
    sizes = {"page.txt": 7, "panel/2019.parquet": 100, "panel/deep/er/2020.parquet": 500, "panel/2021.parquet": 300}
    for name, size in {**sizes, "elsewhere/large.parquet": 9_000}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "panel/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "panel/nowhere.parquet").symlink_to(tmp_path / "gone")
    catalog = DataCatalog(
        {
            "page": TextDataset(filepath=str(tmp_path / "page.txt")),
            "panel": YearlyPanel(str(tmp_path / "panel")),
            "not_yet": YearlyPanel(str(tmp_path / "new/panel")),
        }
    )
    steps = pipeline([node(lambda: ("", None, None), None, ["page", "panel", "not_yet"])])
    free = 7 + 500 + SPARE - lacking
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2 * free, free, free))
    problems = list(problems_of(steps, catalog, {"parameters": {"as_of": "2025-01-03"}}))
    assert [type(problem) for problem in problems] == [StorageError] * lacking

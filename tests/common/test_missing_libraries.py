"""What an execution host does without is named in one line, whichever way it was asked for."""

import pytest
from kedro.io import DatasetError
from kedro.pipeline import Pipeline

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.missing_libraries import LEFT_OUT, explain_missing_library
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine
from quant_pipeline.project.hooks.errors import ErrorHooks, stage_that_makes
from quant_pipeline.project.lazy_pipeline import LazyPipeline

NEEDED = r"^this needs pyqlib, which is not installed here: an execution host does without it\. Run it where "


def without(module):
    raise ModuleNotFoundError(f"No module named '{module}'", name=module)


def test_a_command_names_the_package_and_the_way_out():
    with pytest.raises(ConfigurationError, match=NEEDED), KnownErrorsInOneLine():
        without("qlib.data")


def test_a_run_names_it_too_where_a_dataset_has_wrapped_it():
    error = DatasetError("Failed while loading data")
    error.__cause__ = ModuleNotFoundError("No module named 'qlib'", name="qlib")
    with pytest.raises(ConfigurationError, match=NEEDED):
        ErrorHooks().on_pipeline_error(error, {"env": None})


@pytest.mark.parametrize("module", ["pandsa", "quant_pipeline.gone"])
def test_other_missing_modules_keep_their_traceback(module):
    with pytest.raises(ModuleNotFoundError), KnownErrorsInOneLine():
        without(module)


def test_a_stage_that_cannot_be_made_says_so_at_every_look():
    stage = LazyPipeline(lambda: without("torch"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="torch"):
            stage.nodes  # noqa: B018 - the first look makes it


def test_a_missing_dataset_is_looked_for_in_the_stages_that_can_be_made(monkeypatch):
    stages = {"training": LazyPipeline(lambda: without("torch")), "ensemble": Pipeline([])}
    monkeypatch.setattr("kedro.framework.project.pipelines", stages)
    assert stage_that_makes("fused_scores") is None
    stages["training"] = LazyPipeline(lambda: without("pandsa"))
    with pytest.raises(ModuleNotFoundError, match="pandsa"):
        stage_that_makes("fused_scores")


def test_the_overrides_of_the_lock_leave_out_exactly_what_messages_name(project_path):
    lines = (project_path / "tools" / "execution_host.txt").read_text().splitlines()
    wanted = [f"{package} ; python_version < '3'" for package in sorted(LEFT_OUT.values())]
    assert [line for line in lines if not line.startswith("#")] == wanted
    assert explain_missing_library(ValueError("no module")) is None

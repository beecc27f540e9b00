"""Configurations of several accounts that are read in threads of one process, as the service does for its pages."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.project.configuration import ProjectConfigLoader

ACCOUNTS = [f"desk{place}" for place in range(4)]


@pytest.fixture(autouse=True)
def _own_globals(project_path):
    bootstrap_project(project_path)
    pause = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(pause)
    # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
    with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
        session.load_context()


def test_each_account_has_its_own_globals_and_parameters_whatever_is_read_beside_it(tmp_path):
    conf = tmp_path / "conf"
    for name in ("base", "local", *ACCOUNTS):
        (conf / name).mkdir(parents=True)
    (conf / "base" / "parameters.yml").write_text("folder: ${globals:paths.account}\nsize: ${runtime_params:size, 1}\n")
    for place, name in enumerate(ACCOUNTS):
        text = f"account: {name}\nas_of: 2025-01-0{place + 1}\npaths: {{account: data/{name}}}\n"
        (conf / name / "globals.yml").write_text(text)
    together = threading.Barrier(len(ACCOUNTS))

    def read(name):
        together.wait()
        found = set()
        for size in range(10):
            loader = ProjectConfigLoader(
                str(conf), name, base_env="base", default_run_env="sim", runtime_params={"size": size}
            )
            parameters = loader["parameters"]
            found.add((parameters["folder"], parameters["as_of"], parameters["size"] == size))
        return found

    with ThreadPoolExecutor(len(ACCOUNTS)) as threads:
        read_of = list(threads.map(read, ACCOUNTS))
    assert read_of == [{(f"data/{name}", f"2025-01-0{place + 1}", True)} for place, name in enumerate(ACCOUNTS)]

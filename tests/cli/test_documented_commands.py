"""Every command that README and docs show is run, in the copy of the project."""

import ast
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tests.helpers.project import PATIENCE
from tests.helpers.qlib_dump import chinese_provider
from tests.helpers.representatives import representatives
from tests.helpers.servers import answers, free_port

ROOT = Path(__file__).resolve().parents[2]
# `test_extending.py` runs the commands of docs/extending with the files that these pages show, `test_paper_account.py`
# those of the rehearsal at a fake Alpaca of its own. docs/reference names commands without their arguments.
GUIDES = sorted(
    page
    for page in (ROOT / "docs").rglob("*.md")
    if page.parent.name not in ("extending", "reference") and page.name != "rehearsal.md"
)
PAGES = [ROOT / "README.md", *GUIDES]
A_SHARES = ROOT / "tests/market/sources/cases/24_tushare"
STATEMENTS = ROOT / "tests/trading/statements/cases/ib_split_and_sale_same_day/statements"
PROVIDER = "~/.qlib/qlib_data/cn_data"
COMMAND = re.compile(r"(?:^ {4}|`|^)((?:kedro|mlflow|make|python) [^`\n|]+)", re.MULTILINE)

# Run by tests that look closer at what they do. Which account it is stands apart for those before a fake Alpaca.
ELSEWHERE = {
    "kedro run": "test_acceptance.py",
    "kedro run --pipelines daily --params as_of=2025-01-02": "test_acceptance.py",
    "kedro replay --from 2025-01-02 --to 2025-01-07": "test_acceptance.py",
    "kedro run --pipelines training --namespaces ridge_alpha158": "test_acceptance.py",
    "kedro run --pipelines training --tags tree": "test_acceptance.py",
    "kedro run --pipelines order_generation --only-missing-outputs": "test_acceptance.py",
    "kedro models plan": "test_acceptance.py",
    "kedro models promote ridge_alpha158": "test_acceptance.py",
    "kedro models export ridge_alpha158 --to onnx": "test_model_export.py",
    "kedro archive --keep 250 --dry-run": "test_archive.py",
    "kedro archive --keep 250": "test_archive.py",
    "kedro archive verify": "test_archive.py",
    "kedro archive restore 2023-04-26": "test_archive.py",
    "kedro models rollback ridge_alpha158": "test_acceptance.py",
    "kedro models continue ridge_alpha158": "test_model_versions.py",
    "kedro compile trading": "test_compile.py",
    "kedro compile factors": "test_compile.py",
    "kedro account new mine --from sim": "test_scenarios.py",
    "kedro run --env mine --pipelines ingestion,post_trade,prediction,order_generation": "test_scenarios.py",
    "kedro account show --env mine": "test_scenarios.py",
    "kedro models train --cluster 2": "test_training_at_large.py",
    "kedro run --pipelines training": "test_training_at_large.py",
    "kedro backtest list": "test_backtests.py",
    "kedro backtest compare own narrow": "test_backtests.py",
    "kedro backtest export own": "test_backtests.py",
    "kedro backtest export own --bundle ridge_alpha158": "test_backtests.py",
    "kedro backtest verdict exports/backtest_own": "test_backtests.py",
    "kedro ensemble adopt searched": "test_ensemble_adopt.py",
    "kedro account adopt-slippage": "test_adopt_slippage.py",
    "kedro run --env qlib --params provider_uri=~/.qlib/qlib_data/cn_data,universe=csi300": "test_own_data.py",
    "kedro package": "test_package.py",
    "kedro viz build --include-previews": "test_acceptance.py",
    "kedro run --env cn": "test_chinese_account.py",
    "kedro run --env paper": "test_paper_account.py",
    "kedro run --env paper --pipelines execution": "test_paper_account.py",
    "kedro account show --env paper": "test_paper_account.py",
}
# Minutes long, or named without their arguments: that they start is enough here.
STARTED = {
    "kedro service --public",
    "kedro live",
    "kedro live --speed 20000 --sessions 21",
    "kedro run --env paper --pipelines daily",
    "python benchmarks/backtest.py",
    "kedro account",
    "kedro account new",
}
# Started as the reader starts them, as is the first `kedro run`; forks of a warm process run the others.
PROCESSES = {"kedro account show", "kedro models list"}
# What other commands run too, together or with other values.
REPETITIONS = {
    "kedro run --env files --params market_folder=path/to/folder",
    "kedro run --env cn --params market_folder=path/to/a-shares",
    "kedro run --pipelines ensemble,backtest",
    "kedro run --pipelines ensemble,backtest,prediction",
    "kedro models as-of 2024-12-31",
    "kedro run --pipelines execution --params dry_run=true",
    "kedro run --pipelines features,training",
    "kedro run --pipelines features,training,ensemble",
    "kedro run --pipelines ensemble,prediction,post_trade,order_generation",
    "kedro run --pipelines ensemble,backtest,prediction,post_trade,order_generation",
    "kedro run --only-missing-outputs",
    "kedro run --pipelines backtest --params strategy.topk=20",
    "kedro run --pipelines backtest --params backtest.name=narrow,strategy.topk=20",
    "kedro run --pipelines factor_evaluation --params feature_set=alpha158",
    "kedro run --pipelines training --namespaces ridge_alpha158 --params models.ridge_alpha158.hyper.alpha=0.02",
    "python benchmarks/market_facts.py",
}
# Single stages of `kedro run`: that each finds in a finished project what it reads is enough.
STAGES = "ingestion features prediction ensemble backtest post_trade order_generation factor_evaluation"
ALONE = {f"kedro run --pipelines {stage}": stage for stage in STAGES.split()}
# What needs the results of another command, which so runs first.
AFTER = {
    "kedro run --pipelines ensemble_search --params ensemble_search.analysis_only=true": (
        "kedro run --pipelines ensemble_search"
    ),
    "kedro account restore ledger-copy.sqlite --yes": "kedro account backup ledger-copy.sqlite",
}
SERVERS = {
    "kedro service": 8600,
    "kedro viz run": 4141,
    "mlflow ui --backend-store-uri sqlite:///mlflow.db": 5000,
    "python -m quant_pipeline.testing.fake_alpaca": 8765,
}


def documented():
    """Return every distinct command, in the order of the pages."""
    found = [match.strip() for page in PAGES for match in COMMAND.findall(page.read_text())]
    return list(dict.fromkeys(command for command in found if "…" not in command))


def made():
    """Return what `make` makes; the gate runs some of it, people the rest."""
    return [command for command in documented() if command.startswith("make ")]


def short_lived():
    elsewhere = {*made(), *SERVERS, *ELSEWHERE, *AFTER.values()}
    return [command for command in documented() if command not in elsewhere]


def test_the_pages_show_commands():
    commands = documented()
    assert {"make demo", "make test"} <= set(made())
    assert "kedro run --pipelines daily --params as_of=2025-01-02" in commands
    assert {*SERVERS, *ELSEWHERE, *STARTED, *PROCESSES, *ALONE, *AFTER, *AFTER.values()} <= set(commands)


def test_a_stage_alone_loads_what_it_reads_in_a_finished_project(finished):
    bootstrap_project(finished.path)
    with KedroSession.create(finished.path, save_on_close=False) as session:
        catalog = session.load_context().catalog
        for stage in ALONE.values():
            tables = [name for name in sorted(pipelines[stage].inputs()) if not name.startswith("param")]
            assert tables, stage
            for name in tables:
                catalog.load(name)


@pytest.mark.parametrize(("command", "module"), ELSEWHERE.items())
def test_what_another_module_runs_is_run_there(command, module):
    calls = [node for node in ast.walk(ast.parse(Path(__file__).with_name(module).read_text())) if _is_call(node)]
    assert command.replace(" --env paper", "") in {call.args[0].value for call in calls}


def _is_call(node):
    return isinstance(node, ast.Call) and bool(node.args) and isinstance(node.args[0], ast.Constant)


@pytest.mark.parametrize("command", made())
def test_a_documented_target_can_be_made(command):
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", representatives(short_lived(), {*short_lived()} - REPETITIONS - {*ALONE}))
def test_a_documented_command_runs(project, command, request, tmp_path):
    if "path/to/a-shares" in command:
        command = command.replace("path/to/a-shares", shlex.quote(str(A_SHARES))).replace(
            "kedro run", "kedro run --pipelines ingestion"
        )
    elif "path/to/statements" in command:
        command = command.replace("path/to/statements", shlex.quote(str(STATEMENTS)))
    elif PROVIDER in command:
        folder = chinese_provider(tmp_path / "cn_data").folder
        command = command.replace(PROVIDER, shlex.quote(str(folder))).replace(
            "kedro run", "kedro run --pipelines ingestion"
        )
    elif "path/to" in command:
        folder = request.getfixturevalue("real_market")
        if command.startswith("python benchmarks"):
            command = command.replace("path/to/real/bars", shlex.quote(str(folder)))
        else:
            command = command.replace("path/to/folder", shlex.quote(str(folder))).replace(
                "kedro run", "kedro run --pipelines ingestion"
            )
    if "--pipelines execution" in command:
        command = on_the_newest_session(command, project)
    if command in AFTER:
        project.run(AFTER[command])
    run = project.run_process if command in PROCESSES else project.run
    if "--pipelines execution" in command:
        # Limits deny the orders of five instruments, as the summary says in its last line.
        done = run(command, ok=False)
        assert ("dry_run" in command) == (f"Exit status {done.returncode}: " not in done.stdout), done.stdout
        return
    run(f"{command} --help" if command in STARTED else command)


def on_the_newest_session(command, project):
    """Let a command stand where the account stands by then; the pages show it for the first day."""
    booked = max(path.stem for path in (project.path / "data/accounts/sim/holdings").glob("*.parquet"))
    return f"{command}{',' if '--params' in command else ' --params '}as_of={booked}"


@pytest.mark.parametrize(("command", "port"), SERVERS.items())
def test_a_documented_server_answers(project, command, port):
    free = free_port()
    # No window for the reader, and one worker instead of four.
    quiet = {"kedro viz run": " --no-browser", "mlflow ui --backend-store-uri sqlite:///mlflow.db": " --workers 1"}
    server = project.start_process(f"{command}{quiet.get(command, '')} --port {free}")
    try:
        assert answers(f"http://127.0.0.1:{free}/", seconds=PATIENCE)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=PATIENCE)

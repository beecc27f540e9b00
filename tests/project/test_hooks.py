"""What the hooks say when something is missing, and what they leave behind."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.framework.project import configure_project
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline, node, pipeline

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError, StaleDataError, StorageError
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.hooks import (
    AccountGuardHooks,
    ErrorHooks,
    JsonLogHooks,
    ProgressHooks,
    SummaryHooks,
)
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.desk import arming_event, disarming_event


def context(environment, folder="."):
    return SimpleNamespace(env=environment, config_loader={}, project_path=Path(folder))


DESK_TYPE = "quant_pipeline.datasets.trading_desk.BrokerDesk"
LIVE_DESK = {"type": DESK_TYPE, "broker": "alpaca", "parameters": {"kind": "live"}, "credentials": "alpaca_live"}
SIMULATED_DESK = {"type": DESK_TYPE, "broker": "simulated", "parameters": {"path": "orders"}}


class TestAccountGuard:
    @staticmethod
    def guard(environment, folder=".", keys=("a", "b"), step="prepare", desk=None, **execution):
        pair = dict(zip(("api_key", "secret_key"), keys, strict=True))
        config = {
            "credentials": {"alpaca_live": pair, "alpaca_paper": pair},
            "catalog": {
                "trading_desk": desk or LIVE_DESK,
                "ledger_as_found": {"filepath": f"{folder}/ledger.sqlite"},
            },
            "parameters": {
                "as_of": "2025-01-03",
                "market_rules": {"calendar": "XNYS"},
                "execution": {"needs_arming": True, **execution},
                "dry_run": step == "look",
            },
        }
        hook = AccountGuardHooks()
        hook.after_context_created(SimpleNamespace(env=environment, config_loader=config, project_path=Path(folder)))
        name = "prepare" if step == "prepare" else "send_orders"
        hook.before_pipeline_run(Pipeline([Node(lambda: 1, None, "out", name=name)]))

    @pytest.mark.parametrize("environment", ["sim", "files", "any"])
    def test_a_simulated_account_needs_neither_keys_nor_arming(self, environment):
        self.guard(environment, keys=("", ""), step="send_orders", desk=SIMULATED_DESK, needs_arming=False)

    @pytest.mark.parametrize("environment", ["live", "a-copy-of-live"])
    def test_a_real_account_without_keys_names_the_variables_and_the_remedy(
        self, environment, project_path, tmp_path, monkeypatch
    ):
        conf = shutil.copytree(project_path / "conf", tmp_path / "conf")
        shutil.copytree(conf / "live", conf / "a-copy-of-live")
        monkeypatch.setenv("ALPACA_LIVE_API_KEY", "a")
        monkeypatch.delenv("ALPACA_LIVE_SECRET_KEY", raising=False)
        hook = AccountGuardHooks()
        loader = ProjectConfigLoader(str(conf), environment, **LOADER_OPTIONS)
        hook.after_context_created(SimpleNamespace(env=environment, config_loader=loader, project_path=tmp_path))
        with pytest.raises(ConfigurationError) as refused:
            hook.before_pipeline_run(Pipeline([]))
        message = str(refused.value)
        assert "has an account at Alpaca, but its secret_key is not set" in message
        assert "ALPACA_LIVE_API_KEY and ALPACA_LIVE_SECRET_KEY in the shell" in message
        assert f"conf/{environment}/credentials.yml as alpaca_live" in message
        assert "--env sim" in message

    def test_what_an_account_is_its_broker_says_and_not_its_name(self):
        with pytest.raises(ConfigurationError, match="its secret_key is not set"):
            self.guard("sim", keys=("a", ""))

    def test_real_money_cannot_be_configured_to_need_no_arming(self):
        with pytest.raises(ConfigurationError, match=r"real money at Alpaca, but execution\.needs_arming is false"):
            self.guard("live", step="send_orders", needs_arming=False)

    @pytest.mark.parametrize("desk", [{"type": "my_desks.Mine", "broker": "alpaca"}, {"type": DESK_TYPE}])
    def test_a_desk_that_passes_by_the_gateway_is_refused(self, desk):
        with pytest.raises(ConfigurationError, match=r"it has to be `type: .*BrokerDesk` with `broker:`"):
            self.guard("live", desk=desk)

    @pytest.mark.parametrize(
        ("broker", "message"),
        [
            ("ib", "there is no broker 'ib'. There are alpaca, simulated. One of your own is named by its path"),
            ("nowhere.Mine", "broker 'nowhere.Mine': there is no module 'nowhere'"),
            ("pathlib.Path", "broker 'pathlib.Path' is not a BrokerAdapter"),
            ("quant_pipeline.trading.brokers.adapter.BrokerAdapter", "lacks capability, connect"),
        ],
    )
    def test_a_broker_that_does_not_exist_is_refused_in_one_line(self, broker, message):
        with pytest.raises(ConfigurationError, match=message) as refused:
            self.guard("live", desk={"type": DESK_TYPE, "broker": broker})
        assert "\n" not in str(refused.value)

    def test_a_misspelt_parameter_of_a_broker_is_named(self):
        with pytest.raises(ConfigurationError, match="parameters of broker 'alpaca': nothing reads `kinds`"):
            self.guard("live", desk=LIVE_DESK | {"parameters": {"kinds": "live"}})

    def test_without_sending_it_needs_no_arming(self):
        self.guard("live")
        self.guard("live", step="look")

    def test_real_orders_need_a_pinned_account(self):
        with pytest.raises(ConfigurationError, match=r"execution\.account_number does not pin the account"):
            self.guard("live", step="send_orders")

    @pytest.mark.parametrize(("now", "ended"), [("2025-01-03 20:59", False), ("2025-01-03 21:00", True)])
    def test_a_session_that_is_not_over_is_refused_before_anything_is_read(self, now, ended, monkeypatch):
        monkeypatch.setattr(pd.Timestamp, "now", lambda *_: pd.Timestamp(now, tz="UTC"))
        if ended:
            self.guard("live")
        else:
            with pytest.raises(StaleDataError, match=r"2025-01-03 ends at 2025-01-03 21:00 UTC, and it is .* 20:59"):
                self.guard("live")

    def test_a_session_that_was_disarmed_sends_nothing(self, tmp_path):
        session = pd.Timestamp("2025-01-06")
        Ledger.at(tmp_path / "ledger.sqlite").append([arming_event(session, "PA1"), disarming_event(session, 1)])
        with pytest.raises(ConfigurationError, match="PA1 is not armed for 2025-01-06"):
            self.guard("live", tmp_path, step="send_orders", account_number="PA1")

    def test_real_orders_need_an_account_armed_for_this_session(self, tmp_path):
        ledger = Ledger.at(tmp_path / "ledger.sqlite")
        ledger.append(
            [arming_event(pd.Timestamp("2025-01-03"), "PA1"), arming_event(pd.Timestamp("2025-01-06"), "PA2")]
        )
        with pytest.raises(ConfigurationError, match=r"PA1 is not armed for 2025-01-06.*kedro account arm --env live"):
            self.guard("live", tmp_path, step="send_orders", account_number="PA1")
        ledger.append([arming_event(pd.Timestamp("2025-01-06"), "PA1")])
        self.guard("live", tmp_path, step="send_orders", account_number="PA1")


class TestErrors:
    def test_the_error_with_the_remedy_surfaces_from_below_a_dataset_error(self):
        wrapped = DatasetError("Failed while loading data")
        wrapped.__cause__ = MarketDataError("AAPL.csv row 3: no price")
        with pytest.raises(MarketDataError, match="row 3"):
            ErrorHooks().on_pipeline_error(wrapped, {"env": None})

    def test_a_dataset_that_is_not_there_names_the_stage_that_writes_it(self):
        configure_project("quant_pipeline")
        wrapped = DatasetError("fused_scores: no such file")
        wrapped.__cause__ = FileNotFoundError("fused_scores.parquet")
        with pytest.raises(StaleDataError) as refused:
            ErrorHooks().on_pipeline_error(wrapped, {"env": None})
        assert str(refused.value) == (
            "dataset 'fused_scores' has not been made yet; run `kedro run --pipelines ensemble` first."
        )

    def test_the_advised_command_names_the_environment_of_the_run(self):
        configure_project("quant_pipeline")
        wrapped = DatasetError("fused_scores: no such file")
        wrapped.__cause__ = FileNotFoundError("fused_scores.parquet")
        with pytest.raises(StaleDataError, match="run `kedro run --pipelines ensemble --env paper` first"):
            ErrorHooks().on_pipeline_error(wrapped, {"env": "paper"})
        stale = StaleDataError("Run `kedro run --pipelines post_trade --params as_of=2025-01-02` first.")
        with pytest.raises(StaleDataError) as refused:
            ErrorHooks().on_pipeline_error(stale, {"env": "live"})
        assert str(refused.value) == (
            "Run `kedro run --pipelines post_trade --env live --params as_of=2025-01-02` first."
        )

    def test_a_raw_file_that_nothing_writes_is_a_matter_of_its_path(self):
        wrapped = DatasetError("unheard_of: no such file")
        wrapped.__cause__ = FileNotFoundError("unheard_of.csv")
        with pytest.raises(StaleDataError, match=r"'unheard_of'.*correct its path in the catalog"):
            ErrorHooks().on_pipeline_error(wrapped, {"env": None})

    def test_a_file_that_a_node_itself_asks_for_is_named(self):
        asked = FileNotFoundError(2, "No such file or directory", "/weights/mine.csv")
        with pytest.raises(StorageError, match=r"^/weights/mine.csv: there is no such file or folder\.$"):
            ErrorHooks().on_pipeline_error(asked, {"env": None})

    def test_a_programming_error_is_left_as_it_is(self):
        ErrorHooks().on_pipeline_error(KeyError("x"), {"env": "paper"})


def test_the_log_is_copied_as_json_lines_one_file_an_environment(tmp_path):
    hooks = JsonLogHooks()
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    handlers = list(root.handlers)
    try:
        for environment in ("sim", "paper"):
            hooks.after_context_created(context(environment, folder=tmp_path))
            logging.getLogger("quant_pipeline.test").info("said in %s", environment)
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
    for environment in ("sim", "paper"):
        (line,) = (tmp_path / "logs" / f"{environment}.jsonl").read_text().splitlines()
        record = json.loads(line)
        expected = {"message": f"said in {environment}", "env": environment, "levelname": "INFO"}
        assert expected.items() <= record.items()


def test_every_node_is_one_line_and_slow_ones_tell_their_time(monkeypatch, caplog):
    times = iter([0.0, 0.5, 10.0, 17.0])
    monkeypatch.setattr("quant_pipeline.project.hooks.narration.time.perf_counter", lambda: next(times))
    caplog.set_level(logging.INFO, logger="quant_pipeline.project.hooks")
    made = pipeline([node(abs, "a", "b", name="first"), node(abs, "b", "c", name="second")])
    hooks = ProgressHooks()
    hooks.before_pipeline_run(made)
    for step in made.nodes:
        hooks.before_node_run(step)
        hooks.after_node_run(step)
    assert caplog.messages == ["[ 1/2] first", "[ 2/2] second", "        second took 7 s"]


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, "\nall is well\n"), (logging.WARNING, "")])
def test_the_summary_is_printed_unless_the_log_is_silenced(level, shown, capsys):
    catalog = DataCatalog({"run_summary": MemoryDataset("all is well")})
    logger = logging.getLogger("quant_pipeline.project.hooks")
    before = logger.level
    logger.setLevel(level)
    try:
        SummaryHooks().after_pipeline_run(pipeline([node(repr, "x", "run_summary")]), catalog)
        SummaryHooks().after_pipeline_run(pipeline([node(repr, "x", "other")]), catalog)
    finally:
        logger.setLevel(before)
    assert capsys.readouterr().out == shown

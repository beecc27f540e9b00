"""Every route, against a running server: what it answers is what the pipelines and the engines say."""

import io
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.service.answers import ARROW
from tests.helpers.http_service import running_service

MODEL = "ridge_alpha158"


def frame(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return pd.DataFrame(found["rows"], columns=found["columns"])


def arrow(client, method, path, **more):
    answer = client.request(method, path, headers={"Accept": ARROW}, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ARROW
    return pa.ipc.open_stream(io.BytesIO(answer.content)).read_pandas(), answer


class TestHealth:
    def test_health_needs_nothing_and_names_the_code(self, client):
        found = client.get("/health").json()
        assert found["status"] == "alive"
        assert re.fullmatch(r"0\.1\.0\+[0-9a-f]{12}", found["code"])

    def test_ready_states_what_is_there_with_its_age(self, client, table):
        found = client.get("/ready").json()
        assert found["ready"] is True
        assert found["market"]["watermark"] == f"{table('sessions')['date'].iloc[-1]:%Y-%m-%d}"
        assert found["market"]["age_days"] > 300
        assert found["ledger"]["last_close"] == "2024-12-31"
        assert found["live"]["state"] == "stopped"
        assert set(found["jobs"]) >= {"waiting", "running"}


class TestFactors:
    def test_factors_of_a_span_are_those_of_the_engine(self, client, table):
        expressions = {"month": "$close/Ref($close, 21)-1", "rank": "Rank($close, 5)"}
        asked = {"expressions": expressions, "start": "2024-12-02", "end": "2024-12-31"}
        found, answer = arrow(client, "POST", "/v1/factors/calculate", json=asked)
        bars, sessions = table("adjusted_bars"), pd.DatetimeIndex(table("sessions")["date"])
        start, end = map(pd.Timestamp, ("2024-12-02", "2024-12-31"))
        expected = compute_factors(bars, expressions, sessions, start, end)
        found = found.set_index(["datetime", "instrument"])
        np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
        assert list(found.index) == list(expected.index)
        assert answer.headers["x-watermark"] == f"{sessions[-1]:%Y-%m-%d}"

    def test_a_set_of_the_newest_session_equals_the_daily_run(self, client, table):
        found = frame(client.post("/v1/factors/calculate", json={"feature_set": "alpha158"}))
        found = found.set_index("instrument").drop(columns="datetime").astype("float32")
        daily = table("alpha158_latest_features")
        newest = daily.index.get_level_values("datetime").max()
        daily = daily.xs(newest, level="datetime")[found.columns]
        np.testing.assert_array_equal(found.loc[daily.index].to_numpy(), daily.to_numpy())

    def test_a_missing_value_is_null(self, client):
        asked = {"expressions": {"nothing": "Ref($close, 5000)"}}
        answer = client.post("/v1/factors/calculate", json=asked)
        assert frame(answer)["nothing"].isna().all()
        assert "NaN" not in answer.text

    def test_chosen_instruments_alone_are_answered_with_the_same_values(self, client):
        asked = {"expressions": {"month": "$close/Ref($close, 21)-1"}}
        every = frame(client.post("/v1/factors/calculate", json=asked))
        chosen = every["instrument"].iloc[[3, 5]].tolist()
        found = frame(client.post("/v1/factors/calculate", json={**asked, "instruments": chosen}))
        pd.testing.assert_frame_equal(found, every.iloc[[3, 5]].reset_index(drop=True))

    @pytest.mark.parametrize(("name", "number"), [("alpha158", 158), ("alpha360", 360), ("alpha101", 101)])
    def test_a_shipped_set_is_listed(self, client, name, number):
        assert len(frame(client.get(f"/v1/factors/sets/{name}"))) == number

    def test_the_same_answer_has_the_same_hash_in_both_formats(self, client):
        asked = {"expressions": {"close": "$close"}}
        _, answer = arrow(client, "POST", "/v1/factors/calculate", json=asked)
        assert answer.headers["x-hash"] == client.post("/v1/factors/calculate", json=asked).json()["hash"]


class TestModels:
    def test_models_and_their_champions(self, client):
        found = frame(client.get("/v1/models")).set_index("model")
        assert set(found.index) == {"lightgbm_alpha158", "ridge_alpha158", "gru_alpha158"}
        versions = frame(client.get(f"/v1/models/{MODEL}/versions"))
        assert versions.loc[versions["role"].str.startswith("champion"), "version"].tolist() == [
            found.loc[MODEL, "champion"]
        ]

    def test_scores_of_the_newest_session_are_those_of_the_daily_run(self, client, table):
        found = frame(client.post(f"/v1/models/{MODEL}/predict", json={})).set_index("instrument")["score"]
        daily = table(f"{MODEL}_latest_scores")["score"].droplevel("datetime")
        pd.testing.assert_series_equal(found.loc[daily.index], daily, check_names=False, rtol=0)


class TestBacktests:
    def test_the_default_combination_earns_what_the_pipeline_says(self, client, table):
        found = client.post("/v1/backtest", json={"combination": "all_icir"}).json()
        expected = table("backtest_performance")
        assert found["performance"]["sharpe"] == expected["sharpe"]
        assert found["performance"]["total_return"] == expected["total_return"]
        curve = pd.DataFrame(found["nav"]["rows"], columns=found["nav"]["columns"])
        np.testing.assert_array_equal(curve["nav"], table("backtest_nav")["nav"])

    def test_the_same_question_is_answered_from_the_store(self, client):
        asked = {"combination": "all_equal", "topk": 4}
        first, second = (client.post("/v1/backtest", json=asked).json() for _ in range(2))
        assert (first.pop("answered_from"), second.pop("answered_from")) == ("computation", "store")
        assert first == second
        assert client.get(f"/v1/backtest/{first['id']}").json()["performance"] == first["performance"]
        trades, _ = arrow(client, "GET", f"/v1/results/{first['trades']}")
        assert len(trades) > 10

    def test_own_scores_and_own_costs(self, client, table):
        scores = table("fused_scores")
        scores = scores[scores["combination"] == "all_icir"]
        columns = {
            "date": scores["datetime"].dt.strftime("%Y-%m-%d").tolist(),
            "instrument": scores["instrument"].tolist(),
            "score": scores["score"].tolist(),
        }
        own = client.post("/v1/backtest", json={"scores": columns}).json()
        assert own["performance"]["sharpe"] == table("backtest_performance")["sharpe"]
        dear = client.post("/v1/backtest", json={"scores": columns, "costs": {"buy_rate": 0.01}}).json()
        assert dear["performance"]["total_return"] < own["performance"]["total_return"]

    def test_combinations_and_their_scores(self, client, table):
        found = frame(client.get("/v1/combinations")).set_index("combination")
        assert found.index[found["is_default"]].tolist() == ["all_icir"]
        newest = frame(client.get("/v1/combinations/all_icir/scores"))
        expected = table("latest_fused_scores").query("combination == 'all_icir'")
        np.testing.assert_array_equal(newest["score"], expected["score"])
        past = frame(client.get("/v1/combinations/all_icir/scores?start=2024-11-01&end=2024-11-05"))
        assert sorted(past["datetime"].unique()) == ["2024-11-01", "2024-11-04", "2024-11-05"]


class TestAccount:
    def test_state_positions_orders_and_values_are_those_of_the_ledger(self, client, table):
        found = client.get("/v1/account").json()
        assert (found["account"], found["trading_state"], found["session"]) == ("sim", "active", "2024-12-31")
        orders = frame(client.get("/v1/account/orders"))
        assert sorted(orders["instrument"]) == sorted(table("orders")["instrument"])
        nav = frame(client.get("/v1/account/nav"))
        assert nav["nav"].iloc[-1] == found["net_asset_value"] == table("account_nav")["nav"].iloc[-1]
        for name in ("positions", "verdicts", "trades", "quarantine"):
            assert frame(client.get(f"/v1/account/{name}")).empty

    def test_a_daily_run_is_seen_without_a_restart(self, finished, tmp_path):
        project = finished.copy(tmp_path / "project")
        with running_service(project.path) as running:
            client = running.client
            assert client.get("/v1/account").json()["session"] == "2024-12-31"
            project.run("kedro run --pipelines daily --params as_of=2025-01-02")
            assert client.get("/v1/account").json()["session"] == "2025-01-02"
            assert client.get("/ready").json()["market"]["watermark"] == "2025-01-02"
            assert len(frame(client.get("/v1/account/positions"))) == 5
            assert (frame(client.get("/v1/account/trades"))["quantity"] > 0).sum() == 5
            answer = client.post("/v1/factors/calculate", json={"expressions": {"close": "$close"}})
            assert set(frame(answer)["datetime"]) == {"2025-01-02"}

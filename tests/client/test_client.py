"""The client against a running service."""

from types import SimpleNamespace

import httpx
import pandas as pd
import pytest

from quant_pipeline.client import Client, ServiceError
from quant_pipeline.client.client import _events


@pytest.fixture(scope="module")
def asked(service):
    with Client(service.url) as client:
        yield client


def test_tables_come_as_frames_with_their_types(asked):
    panel = asked.factors({"month": "$close/Ref($close, 21)-1"}, start="2024-12-30", end="2024-12-31")
    assert panel.index.names == ["datetime", "instrument"]
    assert panel["month"].dtype == "float32"
    assert panel.index.get_level_values("datetime").unique().tolist() == [
        pd.Timestamp("2024-12-30"),
        pd.Timestamp("2024-12-31"),
    ]
    assert len(asked.factor_set("alpha101")) == 101


def test_scores_of_a_model_and_of_a_combination(asked):
    scores = asked.predict("ridge_alpha158")
    assert asked.predict("ridge_alpha158", list(scores.index[:2])).equals(scores.iloc[:2])
    assert set(asked.scores("all_icir")["combination"]) == {"all_icir"}
    assert asked.models()["champion"].notna().all()
    assert asked.combinations()["is_default"].sum() == 1
    assert len(asked.versions("ridge_alpha158")) == 1


def test_a_backtest_of_a_series_of_scores(asked):
    stored = asked.scores("all_icir", start="2024-06-03", end="2024-09-30")
    scores = stored.set_index(["datetime", "instrument"])["score"]
    found = asked.backtest(scores, topk=4, n_drop=1)
    same = asked.backtest(combination="all_icir", start="2024-06-03", end="2024-09-30", topk=4, n_drop=1)
    days = len(same["nav"])
    assert same["nav"].equals(found["nav"].head(days))
    assert (asked.table(found["trades"])["quantity"] > 0).all()
    assert found["nav"]["date"].is_monotonic_increasing


def test_the_account_by_its_tables(asked):
    assert asked.account()["account"] == "sim"
    assert len(asked.account_table("orders")) == 5
    assert asked.ready()["ready"] is True


def test_a_refusal_names_detail_and_remedy(asked):
    with pytest.raises(ServiceError, match=r"no enabled model 'nothing'.*There are") as refused:
        asked.predict("nothing")
    assert refused.value.status == 404


def test_a_job_is_followed_to_its_end_and_its_failure_has_a_reason(asked):
    job = asked.roll_back("ridge_alpha158", key="first")
    assert asked.roll_back("ridge_alpha158", key="first").id == job.id
    lines = list(asked.follow(job.id))
    assert "champion" in lines[-1]
    with pytest.raises(ServiceError, match=r"rollback .* is failed: .*champion"):
        asked.wait(job.id)
    assert asked.jobs()[0].id == job.id
    assert asked.cancel(job.id).state == "failed"


def test_a_reader_that_comes_back_goes_on_behind_the_last_line_that_it_has_seen(asked, service):
    job = asked.roll_back("ridge_alpha158", key="first")
    list(asked.follow(job.id))
    path = f"/v1/jobs/{job.id}/events"
    whole = service.client.get(path).text
    ends = [line.removeprefix("id: ") for line in whole.splitlines() if line.startswith("id: ")]
    again = service.client.get(path, headers={"Last-Event-ID": ends[-1]}).text
    assert "event: line" in whole
    assert "event: line" not in again
    assert "event: end" in again
    assert service.client.get("/v1/jobs/nothing/events").status_code == 404
    assert service.client.get(path, headers={"Last-Event-ID": "-1"}).status_code == 422


def test_lines_of_events_are_read_as_the_standard_says():
    lines = iter(["event: line", "id: 12", 'data: {"line":', 'data: "a"}', "", ": a comment", "", "data: 1", ""])
    assert list(_events(lines, "0")) == [("line", "12", {"line": "a"}), ("message", "12", 1)]


def test_a_busy_service_is_asked_again_and_a_broken_stream_with_a_pause(monkeypatch):
    """Over httpx's own transport for tests; the pauses are those that the service has named."""
    pauses, now = [], [0.0]

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("quant_pipeline.client.client.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    busy = httpx.Response(503, headers={"Retry-After": "5"}, json={"title": "busy", "detail": "busy", "remedy": ""})
    job = {"id": "1", "kind": "search", "state": "done", "message": None, "tables": {}}
    stream = {"Content-Type": "text/event-stream"}
    answers = [
        busy,
        httpx.Response(200, json=job),
        busy,
        httpx.Response(200, headers=stream, text='event: line\nid: 6\ndata: {"line": "first"}\n\n'),
        httpx.Response(200, headers=stream, text='event: end\nid: 6\ndata: {"state": "done"}\n\n'),
    ]
    with Client() as client:
        client._http = httpx.Client(
            base_url="http://127.0.0.1", transport=httpx.MockTransport(lambda request: answers.pop(0))
        )
        assert client.job("1").state == "done"
        assert list(client.follow("1")) == ["first"]
        assert pauses == [5.0, 5.0, 1.0]
        answers.extend([busy] * 50)
        with pytest.raises(ServiceError, match="busy"):
            client.job("1")
        assert len(answers) > 30

"""Panes of models, research and jobs, on a project in which the whole path has run; a job is watched in Chromium."""

import time

import httpx
import pandas as pd
import pytest

from quant_pipeline.testing.job_kills import NAME
from tests.helpers.browser import PATIENCE
from tests.helpers.http_service import is_drawn
from tests.helpers.paper_service import WIDE, token_of


@pytest.fixture(scope="module")
def page_of(service):
    """Returns a page when its panes are there."""

    def get(path):
        while not is_drawn(text := httpx.get(service.url + path, timeout=120).text):
            time.sleep(0.2)
        return text

    return get


def test_models_show_champion_age_information_with_its_band_and_drift(page_of, table):
    text = page_of("/page/models")
    for name, identity in table("champions").items():
        assert name in text
        assert identity in text
    newest = table("ic_series")
    mean = newest[newest["model"] == "ridge_alpha158"].sort_values("date")["rank_ic"].dropna().tail(63).mean()
    assert f"{mean:+.4f} (".replace("-", "\N{MINUS SIGN}") in text
    assert "not measured: kedro run --pipelines model_report" in text
    assert f"labels realised up to {newest['date'].max():%Y-%m-%d}" in text


def test_positions_show_every_limit_and_orders_their_reason(page_of, table):
    text = page_of("/")
    assert "loss since the highest close" in text
    for order in table("orders").itertuples():
        assert order.instrument in text
        assert order.reason in text


def test_documents_of_the_pipelines_have_an_origin_of_their_own(service, page_of):
    assert '<a href="/page/documents/report">' in page_of("/page/research")
    answer = httpx.get(f"{service.url}/page/documents/report", timeout=120)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in answer.headers["content-security-policy"]
    for name in ("search", "nothing", "..%2F..%2Fsecret"):
        assert httpx.get(f"{service.url}/page/documents/{name}").status_code == 404


def test_a_job_is_started_by_a_form_and_cancelled_by_one(service):
    page = httpx.get(f"{service.url}/page/research", timeout=120)
    data = {"topk": "4", "n_drop": "1", "form_token": token_of(page)}
    answer = httpx.post(f"{service.url}/page/jobs/backtest", data=data, timeout=120)
    job = service.served.jobs.table.newest(1)[0]
    assert (answer.status_code, answer.headers["location"]) == (303, f"/page/jobs/{job.id}")
    assert (job.kind, job.request) == ("backtest", {"changes": {"strategy": {"topk": 4, "n_drop": 1}}})
    assert "Cancel the job" in httpx.get(f"{service.url}/page/jobs/{job.id}", timeout=120).text
    httpx.post(f"{service.url}/page/jobs/{job.id}/cancel", data=data, timeout=120)
    assert service.served.jobs.table.find(job.id).state == "cancelled"


def test_a_job_is_watched_line_by_line_to_its_end(service, opened, tmp_path):
    request = {"file": str(tmp_path / "started"), "seconds": 1}
    job, _ = service.served.jobs.ask(NAME, request, {}, "a test", None)
    page = opened(f"{service.url}/page/jobs/{job.id}", WIDE)
    page.wait_for_selector("#printed:has-text('first line')")
    page.wait_for_selector("#printed:has-text('last line')")
    page.wait_for_selector("#job dd:has-text('done')")
    page.goto(f"{service.url}/page/jobs")
    page.wait_for_selector("#jobs tbody tr:has-text('done')")
    assert page.said == []


def test_the_end_of_a_job_takes_back_no_link_that_was_followed(service, opened, tmp_path):
    """The end is drawn into the page: loading it again would cancel what the operator has begun."""
    job, _ = service.served.jobs.ask(NAME, {"file": str(tmp_path / "started"), "seconds": 1}, {}, "a test", None)
    page = opened(f"{service.url}/page/jobs/{job.id}", WIDE)
    page.wait_for_selector("#printed:has-text('first line')")
    page.evaluate("window.isTheSamePage = true")
    page.wait_for_selector("#job dd:has-text('done')")
    assert page.evaluate("window.isTheSamePage === true")
    assert "last line" in page.inner_text("#printed")
    assert page.query_selector("button:has-text('Cancel the job')") is None
    assert page.said == []


def test_the_end_of_a_job_leaves_the_operator_where_they_read(service, opened, tmp_path):
    job, _ = service.served.jobs.ask(NAME, {"file": str(tmp_path / "started"), "seconds": 2}, {}, "a test", None)
    page = opened(f"{service.url}/page/jobs/{job.id}", WIDE)
    page.wait_for_selector("#printed:has-text('first line')")
    page.evaluate(
        """() => {
          const printed = document.getElementById("printed");
          printed.prepend("earlier line\\n".repeat(200));
          printed.scrollTop = 300;
          getSelection().setBaseAndExtent(printed.firstChild, 0, printed.firstChild, 12);
          [...document.querySelectorAll("#job a")].find((each) => each.textContent === "All jobs").focus();
        }"""
    )
    page.wait_for_selector("#job dd:has-text('done')")
    assert page.evaluate("document.getElementById('printed').scrollTop") == 300
    assert page.evaluate("getSelection().toString()") == "earlier line"
    assert page.evaluate("document.activeElement.textContent") == "All jobs"
    assert "last line" in page.inner_text("#printed")
    assert page.said == []


def test_an_end_that_cannot_be_drawn_is_said_in_the_pane_and_not_in_the_place_of_a_halt(service, opened, tmp_path):
    page = opened(f"{service.url}/page/jobs", WIDE)
    page.route(
        f"{service.url}/page/jobs/*",
        lambda route: route.fulfill(status=503) if route.request.resource_type == "fetch" else route.continue_(),
    )
    job, _ = service.served.jobs.ask(NAME, {"file": str(tmp_path / "started"), "seconds": 1}, {}, "a test", None)
    page.goto(f"{service.url}/page/jobs/{job.id}")
    page.evaluate("document.getElementById('outcome').textContent = 'Halted: 3 orders cancelled'")
    page.wait_for_selector("#pane-job:has-text('The job has ended: load this page again.')")
    assert page.inner_text("#outcome") == "Halted: 3 orders cancelled"


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("backtest", {"topk": "0", "n_drop": "1"}, "topk"),
        ("backtest", {"topk": "many", "n_drop": "1"}, "topk"),
        ("factor_evaluation", {"expression": "Ref($close, -1)"}, "remove it from the feature set"),
        ("factor_evaluation", {}, "expression"),
        ("training", {"model": "../secret"}, "models"),
        ("training", {"model": "nothing"}, "nothing"),
    ],
)
def test_a_form_that_asks_for_what_cannot_be_starts_no_job_and_says_why(service, kind, fields, words):
    page = httpx.get(f"{service.url}/page/research", timeout=120)
    before = len(service.served.jobs.table.newest(100))
    data = {**fields, "form_token": token_of(page)}
    answer = httpx.post(f"{service.url}/page/jobs/{kind}", data=data, timeout=120)
    assert 400 <= answer.status_code < 500
    assert words in answer.text
    assert "Traceback" not in answer.text
    assert len(service.served.jobs.table.newest(100)) == before


@pytest.mark.slow
def test_a_backtest_is_started_by_the_form_watched_and_its_result_seen(service, opened):
    """The account's own backtest stays; the other one has a folder of its own."""
    reports = service.served.project.stop_file.parent / "08_reporting"
    own = (reports / "backtest/nav.parquet").read_bytes()
    page = opened(f"{service.url}/page/research")
    page.fill("input[name=topk]", "3")
    page.fill("input[name=n_drop]", "1")
    page.click("form[aria-label=Backtest] button")
    page.wait_for_selector("#printed:has-text('kedro')", timeout=PATIENCE)
    page.wait_for_selector("#job dd:has-text('done')", timeout=PATIENCE)
    page.wait_for_selector("#job table:has-text('all_icir')")
    assert page.said == []
    assert (reports / "backtest/nav.parquet").read_bytes() == own
    other = reports / "backtests/strategy.n_drop=1__strategy.topk=3"
    job = service.served.jobs.table.newest(1)[0]
    kept = service.served.results.table(job.result["tables"]["backtest_nav"])
    pd.testing.assert_frame_equal(kept, pd.read_parquet(other / "nav.parquet"), check_dtype=False)
    assert not kept["nav"].equals(pd.read_parquet(reports / "backtest/nav.parquet")["nav"])

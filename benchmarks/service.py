"""The HTTP service under load: answers while a model is trained, factors and backtests of 500 names, kills of jobs.

The operator's page is measured in Chromium.

It runs in a copy of the project on a simulated market of 500 names over seven years, made once
(``build/service``). Seconds are of this machine; what is compared is measured in the same run.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

from quant_pipeline.testing.job_kills import rehearse

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "build" / "service"
COPIED = ("conf", "pyproject.toml", ".telemetry")
MARKET = '{seed: 7, n_instruments: 500, start: "2018-01-02", end: "2024-12-31"}'
PARAMETERS = """split:
  train: ["2018-07-02", "2021-12-31"]
  valid: ["2022-01-03", "2022-12-30"]
  test: ["2023-01-03", null]
"""
PORT = 8699
YEARS = 5
NAMES = 480
CLIENTS = 16
HEALTH_SECONDS = 20.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EVENTS = 20
SHOWN = "word => document.querySelector('#pane-strip').textContent.includes(word)"
KILLS = 200


def main() -> None:
    """Print a table, and as last line a JSON object."""
    _make_project()
    figures: dict[str, float] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=600) as client:
        server = _serve(client)
        try:
            figures |= _factors(client)
            figures |= _backtests(client)
            figures |= _requests()
            figures |= _health(client)
            figures |= _page(client)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    counted = rehearse(KILLS, seed=1)
    figures |= {"kills": counted.kills, "jobs_lost": counted.jobs_lost, "jobs_twice": counted.jobs_twice}
    for name, value in figures.items():
        print(f"{name:32} {value:14,.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _make_project() -> None:
    """Make the market, its features, one trained model, and scores of 480 names over five years."""
    if (FOLDER / ".made").exists():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in COPIED:
        origin = PROJECT / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, FOLDER / name)
    (FOLDER / "src").mkdir()
    (FOLDER / "src" / "quant_pipeline").symlink_to(PROJECT / "src" / "quant_pipeline")
    sim = FOLDER / "conf" / "sim"
    catalog = sim / "catalog.yml"
    catalog.write_text(catalog.read_text().replace("{seed: 7}", MARKET))
    (sim / "parameters_bench.yml").write_text(PARAMETERS)
    _kedro("run", "--pipelines", "ingestion,features")
    _kedro("run", "--pipelines", "training", "--namespaces", "ridge_alpha158")
    _write_scores()
    (FOLDER / ".made").touch()


def _kedro(*words: str) -> None:
    command = [sys.executable, "-m", "kedro", *words]
    subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)


def _write_scores() -> None:
    """Write fused scores of the first 480 names over the last five years: their returns of the month before."""
    from quant_pipeline.factors.engine import compute_factors
    from quant_pipeline.project.opened_catalog import open_catalog

    catalog = open_catalog(FOLDER)
    bars, sessions = catalog.load("adjusted_bars"), pd.DatetimeIndex(catalog.load("sessions")["date"])
    start = sessions[-252 * YEARS]
    scores = compute_factors(bars, {"score": "$close/Ref($close, 21)-1"}, sessions, start=start).reset_index()
    scores = scores[scores["instrument"].isin(sorted(scores["instrument"].unique())[:NAMES])].dropna()
    label = catalog.load("ridge_alpha158_predictions")["label"].iloc[0]
    table = scores.assign(combination="all_icir", label=label, score=scores["score"].astype("float64"))
    catalog.save("fused_scores", table.reset_index(drop=True))


def _serve(client: httpx.Client) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "quant_pipeline", "service", "--port", str(PORT)]
    with (FOLDER / "service.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=FOLDER, stdout=log, stderr=log)
    for _ in range(600):
        try:
            client.get("/health")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return server
    raise SystemExit(f"the service does not answer; see {FOLDER / 'service.log'}")


def _milliseconds(client: httpx.Client, path: str, asked: dict[str, Any], accept: str, repeats: int) -> float:
    """Return the median of some answers, after one that loads what is kept in memory."""
    taken = []
    for turn in range(repeats + 1):
        # The store knows a backtest that was asked for before: each one is of another number of holdings.
        question = {**asked, "topk": 20 + turn} if "combination" in asked else asked
        began = time.perf_counter()
        client.post(path, json=question, headers={"Accept": accept}).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[1:])


def _factors(client: httpx.Client) -> dict[str, float]:
    newest = _milliseconds(client, "/v1/factors/calculate", {"feature_set": "alpha158"}, "application/json", 9)
    batch = {"feature_set": "alpha158", "start": "2024-11-01"}
    arrow = "application/vnd.apache.arrow.stream"
    taken = _milliseconds(client, "/v1/factors/calculate", batch, arrow, 3)
    rows = client.post("/v1/factors/calculate", json=batch).json()["rows"]
    return {
        "alpha158_newest_500_ms": newest,
        "alpha158_batch_cells_per_second": len(rows) * 158 / taken * 1000,
    }


def _backtests(client: httpx.Client) -> dict[str, float]:
    asked = {"combination": "all_icir"}
    return {"backtest_5y_480_ms": _milliseconds(client, "/v1/backtest", asked, "application/json", 9)}


def _requests() -> dict[str, float]:
    """Let many clients ask for the expressions of Alpha158 at once."""
    counts, until = [0] * CLIENTS, time.monotonic() + 5.0

    def ask(place: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            while time.monotonic() < until:
                client.get("/v1/factors/sets/alpha158").raise_for_status()
                counts[place] += 1

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"clients": float(CLIENTS), "requests_per_second": sum(counts) / 5.0}


def _health(client: httpx.Client) -> dict[str, float]:
    """Compare the 99th percentile of `/health` while a model is trained with that of an idle service."""
    idle = _p99(client, lambda: True)
    job = client.post("/v1/models/train", json={"models": ["lightgbm_alpha158"]}).json()
    _wait(client, job["id"], "running")
    busy = _p99(client, lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"] == "running")
    client.delete(f"/v1/jobs/{job['id']}")
    return {"health_p99_idle_ms": idle, "health_p99_busy_ms": busy, "health_p99_busy_over_idle": busy / idle}


def _p99(client: httpx.Client, goes_on: Any) -> float:
    taken, until, looked = [], time.monotonic() + HEALTH_SECONDS, time.monotonic()
    while time.monotonic() < until:
        began = time.perf_counter()
        client.get("/health").raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            if not goes_on():
                break
        time.sleep(0.005)
    return float(np.percentile(taken, 99))


def _page(client: httpx.Client) -> dict[str, float]:
    """Measure what the first visit of the page transfers, and how long Chromium takes to show a change of the account.

    The change is the file that stops every sender: it is made and removed, and seen when the state above every page
    says so.
    """
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise SystemExit(f"install one of {', '.join(BROWSERS)}: the page is measured in it")
    stop, taken = FOLDER / "data" / "accounts" / "sim" / "STOP", []
    stop.unlink(missing_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{PORT}/")
        for turn in range(EVENTS):
            is_made = turn % 2 == 0
            # Not in step with the looks of the service.
            page.wait_for_timeout(400 + 37 * turn)
            began = time.perf_counter()
            stop.touch() if is_made else stop.unlink()
            page.wait_for_function(SHOWN, arg="halted" if is_made else "active")
            taken.append(1000 * (time.perf_counter() - began))
        browser.close()
    return {
        "event_to_page_ms": float(np.percentile(taken, 95)),
        "event_to_page_median_ms": statistics.median(taken),
        "page_bytes": _transferred(client),
    }


def _transferred(client: httpx.Client) -> float:
    """Return the bytes of the page with its panes, and of its files, as they go over the line."""
    page = client.get("/")
    while any(words in page.text for words in ("It is being drawn", "asked for since")):
        time.sleep(0.1)
        page = client.get("/")
    files = set(re.findall(r'"(/page/assets/[^"]+)"', page.text))
    return float(sum(answer.num_bytes_downloaded for answer in (page, *map(client.get, sorted(files)))))


def _wait(client: httpx.Client, id: str, state: str) -> None:
    while (found := client.get(f"/v1/jobs/{id}").json()["state"]) != state:
        if found not in ("waiting", "running"):
            raise SystemExit(f"the job is {found}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()

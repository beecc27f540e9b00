"""The client: a method per question, over httpx; tables travel as Arrow."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import pandas as pd
import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
BUSY = 503
"""Status of a service that asks to be asked again."""
PAUSE = 1.0
"""Seconds between two tries."""
LONGEST_PAUSE = 30.0
ENDED = ("done", "failed", "cancelled", "lost")


class ServiceError(Exception):
    """What the service has refused.

    Attributes
    ----------
    status
        Status of HTTP.
    title, detail, remedy
        What it is, what is wrong, and what to do.
    """

    def __init__(self, status: int, title: str, detail: str, remedy: str) -> None:
        super().__init__(f"{detail} {remedy}" if remedy and remedy not in detail else detail)
        self.status, self.title, self.detail, self.remedy = status, title, detail, remedy


class Job(NamedTuple):
    """A job as the service states it.

    Attributes
    ----------
    id, kind
        Its name, and what is to be done.
    state
        waiting, running, done, failed, cancelled or lost.
    message
        Why it ended, in a line.
    tables
        Hashes of its resulting tables by name.
    """

    id: str
    kind: str
    state: str
    message: str | None
    tables: Mapping[str, str]


class Client:
    """Ask a running service; docs/guides/service.md has an example.

    Parameters
    ----------
    url
        Address of the service.
    token
        Token with the scopes that the questions need; None where the service has no tokens.
    timeout
        Seconds that one answer may take, and for which a busy service is asked again.
    """

    def __init__(self, url: str = "http://127.0.0.1:8600", token: str | None = None, timeout: float = 60.0) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout = timeout
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ready(self) -> Mapping[str, Any]:
        """Return what the service answers from, with ages."""
        return self._json("GET", "/ready", accepts=(200, 503))

    def factors(
        self,
        expressions: Mapping[str, str] | None = None,
        feature_set: str | None = None,
        instruments: Sequence[str] | None = None,
        start: str | date | None = None,
        end: str | date | None = None,
    ) -> pd.DataFrame:
        """Compute factors: panel ``(datetime, instrument) × factor``, float32; of the newest session without a span."""
        asked = {"feature_set": feature_set, "instruments": instruments, "start": start, "end": end}
        table = self._table("POST", "/v1/factors/calculate", {"expressions": dict(expressions or {}), **asked})
        return table.set_index(["datetime", "instrument"])

    def factor_set(self, name: str) -> pd.DataFrame:
        """Return the factors of a set: ``factor``, ``expression``."""
        return self._table("GET", f"/v1/factors/sets/{name}")

    def models(self) -> pd.DataFrame:
        """Return the enabled models with their champions."""
        return self._table("GET", "/v1/models")

    def versions(self, model: str) -> pd.DataFrame:
        """Return the versions of a model."""
        return self._table("GET", f"/v1/models/{model}/versions")

    def predict(self, model: str, instruments: Sequence[str] | None = None) -> pd.Series:
        """Score the newest session with the champion of a model: score by instrument."""
        table = self._table("POST", f"/v1/models/{model}/predict", {"instruments": instruments})
        return table.set_index("instrument")["score"]

    def combinations(self) -> pd.DataFrame:
        """Return the enabled combinations of models."""
        return self._table("GET", "/v1/combinations")

    def scores(self, combination: str, start: str | None = None, end: str | None = None) -> pd.DataFrame:
        """Return the fused scores of a combination, of the newest session or of a span."""
        span = {key: value for key, value in (("start", start), ("end", end)) if value is not None}
        return self._table("GET", f"/v1/combinations/{combination}/scores", params=span)

    def backtest(self, scores: pd.Series | None = None, **question: Any) -> Mapping[str, Any]:
        """Trade scores by the rules of the account.

        Parameters
        ----------
        scores
            By ``(datetime, instrument)``, each known after the close of its date; instead of a stored source.
        **question
            ``combination`` or ``model``; ``topk``, ``n_drop``, ``costs``, ``start``, ``end``, ``initial_cash``.

        Returns
        -------
        Mapping
            ``id``, ``performance`` (measures by name), ``nav`` (a frame), and the hashes of ``trades`` and
            ``positions``, which `table` returns.
        """
        if scores is not None:
            dates, instruments = (scores.index.get_level_values(level) for level in (0, 1))
            question["scores"] = {
                "date": [f"{day:%Y-%m-%d}" for day in dates],
                "instrument": list(instruments),
                "score": scores.tolist(),
            }
        found = dict(self._json("POST", "/v1/backtest", question))
        nav = pd.DataFrame(found["nav"]["rows"], columns=found["nav"]["columns"])
        return {**found, "nav": nav.assign(date=pd.to_datetime(nav["date"]))}

    def table(self, name: str) -> pd.DataFrame:
        """Return a resulting table by its hash."""
        return self._table("GET", f"/v1/results/{name}")

    def account(self) -> Mapping[str, Any]:
        """Return the state of the account."""
        return self._json("GET", "/v1/account")

    def account_table(self, name: str) -> pd.DataFrame:
        """Return a table of the account: positions, orders, verdicts, nav, trades or quarantine."""
        return self._table("GET", f"/v1/account/{name}")

    def halt(self, reason: str) -> Mapping[str, Any]:
        """Stop sending orders; what could not be stopped is named in ``lines``."""
        return self._json("POST", "/v1/account/halt", {"reason": reason}, accepts=(200, 207))

    def train(self, *models: str, key: str | None = None) -> Job:
        """Ask for the training of models, all enabled ones when none is named."""
        return self._job("/v1/models/train", {"models": list(models)}, key)

    def promote(self, model: str, key: str | None = None) -> Job:
        """Ask for the promotion of the candidate of a model."""
        return self._job(f"/v1/models/{model}/promote", {}, key)

    def roll_back(self, model: str, key: str | None = None) -> Job:
        """Ask for the champion before the present one."""
        return self._job(f"/v1/models/{model}/rollback", {}, key)

    def evaluate(self, expression: str | None = None, key: str | None = None, **question: Any) -> Job:
        """Ask how well a factor, or a set (``feature_set``), orders the returns that follow."""
        return self._job("/v1/factors/evaluate", {"expression": expression, **question}, key)

    def search(self, key: str | None = None) -> Job:
        """Ask for a search over combinations of models."""
        return self._job("/v1/search", {}, key)

    def job(self, id: str) -> Job:
        """Return a job."""
        return _job(self._json("GET", f"/v1/jobs/{id}"))

    def jobs(self, limit: int = 50) -> list[Job]:
        """Return the newest jobs."""
        return [_job(found) for found in self._json("GET", f"/v1/jobs?limit={limit}")["jobs"]]

    def cancel(self, id: str) -> Job:
        """Cancel a job."""
        return _job(self._json("DELETE", f"/v1/jobs/{id}"))

    def follow(self, id: str) -> Iterator[str]:
        """Yield the lines that a job prints until it has ended; a lost connection goes on where it broke."""
        seen = "0"
        while True:
            begun = time.monotonic()
            try:
                with self._http.stream("GET", f"/v1/jobs/{id}/events", headers={"Last-Event-ID": seen}) as answer:
                    if answer.status_code == BUSY:
                        time.sleep(_pause(answer))
                        continue
                    if answer.status_code != 200:
                        answer.read()
                        _require(answer, (200,))
                    for event, place, data in _events(answer.iter_lines(), seen):
                        seen = place
                        if event == "line":
                            yield data["line"]
                        elif event == "end":
                            return
            except httpx.TransportError:
                pass
            # Broken, or ended without the end of the job: the service may be going.
            time.sleep(max(0.0, PAUSE - (time.monotonic() - begun)))

    def wait(self, id: str) -> Job:
        """Wait until a job has ended, and return it.

        Raises
        ------
        ServiceError
            When it has not ended well.
        """
        for _ in self.follow(id):
            pass
        found = self.job(id)
        if found.state != "done":
            raise ServiceError(200, "job", f"{found.kind} {found.id} is {found.state}: {found.message}", "")
        return found

    def result(self, id: str) -> Mapping[str, pd.DataFrame]:
        """Return the resulting tables of a job."""
        return {name: self.table(found) for name, found in self.job(id).tables.items()}

    def _job(self, path: str, asked: Mapping[str, Any], key: str | None) -> Job:
        headers = {} if key is None else {"Idempotency-Key": key}
        return _job(self._json("POST", path, asked, accepts=(200, 202), headers=headers))

    def _ask(self, method: str, path: str, accepts: Sequence[int], **what: Any) -> httpx.Response:
        """Ask, and ask again while the service is busy, as long as one answer may take.

        A busy service has done nothing of what it was asked for.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            answer = self._http.request(method, path, **what)
            pause = _pause(answer)
            is_busy = answer.status_code == BUSY and BUSY not in accepts and "Retry-After" in answer.headers
            if not is_busy or time.monotonic() + pause > deadline:
                return answer
            time.sleep(pause)

    def _json(
        self,
        method: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        accepts: Sequence[int] = (200,),
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        answer = self._ask(method, path, accepts, json=_plain(asked), headers=dict(headers or {}))
        _require(answer, accepts)
        found: Mapping[str, Any] = answer.json()
        return found

    def _table(
        self,
        method: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        answer = self._ask(method, path, (200,), json=_plain(asked), params=params, headers={"Accept": ARROW})
        _require(answer, (200,))
        table: pd.DataFrame = pa.ipc.open_stream(io.BytesIO(answer.content)).read_pandas()
        return table


def _plain(asked: Mapping[str, Any] | None) -> Any:
    """Leave out what was not given, and write dates."""
    if asked is None:
        return None
    given = {key: value for key, value in asked.items() if value is not None}
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in given.items()}


def _pause(answer: httpx.Response) -> float:
    """Return how many seconds a busy service asks to be left alone."""
    stated = answer.headers.get("Retry-After", "")
    return min(float(stated), LONGEST_PAUSE) if stated.isdigit() else PAUSE


def _require(answer: httpx.Response, accepts: Sequence[int]) -> None:
    if answer.status_code in accepts:
        return
    try:
        found = answer.json()
    except json.JSONDecodeError:
        found = {}
    detail = found.get("detail", f"the service answered with status {answer.status_code}")
    raise ServiceError(answer.status_code, found.get("title", "error"), detail, found.get("remedy", ""))


def _job(found: Mapping[str, Any]) -> Job:
    return Job(**{name: found[name] for name in Job._fields})


def _events(lines: Iterator[str], seen: str) -> Iterator[tuple[str, str, Any]]:
    """Yield name, number and content of server-sent events."""
    event, data = "message", []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                event = value
            case "id":
                seen = value
            case "data":
                data.append(value)
            case "" if not line and data:
                yield event, seen, json.loads("\n".join(data))
                event, data = "message", []

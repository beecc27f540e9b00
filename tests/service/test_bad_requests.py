"""Bad requests, generated from the document of the routes: each is refused with a remedy, and nothing leaks."""

import json
from itertools import product

import pytest

STRANGE_NAMES = (
    "unknown",
    "..%2F..%2Fetc%2Fpasswd",
    "%00",
    "a%20b",
    "x" * 300,
    "%3Cscript%3E",
    "C:%5Cwindows",
    "'%20or%201=1",
)
STRANGE_VALUES = (
    None,
    True,
    -1,
    1e400,
    float("nan"),
    "",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "x" * 10_000,
    [],
    [[[[]]]],
    {},
    {"a": {"b": {}}},
    "2024-13-45",
)
BODIES = (b"", b"{", b"null", b"[]", b'"text"', b"{} {}", b"\xff\xfe", b'{"a": NaN}', b'{"unknown_key": 1}', b"[" * 100)
SECRETS = ("Traceback", "/root", "/tmp/", "/home", ".venv", "site-packages", "sqlite3", 'File "')
CLOSE = {"expressions": {"a": "$close"}}


LARGE = (10**30, -(10**30), 1e308, -1e308, float("inf"), "9" * 5_000, "\ud800")
"""Numbers that no array holds, and a text that no file does, where a nested value is a number or a text."""
NESTED = (
    ("/v1/backtest", lambda value: {"combination": "all_icir", "topk": value}),
    ("/v1/backtest", lambda value: {"combination": "all_icir", "topk": 4, "n_drop": value}),
    ("/v1/backtest", lambda value: {"combination": "all_icir", "initial_cash": value}),
    ("/v1/backtest", lambda value: {"combination": "all_icir", "costs": {"min_commission": value}}),
    ("/v1/backtest", lambda value: {"combination": "all_icir", "costs": {"volume_impact": value}}),
    ("/v1/backtest", lambda value: {"scores": {"date": ["2024-06-03"], "instrument": ["AADI"], "score": [value]}}),
    ("/v1/backtest", lambda value: {"scores": {"date": [value], "instrument": ["AADI"], "score": [1.0]}}),
    ("/v1/backtest", lambda value: {"scores": {"date": ["2024-06-03"], "instrument": [value], "score": [1.0]}}),
    ("/v1/factors/calculate", lambda value: {"expressions": {"a": value}}),
    ("/v1/factors/calculate", lambda value: {"expressions": {"a": f"$close*{value}"}}),
    ("/v1/factors/calculate", lambda value: {"expressions": {"a": f"Mean($close, {value})"}}),
    ("/v1/factors/calculate", lambda value: {**CLOSE, "instruments": [value]}),
    ("/v1/factors/evaluate", lambda value: {"expression": f"$close*{value}"}),
    ("/v1/models/train", lambda value: {"models": [value]}),
    ("/v1/jobs", lambda value: {"kind": "training", "request": {"models": [value]}}),
)


def routes(document):
    return [(method.upper(), path, found) for path, ways in document["paths"].items() for method, found in ways.items()]


def assert_refused(answer, what):
    assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json", what
    found = answer.json()
    assert found["remedy"], what
    assert found["detail"], what
    assert not [secret for secret in SECRETS if secret in answer.text], (what, answer.text)
    assert len(answer.text) < 5_000, what


@pytest.fixture(scope="module")
def document(client):
    return client.get("/v1/openapi.json").json()


def test_strange_names_in_paths(client, document):
    asked = 0
    for method, path, _ in routes(document):
        if "{" not in path:
            continue
        for name in STRANGE_NAMES:
            address = path.replace("{name}", name).replace("{id}", name).replace("{hash}", name)
            more = {"json": {}} if method == "POST" else {}
            assert_refused(client.request(method, address, **more), (method, address))
            asked += 1
    assert asked >= 80


def test_bodies_that_are_no_question(client, document):
    asked = 0
    for method, path, found in routes(document):
        if "requestBody" not in found or path.endswith("/halt"):
            continue
        address = path.replace("{name}", "ridge_alpha158")
        for body in BODIES:
            headers = {"Content-Type": "application/json"}
            assert_refused(client.request(method, address, content=body, headers=headers), (path, body))
            asked += 1
    assert asked >= 70


def test_every_key_with_every_strange_value(client, document):
    """Each key of each question takes each value; what is a question all the same is answered, nothing is a 5xx."""
    refused = 0
    for method, path, found in routes(document):
        if "requestBody" not in found or path.endswith("/halt"):
            continue
        schema = found["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        address = path.replace("{name}", "ridge_alpha158")
        for key, value in product(document["components"]["schemas"][schema].get("properties", {}), STRANGE_VALUES):
            content = json.dumps({key: value})
            answer = client.request(method, address, content=content, headers={"Content-Type": "application/json"})
            if answer.status_code >= 300:
                assert_refused(answer, (path, key, value))
                refused += 1
    assert refused >= 200


def test_nested_fields_with_values_that_nothing_holds(client):
    refused = 0
    for (path, question), value in product(NESTED, LARGE):
        content = json.dumps(question(value))
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
        if answer.status_code >= 300:
            assert_refused(answer, (path, content[:200]))
            refused += 1
    assert refused >= 85


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/v1/factors/calculate", {"expressions": {"a": "Ref($close, -1)"}}, "looks ahead"),
        ("/v1/factors/calculate", {"expressions": {"a": "Mean($nothing, 5)"}}, "nothing"),
        ("/v1/factors/calculate", {"expressions": {"a": "(" * 500 + "$close" + ")" * 500}}, "a"),
        ("/v1/factors/calculate", {"expressions": {"a": "$close,strategy.topk=1"}}, "a"),
        ("/v1/factors/calculate", {"expressions": {"a": "__import__('os').system('id')"}}, "a"),
        (
            "/v1/factors/calculate",
            {**CLOSE, "start": "2024-12-31", "end": "2024-01-02"},
            "after",
        ),
        (
            "/v1/factors/calculate",
            {**CLOSE, "start": "1990-01-01", "end": "1990-12-31"},
            "session",
        ),
        ("/v1/factors/calculate", {**CLOSE, "instruments": ["NOPE"]}, "NOPE"),
        ("/v1/factors/calculate", {"feature_set": "alpha159"}, "alpha158"),
        ("/v1/factors/calculate", {"expressions": {"instrument": "$close"}}, "another name"),
        ("/v1/factors/calculate", {"expressions": {"datetime": "$close"}}, "another name"),
        ("/v1/factors/calculate", {"expressions": {"a": "$close*" + "9" * 3900}}, "too large"),
        ("/v1/factors/evaluate", {"expression": "$close,strategy.topk=1"}, "expression"),
        ("/v1/factors/evaluate", {"expression": "ChangeInstrument('a),as_of=2020-01-02,z=(b', $close)"}, "quotes"),
        ("/v1/backtest", {"combination": "nothing"}, "all_icir"),
        ("/v1/backtest", {"combination": "all_icir", "model": "ridge_alpha158"}, "exactly one"),
        ("/v1/backtest", {"combination": "all_icir", "topk": 4, "n_drop": 9}, "n_drop"),
        ("/v1/backtest", {"combination": "all_icir", "costs": {"buy_rate": 7}}, "buy_rate"),
        ("/v1/backtest", {"combination": "all_icir", "costs": {"nothing": 0.1}}, "nothing"),
        ("/v1/backtest", {"combination": "all_icir", "start": "2030-01-01"}, "no scores"),
        ("/v1/backtest", {"combination": "all_icir", "initial_cash": -5}, "initial_cash"),
        ("/v1/backtest", {"scores": {"date": ["2024-06-01"], "instrument": ["X"], "score": [1.0]}}, "X"),
        ("/v1/backtest", {"scores": {"date": [], "instrument": [], "score": []}}, "scores"),
        ("/v1/models/train", {"models": ["nothing"]}, "nothing"),
        ("/v1/models/nothing/predict", {}, "ridge_alpha158"),
        ("/v1/jobs", {"kind": "shell", "request": {"command": "id"}}, "shell"),
        ("/v1/jobs", {"kind": "quant_pipeline.testing.job_kills.SCRIPTED", "request": {}}, "kind"),
        ("/v1/jobs", {"kind": "training", "request": {"models": ["../x"]}}, "models"),
    ],
)
def test_a_question_that_cannot_be_answered_names_what_is_wrong(client, path, body, named):
    answer = client.post(path, json=body)
    assert_refused(answer, body)
    assert named in answer.text


def test_no_bad_request_has_left_a_job(client):
    """Of all of the above, only requests that are valid questions may have become one."""
    kinds = {job["kind"] for job in client.get("/v1/jobs").json()["jobs"]}
    assert kinds <= {"training", "search", "promotion", "rollback", "factor_evaluation"}

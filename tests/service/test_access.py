"""Who is let in: hosts, origins, tokens, scopes, sizes; and what an answer never says."""

import json
import logging
import time

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.service.access import Access
from quant_pipeline.service.opening import _require_different
from quant_pipeline.service.parameters import ServiceParameters, Token
from quant_pipeline.service.problems import remedy_of
from quant_pipeline.service.redaction import without_paths
from tests.helpers.http_service import running_service

READER, HALTER = "reader-" + "x" * 20, "halter-" + "y" * 20
TOKENS = {"reader": {"token": READER}, "halter": {"token": HALTER, "scopes": ["read", "research", "halt"]}}


@pytest.fixture(scope="module")
def guarded(finished, tmp_path_factory):
    """A service of a copy of the project with tokens and small limits."""
    project = finished.copy(tmp_path_factory.mktemp("guarded") / "project").path
    with running_service(project, TOKENS, max_body_megabytes=0.01, max_cells=1000, max_depth=6) as running:
        yield running.client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_health_alone_needs_no_token(guarded):
    assert guarded.get("/health").status_code == 200
    for path in ("/ready", "/v1/models", "/v1/account", "/v1/jobs"):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/v1/models", headers=bearer("wrong" * 6)).status_code == 401
    assert guarded.get("/v1/models", headers={"Authorization": READER}).status_code == 401
    assert guarded.get("/v1/models", headers=bearer(READER)).status_code == 200


def test_a_token_allows_its_scopes_only(guarded):
    refused = guarded.post("/v1/account/halt", json={}, headers=bearer(READER))
    assert refused.status_code == 403
    assert "does not allow 'halt'" in refused.json()["detail"]
    assert guarded.post("/v1/backtest", json={"combination": "all_icir"}, headers=bearer(READER)).status_code == 403
    assert guarded.get("/v1/account", headers=bearer(READER)).json()["trading_state"] == "active"


def test_a_page_under_a_strange_name_or_of_another_site_is_refused(guarded):
    known = bearer(HALTER)
    assert guarded.get("/v1/account", headers={**known, "Host": "evil.example"}).status_code == 421
    assert guarded.get("/v1/account", headers={**known, "Host": "127.0.0.1.evil.example"}).status_code == 421
    for origin in ("https://evil.example", "null", "http://127.0.0.1@evil.example", "http://localhost.evil.example"):
        answer = guarded.post("/v1/account/halt", json={}, headers={**known, "Origin": origin})
        assert answer.status_code == 403, origin
    assert guarded.get("/v1/account", headers={**known, "Origin": str(guarded.base_url)}).status_code == 200
    assert guarded.get("/v1/account", headers=known).json()["trading_state"] == "active"


def test_requests_that_are_too_large_or_too_deep_are_refused(guarded):
    known = bearer(HALTER)
    large = {"expressions": {"a": "$close" + "+0" * 20_000}}
    assert guarded.post("/v1/factors/calculate", json=large, headers=known).status_code == 413
    content = json.dumps(large).encode()
    chunks = (content[at : at + 1000] for at in range(0, len(content), 1000))
    headers = {**known, "Content-Type": "application/json"}
    assert guarded.post("/v1/factors/calculate", content=chunks, headers=headers).status_code == 413
    deep = "[" * 2_000 + "]" * 2_000
    answer = guarded.post("/v1/factors/calculate", content=deep, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (422, "too deep")


def test_an_answer_with_too_many_cells_is_refused_before_it_is_computed(guarded):
    asked = {"feature_set": "alpha360", "start": "2021-01-04"}
    answer = guarded.post("/v1/factors/calculate", json=asked, headers=bearer(READER))
    assert answer.status_code == 422
    assert "service.max_cells" in answer.json()["remedy"]


def test_a_halt_stops_the_account_and_is_written_down(finished, tmp_path, caplog):
    copied = finished.copy(tmp_path / "project").path
    with (
        running_service(copied, TOKENS) as running,
        caplog.at_level(logging.INFO, logger="quant_pipeline.service.audit"),
    ):
        answer = running.client.post("/v1/account/halt", json={"reason": "strange prices"}, headers=bearer(HALTER))
        assert answer.status_code == 200, answer.text
        assert answer.json()["everything_stopped"] is True
        found = running.client.get("/v1/account", headers=bearer(READER)).json()
    assert (found["trading_state"], found["stop_file"]) == ("halted", True)
    assert "strange prices (halter)" in " ".join(found["remarks"])
    written = (copied / "data/accounts/sim/service/audit.jsonl").read_text()
    assert "halt by halter: 'strange prices'" in written
    assert "200 POST /v1/account/halt by halter" in written
    assert HALTER not in written


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_another_address_than_this_machine_needs_tokens_and_the_flag(host):
    rules = ServiceParameters(host=host)
    tokens = {"reader": Token.model_validate(TOKENS["reader"])}
    for given, public in (({}, False), ({}, True), (tokens, False)):
        with pytest.raises(ConfigurationError, match="--public"):
            Access.of(rules, given, public)
    assert Access.of(rules, tokens, True).tokens == tokens


def test_further_names_of_the_service_need_tokens():
    """Behind a proxy, everyone who reaches it would be this machine."""
    rules = ServiceParameters(hosts=("desk.example",))
    tokens = {"reader": Token.model_validate(TOKENS["reader"])}
    with pytest.raises(ConfigurationError, match=r"service\.hosts names desk\.example"):
        Access.of(rules, {}, True)
    assert Access.of(rules, tokens, False).is_named("desk.example:443")


def test_an_address_of_the_sixth_version_is_named_in_brackets():
    tokens = {"reader": Token.model_validate(TOKENS["reader"])}
    access = Access.of(ServiceParameters(host="2001:db8::1"), tokens, True)
    assert access.is_named("[2001:db8::1]:8600")
    assert not access.is_named("2001:db8::1")


def test_no_password_of_an_address_is_left_in_a_text(tmp_path):
    text = "cannot reach postgresql+psycopg://trader:s3cret@db.example:5432/books"
    assert without_paths(text, tmp_path).startswith("cannot reach postgresql+psycopg://db.example:5432")
    assert "s3cret" not in without_paths(text, tmp_path)


def test_a_short_token_is_refused_and_shown_nowhere():
    with pytest.raises(ValueError, match="at least 20") as refused:
        Token.model_validate({"token": "short-secret"})
    assert "short-secret" not in str(refused.value)


def test_two_holders_have_two_tokens():
    """One that both have would have the scopes of either by chance."""
    tokens = {name: Token.model_validate({"token": READER}) for name in ("desk", "research")}
    with pytest.raises(ConfigurationError, match=r"service\.desk and service\.research are the same token"):
        _require_different(tokens)
    _require_different({"desk": tokens["desk"]})


def test_a_page_of_another_port_of_this_machine_is_another_site(guarded):
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://["):
        answer = guarded.post("/v1/account/halt", json={}, headers={**bearer(HALTER), "Origin": origin})
        assert (answer.status_code, answer.json()["title"]) == (403, "another origin"), origin


def test_a_broken_configuration_stops_no_halt(finished, tmp_path):
    project = finished.copy(tmp_path / "project").path
    with running_service(project) as running:
        (project / "conf" / "sim" / "catalog_broken.yml").write_text("bars: [")
        time.sleep(0.5)
        answer = running.client.post("/v1/account/halt", json={"reason": "in a\x00 hurry"})
        assert answer.json()["halted"] is True
        assert (project / "data" / "accounts" / "sim" / "STOP").exists()


def test_no_path_of_the_machine_is_left_in_a_text(tmp_path):
    assert without_paths("open sqlite:////home/trader/jobs.sqlite", tmp_path) == "open jobs.sqlite"
    assert without_paths("open sqlite+pysqlite:////home/a%25/jobs.sqlite", tmp_path) == "open jobs.sqlite"
    text = f"no such file {tmp_path}/data/x.parquet, nor /home/trader/keys.yml, nor /etc/passwd; see https://a.b/c/d"
    assert without_paths(text, tmp_path) == "no such file data/x.parquet, nor keys.yml, nor passwd; see https://a.b/c/d"


def test_the_remedy_is_the_last_sentence():
    assert remedy_of("feature 'a' looks ahead: Ref($close,-1). Remove it.") == "Remove it."
    assert remedy_of("there is no model 'x'; there are a, b") == "there are a, b"
    assert remedy_of("only one") == "only one"

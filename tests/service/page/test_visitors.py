"""Who is let to the page: a token once, a cookie that is no token, and forms that only this page has given."""

import html
import json
import logging
import re
import time
from types import SimpleNamespace

import httpx
import pytest

from quant_pipeline.service.page import actions, documentation, routes
from quant_pipeline.service.served_project import LOOK
from tests.helpers.http_service import is_drawn, running_service
from tests.helpers.paper_service import token_of
from tests.helpers.three_accounts import simulated, three_accounts

DESK, READER, HALTER = "a-token-of-the-desk-0123", "a-token-of-a-reader-4567", "a-token-that-halts-89ab"
RESEARCHER = "a-token-that-asks-cdef"
TOKENS = {
    "desk": {"token": DESK, "scopes": ["read", "halt"]},
    "reader": {"token": READER},
    "halter": {"token": HALTER, "scopes": ["halt", "research"]},
    "researcher": {"token": RESEARCHER, "scopes": ["research"]},
}
UNREAD = ("/docs", "/page/login", "/page/assets/{digest}/{name}")
"""Routes that say nothing of the account."""
OF_HALTERS = ("/", "/page/events")
"""Routes that show those who may halt and not read its state."""


@pytest.fixture(scope="module")
def project(tmp_path_factory, project_path):
    path = tmp_path_factory.mktemp("visitors") / "project"
    three_accounts(project_path, path)
    simulated(path)
    return path


@pytest.fixture(scope="module")
def asked(project):
    """A service with tokens."""
    with running_service(project, TOKENS) as running:
        yield running


@pytest.fixture(scope="module")
def free(project, asked):
    """A service without tokens, of the same account."""
    with running_service(project) as running:
        yield running


@pytest.fixture
def visitor(asked):
    """Clients with cookies of their own."""

    def login(token):
        client = httpx.Client(base_url=asked.url, timeout=120)
        answer = client.post("/page/login", data={"token": token})
        return SimpleNamespace(client=client, answer=answer)

    return login


def drawn(address):
    """Return a page when its panes are there; the first time may take longer than a page waits for them."""
    while not is_drawn(text := httpx.get(address, timeout=120).text):
        time.sleep(0.2)
    return text


def test_without_tokens_the_page_needs_none(free):
    assert httpx.get(free.url, timeout=120).status_code == 200


def test_a_cookie_of_any_bytes_is_another_visitor(free):
    cookies = b"; ".join(name + b"=\xff\xe9" for name in (b"quant-pipeline-sim", b"quant-pipeline-paper"))
    assert free.client.get("/", headers=[(b"Cookie", cookies)]).status_code == 200


def test_a_form_of_a_thousand_fields_is_refused(asked):
    answer = asked.client.post("/page/login", data={f"field{number}": "x" for number in range(1000)})
    assert answer.status_code == 401
    assert "too many fields" in answer.text


def test_with_tokens_every_page_leads_to_the_question_for_one(asked):
    for path in ("/", "/page/models", "/page/log", "/page/jobs"):
        answer = httpx.get(asked.url + path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/page/login")
    assert httpx.get(f"{asked.url}/page/events?panes=now").status_code == 401
    assert "This page needs a token" in httpx.get(f"{asked.url}/page/login").text


def test_the_cookie_is_not_the_token_and_scripts_and_other_sites_do_not_get_it(visitor):
    found = visitor(DESK)
    cookie = found.answer.headers["set-cookie"]
    assert found.answer.status_code == 303
    assert DESK not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Halt sim" in found.client.get("/").text


def test_behind_a_proxy_that_speaks_tls_the_cookie_is_for_tls_alone(asked):
    origin = {"Origin": asked.url.replace("http://", "https://")}
    answer = httpx.post(f"{asked.url}/page/login", data={"token": DESK}, headers=origin, timeout=120)
    assert "; Secure" in answer.headers["set-cookie"]
    plain = httpx.post(f"{asked.url}/page/login", data={"token": DESK}, headers={"Origin": asked.url}, timeout=120)
    assert "Secure" not in plain.headers["set-cookie"]


def test_a_wrong_token_is_refused_and_sets_no_cookie(visitor):
    found = visitor("a-token-that-was-not-given-out")
    assert found.answer.status_code == 401
    assert "set-cookie" not in found.answer.headers


@pytest.mark.parametrize("change", ["cut", "longer", "empty", "a dot"])
def test_a_cookie_that_this_service_has_not_signed_is_none(visitor, asked, change):
    ((name, value),) = visitor(DESK).client.cookies.items()
    changed = {"cut": value[:-1], "longer": f"x{value}", "empty": "", "a dot": "."}[change]
    assert httpx.get(asked.url, cookies={name: changed}).status_code == 303


def test_another_token_in_the_credentials_ends_the_sessions_of_the_former(visitor, project):
    found = visitor(DESK)
    cookies = dict(found.client.cookies)
    changed = {**TOKENS, "desk": {**TOKENS["desk"], "token": "another-token-of-the-desk"}}
    with running_service(project, changed) as other:
        assert httpx.get(other.url, cookies=cookies).status_code == 303
    with running_service(project, TOKENS) as same:
        assert httpx.get(same.url, cookies=cookies, timeout=120).status_code == 200


def test_logging_out_ends_a_session_wherever_it_is_and_no_other_one(visitor, asked, project):
    found, other = visitor(DESK), visitor(DESK)
    cookies = dict(found.client.cookies)
    page = found.client.get("/page/log")
    assert found.client.post("/page/leave", data={"form_token": "0" * 64}).status_code == 403
    with httpx.stream("GET", f"{asked.url}/page/events?panes=word", cookies=cookies, timeout=120) as events:
        lines = events.iter_lines()
        next(lines)
        answer = found.client.post("/page/leave", data={"form_token": token_of(page)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/page/login")
        for _ in lines:  # It ends.
            pass
    assert dict(found.client.cookies) == {}
    assert httpx.get(asked.url, cookies=cookies).status_code == 303
    assert other.client.get("/page/log").status_code == 200
    with running_service(project, TOKENS) as again:
        assert httpx.get(again.url, cookies=cookies).status_code == 303


def test_without_tokens_there_is_nothing_to_log_out_of(free):
    page = httpx.get(f"{free.url}/page/log", timeout=120)
    assert "Log out" not in page.text
    answer = httpx.post(f"{free.url}/page/leave", data={"form_token": token_of(page)}, timeout=120)
    assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)


def test_who_may_only_read_is_offered_no_halt_and_refused_one(visitor, project):
    found = visitor(READER)
    page = found.client.get("/page/research")
    assert "Halt sim" not in page.text
    refused = found.client.post("/page/halt", data={"form_token": token_of(page)})
    assert refused.status_code == 403
    assert "does not allow" in refused.text
    assert not (project / "data/accounts/sim/STOP").exists()
    started = found.client.post("/page/jobs/training", data={"form_token": token_of(page), "model": ""})
    assert started.status_code == 403


def shown():
    """Every route of the page that shows something of the account."""
    parts = (actions.router, documentation.router, routes.router, routes.streams)
    return [
        route.path for part in parts for route in part.routes if "GET" in route.methods and route.path not in UNREAD
    ]


@pytest.mark.parametrize(("token", "also_shown"), [(HALTER, OF_HALTERS), (RESEARCHER, ())])
def test_who_may_not_read_is_shown_nothing(visitor, token, also_shown):
    found, paths = visitor(token), [path for path in shown() if path not in also_shown]
    assert len(paths) == 7 - len(also_shown)
    for path in paths:
        answer = found.client.get(path.replace("{id}", "nothing").replace("{name}", "report"), params={"panes": "now"})
        assert answer.status_code == 403, path
        assert "does not allow 'read'" in html.unescape(answer.text)


def test_who_may_halt_and_not_read_sees_the_state_and_the_button_alone(visitor, project, monkeypatch):
    # The command itself is tested elsewhere.
    monkeypatch.setattr("quant_pipeline.service.halting.sys.executable", "/bin/true")
    client = visitor(HALTER).client
    while not is_drawn((page := client.get("/")).text):
        time.sleep(0.2)
    for words in ("Halt sim", "This token allows to halt sim, and not to read", "active</span>"):
        assert words in page.text
    for words in ("Net asset value", "Cash", "Positions<", 'id="pane-now"', "/page/log"):
        assert words not in page.text
    panes = set()
    with client.stream("GET", "/page/events", params={"panes": "now,strip,word,positions"}) as events:
        for line in events.iter_lines():
            if line.startswith("data: {") and '"name"' in line:
                panes.add(json.loads(line.removeprefix("data: "))["name"])
            if line == "event: beat" and panes:
                break
    assert panes == {"word"}
    halted = client.post("/page/halt", data={"form_token": token_of(page)})
    try:
        assert "■ Halted" in halted.text
        assert "This token allows to halt sim" in halted.text
        assert (project / "data/accounts/sim/STOP").exists()
    finally:
        (project / "data/accounts/sim/STOP").unlink()


def test_a_refusal_on_the_page_is_written_down_with_its_name(visitor, project, caplog):
    written = project / "data/accounts/sim/service/refusals.jsonl"
    with caplog.at_level(logging.INFO, logger="quant_pipeline.service.audit"):
        assert visitor(HALTER).client.get("/page/models").status_code == 403
        # The line is written when the answer has gone out.
        until = time.monotonic() + 60
        while not written.exists() or "403 GET /page/models by halter from 127.0.0.1" not in written.read_text():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_broken_file_of_the_configuration_shows_on_the_panes_and_the_rest_stays(free, project):
    drawn(free.url)
    broken = project / "conf" / "sim" / "parameters_broken.yml"
    broken.write_bytes(b"strategy: [\n")
    try:
        until = time.monotonic() + 120
        while (answer := httpx.get(free.url, timeout=120)).text.count("parameters_broken.yml, line 2") < 5:
            assert time.monotonic() < until, answer.text
        assert answer.status_code == 200
        assert "Halt sim" in answer.text
        assert "Stale since" in answer.text
        ready = httpx.get(f"{free.url}/ready", timeout=120)
        assert ready.status_code == 503, ready.text
        assert ready.json().get("jobs", {}).get("ready"), ready.text
        assert "parameters_broken.yml" in ready.json()["market"]["why"]
        broken.write_bytes(b"\xff\xfe")
        time.sleep(LOOK)
        refused = httpx.get(f"{free.url}/v1/account", timeout=120)
        assert (refused.status_code, refused.json()["title"]) == (422, "configuration error")
    finally:
        broken.unlink()
    while "parameters_broken" in drawn(free.url):
        assert time.monotonic() < until


@pytest.mark.parametrize("form_token", ["", "0" * 64])
def test_a_form_that_this_page_has_not_given_halts_nothing(free, project, form_token):
    answer = httpx.post(f"{free.url}/page/halt", data={"form_token": form_token}, timeout=120)
    assert answer.status_code == 403
    assert not (project / "data/accounts/sim/STOP").exists()


def test_a_form_of_another_site_halts_nothing(free, project):
    page = httpx.get(free.url, timeout=120)
    for origin in ("https://evil.example", "null"):
        answer = httpx.post(
            f"{free.url}/page/halt", data={"form_token": token_of(page)}, headers={"Origin": origin}, timeout=120
        )
        assert answer.status_code == 403
    assert not (project / "data/accounts/sim/STOP").exists()


def test_every_answer_says_what_browsers_may_do_with_it(free):
    for path in ("/", "/docs", "/health", "/page/login", "/page/nothing", "/v1/account"):
        headers = httpx.get(free.url + path, timeout=120).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_files_of_the_page_are_packed_and_kept_for_ever_under_their_hash(free):
    page = httpx.get(free.url, timeout=120).text
    addresses = re.findall(r'"(/page/assets/[^"]+)"', page)
    assert {address.rpartition("/")[2] for address in addresses} == {"icon.svg", "page.css", "page.js"}
    for address in addresses:
        answer = httpx.get(free.url + address)
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
    assert httpx.get(f"{free.url}/page/assets/0000/page.js").status_code == 404


def test_the_documentation_lists_every_route_of_the_document_with_an_example(free):
    text = httpx.get(f"{free.url}/docs").text
    document = httpx.get(f"{free.url}/v1/openapi.json").json()
    for path, verbs in document["paths"].items():
        for verb in verbs:
            assert f"<code>{verb.upper()} {path}</code>" in text
    assert "$close/Ref($close, 21)-1" in text
    assert "//cdn" not in text


def test_sums_are_of_one_kind_of_money_alone(free):
    text = drawn(f"{free.url}/page/accounts")
    sums = text[text.index("Sums of one kind of money") :]
    assert re.findall(r'<th scope="row" class="text">(\w+)</th>', sums) == ["simulated"]
    for name in ("cn", "files", "hand", "live", "paper", "qlib", "sim"):
        assert f'<th scope="row" class="text">{name}</th>' in text

"""Sessions that were ended stay ended, whatever writes the file of them at the same time and however the clock goes."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import anyio
import pytest
from fastapi import Response

from quant_pipeline.service.access import Access
from quant_pipeline.service.page import routes, visitors
from quant_pipeline.service.page.visitors import DAYS, ENDED, Visitors
from quant_pipeline.service.parameters import Token
from quant_pipeline.service.problems import Refused

TOKENS = {name: Token.model_validate({"token": name * 30, "scopes": ["read"]}) for name in "ab"}
DAY = 86_400


@pytest.fixture
def made(tmp_path):
    """Return a function that makes the sessions of one more process of the account."""
    return lambda: Visitors(tmp_path, Access(TOKENS, [], 1, 1), "sim")


def login(sessions, name="a"):
    return sessions.login(name * 30)


def end(sessions, visitor):
    sessions.logout(Response(), visitor)


def is_let_in(sessions, visitor):
    try:
        return sessions.of(SimpleNamespace(cookies={sessions.cookie: visitor.session})).asker.name in TOKENS
    except Refused:
        return False


def test_of_two_services_that_end_sessions_at_once_none_is_forgotten(made):
    every = [[login(made()) for _ in range(30)] for _ in range(2)]
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda mine: [end(made(), visitor) for visitor in mine], every))
    assert not any(is_let_in(made(), visitor) for mine in every for visitor in mine)


def test_a_session_that_was_ended_while_the_clock_was_behind_stays_ended(made, monkeypatch):
    sessions, now = made(), visitors.time.time()

    def at(days):
        monkeypatch.setattr(visitors, "time", SimpleNamespace(time=lambda: now + days * DAY))

    at(0)
    visitor = login(sessions)
    at(-3)
    end(sessions, visitor)
    at(DAYS - 2)
    end(sessions, login(sessions, "b"))
    assert not is_let_in(sessions, visitor)


@pytest.mark.parametrize("line", ["", "soon abc", "12", "12 "])
def test_a_line_that_is_no_session_shuts_no_operator_out_and_forgets_no_other(made, tmp_path, caplog, line):
    sessions = made()
    ended, other = login(sessions), login(sessions, "b")
    end(sessions, ended)
    with (tmp_path / ENDED).open("ab") as file:
        file.write(line.encode() + b"\xff\n")
    assert (is_let_in(sessions, ended), is_let_in(sessions, other)) == (False, True)
    assert "is left out, as it is no ended session" in caplog.text


def test_who_has_logged_out_is_sent_no_more_of_a_job(made, monkeypatch):
    sessions = made()
    visitor, got = login(sessions), []

    async def five(*_):
        for number in range(5):
            yield number

    async def followed():
        visited = SimpleNamespace(visitors=sessions, visitor=visitor)
        async for event in routes.job_events(visited, None, None, None, 0, 0):
            got.append(event)
            if event == 1:
                end(made(), visitor)

    monkeypatch.setattr(routes, "follow", five)
    anyio.run(followed)
    assert got == [0, 1]

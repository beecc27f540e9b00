"""A place among the questions is given back, whatever becomes of the asker; lines of a job are read to their ends."""

import threading
from types import SimpleNamespace

import anyio
import pytest

from quant_pipeline.service.access import Asker
from quant_pipeline.service.jobs.table import JobState
from quant_pipeline.service.parameters import ServiceParameters
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.routes.jobs import follow, read_lines
from quant_pipeline.service.served import Served, place_of_stream
from quant_pipeline.service.shares import Shares, Turns
from quant_pipeline.testing.job_kills import open_runner

DESK, GREEDY = (Asker(name, frozenset()) for name in ("desk", "greedy"))


def places(questions, streams):
    return Turns(questions), Shares(streams)


def test_askers_who_leave_at_any_moment_give_their_places_back():
    async def leave():
        served = Served(None, ServiceParameters(max_questions=2, max_seconds=5), None, None, *places(2, 1))
        for turn in range(300):
            with anyio.move_on_after(0.0 if turn % 2 else 0.0005):
                await served.compute(DESK, lambda: None)
        await anyio.sleep(0.3)
        return served.questions.taken, await served.compute(DESK, lambda: "answered")

    assert anyio.run(leave) == (0, "answered")


def test_a_look_at_the_jobs_waits_for_no_question_that_is_computed():
    async def ask():
        served = Served(None, ServiceParameters(max_questions=1, max_seconds=5), None, None, *places(1, 1))
        done = threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.compute, DESK, lambda: done.wait(60))
            await anyio.wait_all_tasks_blocked()
            seen = await served.look(lambda: "seen"), served.questions.taken
            done.set()
        return seen

    assert anyio.run(ask) == ("seen", 1)


def test_questions_of_one_holder_keep_no_other_holder_waiting():
    async def ask():
        rules = ServiceParameters(max_questions=2, max_seconds=0.05)
        served = Served(None, rules, None, None, Turns(2, holders=2), Shares(1))
        done, begun = threading.Event(), threading.Event()

        def long():
            begun.set()
            return done.wait(60)

        async def refused(question):
            with pytest.raises(Refused) as found:
                await served.compute(GREEDY, question)
            return found.value.status, found.value.detail

        try:
            # The first takes too long and keeps its place; the second waits in vain for the same share.
            first = await refused(long)
            second = await refused(lambda: "never")
            assert begun.is_set()
            return first[0], second, await served.compute(DESK, lambda: "answered"), served.questions.taken
        finally:
            done.set()

    busy = (503, "2 questions are being computed, or 1 of 'greedy'")
    assert anyio.run(ask) == (422, busy, "answered", 1)


def request_of(name, holders):
    """A request of a holder of one of some tokens."""
    access = SimpleNamespace(tokens=dict.fromkeys(range(holders)))
    app = SimpleNamespace(state=SimpleNamespace(access=access))
    return SimpleNamespace(state=SimpleNamespace(asker=SimpleNamespace(name=name)), app=app)


def test_a_repetition_with_its_key_is_the_same_job_though_its_models_are_gone(tmp_path):
    """What the question means for the project is not asked again: it may mean nothing any more."""
    facts = {"fingerprint": lambda *names: "", "parameters_hash": lambda: "", "parameters": {"models": {}}}
    project = SimpleNamespace(known=SimpleNamespace(market=""), **facts)
    served = Served(project, ServiceParameters(), open_runner(tmp_path), None, *places(1, 1))
    desk, asked = Asker("desk", frozenset()), {"models": []}
    first, _ = served.job_of("training", asked, desk, "monday", lambda: {"models": ["a"]})
    assert first.request == {"models": ["a"]}

    def gone():
        raise Refused(404, "unknown model", "there is no enabled model 'a'", "", "name")

    assert served.job_of("training", asked, desk, "monday", gone) == (first, True)
    with pytest.raises(Refused, match="no enabled model"):
        served.job_of("training", asked, desk, "tuesday", gone)
    with pytest.raises(Refused, match="another request"):
        served.job_of("training", {"models": ["b"]}, desk, "monday", gone)


def test_readers_of_events_have_places_that_they_give_back():
    async def read():
        served = Served(None, ServiceParameters(max_streams=1), None, None, *places(1, 1))
        asked = request_of("this machine", 0)
        first = place_of_stream(asked, served)
        await anext(first)
        with pytest.raises(Refused, match="follows events 1 times already") as refused:
            await anext(place_of_stream(asked, served))
        await first.aclose()
        await anext(place_of_stream(asked, served))
        return refused.value.status

    assert anyio.run(read) == 503


def test_no_holder_of_a_token_takes_the_places_of_another():
    async def read():
        served = Served(None, ServiceParameters(), None, None, *places(1, 4))
        greedy = [place_of_stream(request_of("greedy", 2), served) for _ in range(3)]
        for one in greedy[:2]:
            await anext(one)
        with pytest.raises(Refused, match="'greedy' follows events 2 times already"):
            await anext(greedy[2])
        for _ in range(2):
            await anext(place_of_stream(request_of("desk", 2), served))

    anyio.run(read)


@pytest.mark.parametrize(("places", "holders", "share"), [(64, 0, 64), (64, 1, 64), (64, 3, 21), (2, 5, 1)])
def test_a_share_is_the_same_for_all_and_never_nothing(places, holders, share):
    assert Shares(places).share(holders) == share


def test_a_place_within_a_line_goes_on_at_the_next_one(tmp_path):
    """A reader that names a place within a path would be shown the rest of it, which is known as no path."""
    log = tmp_path / "output.log"
    log.write_bytes(b"in /home/trader/secret/a\nsecond\nthird")
    for place in range(1, 25):
        assert read_lines(log, place) == ([(32, "second")], 32), place
    assert read_lines(log, 25) == ([(32, "second")], 32)
    assert read_lines(log, 0)[0][0] == (25, "in /home/trader/secret/a")
    assert read_lines(log, 34) == ([], 37)
    assert read_lines(log, 10_000) == ([], 10_000)


def test_an_ended_job_is_sent_to_its_last_line_which_has_no_end(tmp_path, monkeypatch):
    """More than is read at once, a line that is longer than that, and a last line without an end."""
    monkeypatch.setattr("quant_pipeline.service.routes.jobs.MOST", 64)
    log = tmp_path / "output.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100)) + b"x" * 300 + b"\nnext\nlast words")
    job = SimpleNamespace(id="1", state=JobState.FAILED, message="last words")
    desk = SimpleNamespace(output_of=lambda _: log, table=SimpleNamespace(find=lambda _: job))
    project = SimpleNamespace(place=SimpleNamespace(project_path=tmp_path))
    served = Served(project, ServiceParameters(), desk, None, *places(1, 1))

    async def events(place):
        return [event async for event in follow(served, job, place)]

    state, *lines, end = anyio.run(events, 0)
    assert (state.event, end.event) == ("state", "end")
    expected = [*(f"line {number}" for number in range(100)), "x" * 64, "next", "last words"]
    assert [line.data["line"] for line in lines] == expected
    assert int(end.id) == int(lines[-1].id) == log.stat().st_size
    # A reader that comes back behind the last line is sent nothing twice.
    assert [event.event for event in anyio.run(events, int(end.id))] == ["state", "end"]


def test_a_line_that_never_ends_stops_no_reader(tmp_path, monkeypatch):
    monkeypatch.setattr("quant_pipeline.service.routes.jobs.MOST", 8)
    log = tmp_path / "output.log"
    log.write_bytes(b"x" * 20 + b"\nnext\n")
    seen, place = [], 0
    for _ in range(6):
        lines, place = read_lines(log, place)
        seen += [line for _, line in lines]
    assert (seen, place) == (["xxxxxxxx", "next"], 26)


def test_lines_end_at_new_lines_alone(tmp_path):
    (tmp_path / "output.log").write_bytes(b"first\rsecond\nthird\nnot yet")
    lines, place = read_lines(tmp_path / "output.log", 0)
    assert ([end for end, _ in lines], place) == ([13, 19], 19)
    assert lines[1][1] == "third"

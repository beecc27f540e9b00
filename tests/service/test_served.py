"""A place among the questions is given back, whatever becomes of the asker; lines of a job are read to their ends."""

import anyio

from quant_pipeline.service.parameters import ServiceParameters
from quant_pipeline.service.routes.jobs import read_lines
from quant_pipeline.service.served import Served


def test_askers_who_leave_at_any_moment_give_their_places_back():
    async def leave():
        served = Served(None, ServiceParameters(max_questions=2, max_seconds=5), None, None, anyio.CapacityLimiter(2))
        for turn in range(300):
            with anyio.move_on_after(0.0 if turn % 2 else 0.0005):
                await served.compute(lambda: None)
        await anyio.sleep(0.3)
        return served.questions.borrowed_tokens, await served.compute(lambda: "answered")

    assert anyio.run(leave) == (0, "answered")


def test_lines_end_at_new_lines_alone(tmp_path):
    (tmp_path / "output.log").write_bytes(b"first\rsecond\nthird\nnot yet")
    lines, place = read_lines(tmp_path / "output.log", 0)
    assert ([end for end, _ in lines], place) == ([13, 19], 19)
    assert lines[1][1] == "third"

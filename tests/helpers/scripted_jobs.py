"""Kinds of jobs that are scripts of a line, so that tests of jobs cost no pipeline."""

from quant_pipeline.service.jobs.kinds import JobKind

SCRIPT = """
import pathlib, sys, time
file, seconds, status = sys.argv[1:4]
with open(file, "a") as started:
    started.write("started\\n")
print("first line", flush=True)
time.sleep(float(seconds))
print("last line", flush=True)
sys.exit(int(status))
"""


def words(request):
    return [request["file"], str(request.get("seconds", 0)), str(request.get("status", 0))]


SCRIPTED = JobKind(words, lambda request: {}, lambda request: [], ("-S", "-c", SCRIPT))
NAME = f"{__name__}.SCRIPTED"

"""Halt an account for an asker: the file that every sender looks at first, then what `kedro account halt` does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from quant_pipeline.cli.options import flattened
from quant_pipeline.common.json_files import parse_json
from quant_pipeline.service.access import Asker
from quant_pipeline.service.audit_file import audit
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.served import Served

SECONDS: Final = 120
"""How long the halt may wait for a broker that does not answer."""
DEFAULT: Final = "halted over HTTP"
LONGEST: Final = 500
"""Characters of a reason; the rest is cut."""
HALT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "Stop sending orders.",
                    "properties": {"reason": {"type": "string", "default": DEFAULT}},
                    "examples": [{"reason": "strange prices"}],
                }
            }
        },
    }
}
"""What the document of the routes says of the body of a halt; nothing is refused for having another one."""


def reason_of(body: bytes) -> str:
    """Return the reason in a body, JSON or a form, as one line; a halt is never refused for what it says.

    Parameters
    ----------
    body
        As it came: whole or torn, of any type.

    Returns
    -------
    str
        The reason, at most `LONGEST` characters; `DEFAULT` when there is none that can be read.
    """
    try:
        content = parse_json(body)
    except ValueError:
        content = _form_of(body)
    given = content.get("reason") if isinstance(content, dict) else None
    line = "".join(sign if sign.isprintable() else " " for sign in given) if isinstance(given, str) else ""
    return line.strip()[:LONGEST].strip() or DEFAULT


async def halt_account(served: Served, asker: Asker, reason: str) -> dict[str, Any]:
    """Stop sending, and return what of it has happened: ``halted``, ``everything_stopped``, ``lines``, ``at``.

    The file comes first, before the audit log: a log that cannot be written keeps nothing from being stopped.
    """
    project = served.project
    failed: list[str] = []
    try:
        project.stop_file.parent.mkdir(parents=True, exist_ok=True)
        project.stop_file.touch()
    except OSError as error:
        failed.append(f"the file: not stopped, {error.strerror}")

    def stop_the_rest() -> dict[str, Any]:
        is_done = False
        try:
            is_done, printed = _run_command(served, asker, reason)
        except (subprocess.TimeoutExpired, OSError) as error:
            printed = f"the rest was not confirmed ({type(error).__name__}). Run `kedro account halt` at the terminal."
        lines = [*failed, *(line for line in printed.splitlines() if line.strip())]
        return {
            "halted": is_done or not failed or project.stop_file.exists(),
            "everything_stopped": is_done,
            "lines": [without_paths(line, project.place.project_path) for line in lines],
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    return await served.compute_without_limit(stop_the_rest)


def _run_command(served: Served, asker: Asker, reason: str) -> tuple[bool, str]:
    """Run `kedro account halt`, and return whether it has stopped everything, and what it has printed.

    It has a session of its own, and prints into a file: it goes on when the service is ended, by Ctrl-C too.
    """
    project = served.project
    params = ",".join(f"{key}={value}" for key, value in flattened(project.params).items())
    words = ["account", "halt", "--env", project.environment, "--reason", _as_argument(f"{reason} ({asker.name})")]
    with tempfile.TemporaryFile() as printed:
        try:
            command = subprocess.Popen(  # noqa: S603 - a list of words, no shell
                [sys.executable, "-m", "quant_pipeline", *words, *(["--params", params] if params else [])],
                cwd=project.place.project_path,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            audit.warning("halt by %s: %r", asker.name, reason)
        try:
            status = command.wait(SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
            raise
        printed.seek(0)
        return status == 0, printed.read().decode("utf-8", "replace")


def _as_argument(text: str) -> str:
    """Return a text that the locale can write on a command line; other characters are question marks."""
    encoding = sys.getfilesystemencoding()
    return text.encode(encoding, "replace").decode(encoding)


def _form_of(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=50)
    except ValueError:
        return {}
    return {"reason": fields["reason"][0]} if "reason" in fields else {}

"""The unit, the image and the compose file of the guide: they can be read, and name what there is."""

import re
import shlex
import tomllib
from configparser import ConfigParser

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from quant_pipeline.live.clocks import LONGEST
from quant_pipeline.live.commands import GRACE
from quant_pipeline.live.parameters import LiveParameters, NotificationParameters
from tests.helpers.project import PROJECT

GUIDE = (PROJECT / "docs/guides/live.md").read_text()


def block(language, word):
    """Return the block of the guide in a language that holds a word."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if word in text]
    return found


@pytest.fixture(scope="module")
def program():
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def service():
    unit = ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str
    unit.read_string(block("ini", "ExecStart"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    return unit["Service"]


def test_the_unit_starts_a_program_that_is_installed_and_waits_for_its_word(service, program):
    path, *words = shlex.split(service["ExecStart"])
    assert path.startswith(f"{service['WorkingDirectory']}/.venv/bin/")
    assert path.rpartition("/")[2] in program["scripts"]
    assert words == ["live", "--env", "paper"]
    assert (PROJECT / "conf" / words[2]).is_dir()
    assert (service["Type"], service["Restart"], service["KillMode"]) == ("notify", "always", "mixed")


def test_the_unit_gives_the_process_the_time_that_it_takes(service):
    times = LiveParameters()
    assert float(service["WatchdogSec"]) > 2 * LONGEST, "a process that rests is not taken for one that hangs"
    ends_within = times.drain_seconds + 2 * GRACE + NotificationParameters().timeout_seconds
    assert float(service["TimeoutStopSec"]) >= ends_within
    assert service["TimeoutStartSec"] == "15min"


def test_the_image_is_built_by_what_there_is(program):
    lines = block("dockerfile", "FROM").splitlines()
    (version,) = re.findall(r"FROM python:([\d.]+)-slim", lines[0])
    assert version in SpecifierSet(program["requires-python"])
    (made,) = [line for line in lines if line.startswith("RUN ")]
    assert (PROJECT / "tools/install.py").is_file()
    assert made == "RUN python tools/install.py && .venv/bin/kedro compile"
    (called,) = [yaml.safe_load(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    assert called[0] in program["scripts"]
    assert called[1:] == ["live", "--env", "paper"]
    assert "STOPSIGNAL SIGTERM" in lines


def test_the_compose_file_declares_everything_that_its_services_name():
    composed = yaml.safe_load(block("yaml", "services:"))
    assert composed.keys() == {"services", "secrets", "volumes"}
    services = composed["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= services.keys()
        assert set(service.get("secrets", [])) <= composed["secrets"].keys()
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {volume for volume in named if not volume.startswith(".")} <= composed["volumes"].keys()
        assert service["restart"] == "unless-stopped", name
        image = service.get("image", "built:here")
        assert image.rpartition(":")[2] not in ("", "latest"), "a version is named"
    paper = services["paper"]
    assert paper["init"] is True, "what a killed command leaves behind is waited for"
    assert paper["stop_grace_period"] == "2m"
    credentials = (PROJECT / "conf/base/credentials_environment.yml").read_text()
    assert all(name in credentials for name in paper["environment"])
    inside = {volume.split(":")[1] for volume in paper["volumes"]}
    assert inside == {f"/srv/quant-pipeline/{name}" for name in ("data", "conf", "logs")}
    assert services["ledger"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/ledger"

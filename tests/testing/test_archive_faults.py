"""Whatever else befalls an archive loses nothing, and a rehearsal finds an archive that loses something."""

import shutil
from functools import partial

import pytest

from quant_pipeline.project.archive.store import Archive
from quant_pipeline.testing import archive_faults


def test_every_fault_has_its_cases_and_loses_nothing(tmp_path):
    found = archive_faults.rehearse_faults(tmp_path, step=200, rounds=3)
    assert [name for name, each in found.items() if each.bytes_lost] == []
    assert found["full_disk"].cases >= 3
    assert found["links"].cases == 5
    assert (found["two_archivers"].cases, found["clock_ahead"].cases) == (3, 7)


@pytest.mark.parametrize(
    "fault", [partial(archive_faults.full_disk, step=800), partial(archive_faults.two_archivers, rounds=1)]
)
def test_archive_that_forgets_a_safeguard_loses_bytes_in_the_rehearsal(tmp_path, monkeypatch, fault):
    def hasty(self, path, entry):
        (self._project / path).unlink()

    def careless(self, path, entry):
        shutil.rmtree(self._project / path)

    monkeypatch.setattr(Archive, "move", hasty)
    monkeypatch.setattr(Archive, "move_folder", careless)
    assert fault(tmp_path).bytes_lost > 0

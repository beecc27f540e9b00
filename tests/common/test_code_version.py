"""The version of code changes with its files."""

from quant_pipeline.common.code_version import version_of


def test_another_file_of_the_package_is_another_version(tmp_path):
    (tmp_path / "part").mkdir()
    file = tmp_path / "part" / "module.py"
    file.write_text("A = 1\n")
    before = version_of(tmp_path)
    assert version_of(tmp_path) == before
    file.write_text("A = 2\n")
    assert version_of(tmp_path) != before

"""The figures that `make bench-scale` ends with."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def scale(project_path):
    spec = importlib.util.spec_from_file_location("scale", project_path / "benchmarks" / "scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def size_of(scale, names, seconds):
    stages = {stage: {"seconds": seconds, "peak_mb": 100 + names, "rise_mb": 20} for stage in scale.STAGES}
    stages["save"]["seconds"] = seconds / 2
    stages["ridge"]["rise_mb"] = 30
    return {"names": names, "rows": names * 1000, "panel_mb": 10, "stages": stages}


def test_seconds_that_grow_as_the_rows_have_the_exponent_one(scale):
    found = scale.summarise([size_of(scale, names, names / 50) for names in (100, 200, 400)])
    assert found["growth_exponent"] == pytest.approx(1.0)
    assert found["save_over_compute"] == 0.5
    assert found["peak_bytes_per_panel_byte"] == 3.0
    assert (found["largest_names"], found["largest_peak_mb"]) == (400, 500)


def test_one_size_has_no_exponent(scale):
    assert scale.summarise([size_of(scale, 100, 2.0)])["growth_exponent"] is None


def test_ratios_to_qlib_are_of_the_same_market_and_the_stages_that_both_have(scale):
    sizes = [size_of(scale, names, names / 50) for names in (250, 500)]
    found = scale.summarise(sizes, {"stages": {"features": 300.0, "fit": 40.0, "predict": 10.0, "backtest": 50.0}})
    ours = 10.0 * len(scale.COMPARED) - 5.0  # Saving takes half of what any other stage takes.
    assert found["end_to_end_vs_qlib"] == round(400 / ours, 2)
    assert found["without_fit_vs_qlib"] == round(360 / (ours - 10), 2)
    assert scale.summarise(sizes)["end_to_end_vs_qlib"] is None
    assert scale.summarise(sizes[:1], {"stages": {"fit": 1.0}})["without_fit_vs_qlib"] is None


def test_the_table_of_growth_has_a_column_for_each_size(scale):
    lines = scale.markdown([size_of(scale, names, 2.0) for names in (250, 1000)]).splitlines()
    assert lines[0] == "| stage | 250 names | 1,000 names |"
    assert lines[-1] == "| `report` | 2.0 s, 350 MB | 2.0 s, 1,100 MB |"


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        (([250, 500], [], True), {}),
        (([250, 500], [], False), {"qlib": "pyqlib is not installed in this environment"}),
        (([250, 1000], [], True), {"qlib": "500 is not among --names"}),
        (([500], ["qlib", "daily"], True), {
            "qlib": "--without qlib", "growth": "--names has one size", "daily": "--without daily",
        }),
    ],
)  # fmt: skip
def test_a_figure_that_is_null_is_explained(scale, words, reasons):
    found = scale.not_measured(*words)
    assert {what: said.partition(" null: ")[2] for what, said in found.items()} == reasons
    if "qlib" in reasons:
        assert found["qlib"].startswith("end_to_end_vs_qlib and without_fit_vs_qlib are null: ")

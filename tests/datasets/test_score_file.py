"""A user's file of scores that is missing or cannot be used."""

import pytest
from kedro.io.core import DatasetError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.score_file import ScoreFile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,instrument\n2024-12-31,A\n", "lacks the column score"),
        ("date,instrument,score\nsoon,A,1\n", "dates are YYYY-MM-DD"),
        ("date,instrument,score\n2024-12-31,A,best\n", "scores are numbers"),
        ("date,instrument,score\n2024-12-31,A,1\n2024-12-31,A,2\n", "has A twice"),
        ("date,instrument,score\n2024-12-31,A,1\n,B,2\n", "row 2 has no date or no instrument"),
        ("date,instrument,score\n2024-12-31,A,1\n2024-12-31,,2\n", "row 2 has no date or no instrument"),
        ("", "cannot be read"),
    ],
)
def test_a_file_of_scores_that_cannot_be_used_is_an_error(tmp_path, text, message):
    file = tmp_path / "scores.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        ScoreFile(str(file)).load()
    assert isinstance(caught.value.__cause__, ConfigurationError)


def test_a_file_of_scores_need_not_exist(tmp_path):
    assert ScoreFile(str(tmp_path / "none.csv")).load() is None

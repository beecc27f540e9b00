"""Optional libraries: what happens without them; with them `test_algorithm_contract.py` trains their models, too."""

import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.libraries import import_optional


def test_a_library_that_is_not_there_names_the_remedy():
    with pytest.raises(ModelError, match=r"pip install 'quant_pipeline\[boosters\]'"):
        import_optional("a_library_that_nobody_has")

"""The column maps that are shipped, and statements as the brokers write them."""

import pytest
import yaml

from quant_pipeline.trading.statements import StatementImportParameters, import_statements


@pytest.fixture(scope="session")
def shipped(project_path):
    written = yaml.safe_load((project_path / "conf/base/parameters_statement_import.yml").read_text(encoding="utf-8"))
    return StatementImportParameters.model_validate(written["statement_import"])


@pytest.fixture
def read(shipped):
    """Import files by the shipped maps."""

    def read(*files, currency="USD", calendar="XNYS"):
        return import_statements(files, shipped.model_copy(update={"currency": currency}), calendar).entries

    return read

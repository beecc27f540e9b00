"""Import of brokers' statements: files in, events of the ledger out, by column maps that are configuration."""

from quant_pipeline.trading.statements.formats import StatementFormat, StatementImportParameters
from quant_pipeline.trading.statements.importer import (
    ImportedStatements,
    import_statements,
    raise_problems,
    read_statements,
)
from quant_pipeline.trading.statements.records import StatementFile

__all__ = [
    "ImportedStatements",
    "StatementFile",
    "StatementFormat",
    "StatementImportParameters",
    "import_statements",
    "raise_problems",
    "read_statements",
]

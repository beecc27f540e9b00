"""Import of brokers' statements: files in, events of the ledger out, by column maps that are configuration."""

from quant_pipeline.trading.statements.formats import StatementFormat, StatementImportParameters
from quant_pipeline.trading.statements.importer import import_statements
from quant_pipeline.trading.statements.reader import StatementFile

__all__ = ["StatementFile", "StatementFormat", "StatementImportParameters", "import_statements"]

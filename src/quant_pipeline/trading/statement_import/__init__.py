"""Import of brokers' statements: files in, events of the ledger out, by column maps that are configuration."""

from quant_pipeline.trading.statement_import.formats import StatementFormat, StatementImportParameters
from quant_pipeline.trading.statement_import.importer import StatementEntry, import_statements
from quant_pipeline.trading.statement_import.reader import StatementFile

__all__ = ["StatementEntry", "StatementFile", "StatementFormat", "StatementImportParameters", "import_statements"]

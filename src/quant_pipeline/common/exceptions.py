"""Errors that a user can act on: every message names the thing, the file or key, and the remedy."""

from collections.abc import Iterator

import click

from quant_pipeline.common.exit_status import ExitStatus


class QuantPipelineError(click.ClickException):
    """Base of every error raised on purpose by this project.

    It is a click exception so that ``kedro`` prints the one message that matters, without a traceback, and exits
    with status 1; in Python it behaves like any other exception.
    """


class ConfigurationError(QuantPipelineError):
    """A parameter, catalog entry or name in the configuration cannot be used."""


class MarketDataError(QuantPipelineError):
    """Bars, corporate actions or instruments are missing, malformed or contradictory."""


class FactorError(QuantPipelineError):
    """A factor expression cannot be parsed or evaluated."""


class MachineCodeError(QuantPipelineError):
    """A kernel cannot be compiled, or is called with other arguments than it was compiled for."""


class ModelError(QuantPipelineError):
    """A model or its bundle cannot be trained, verified or used."""


class NotReadyError(QuantPipelineError):
    """Several things that a run needs are missing; nothing has been written."""


class StrategyError(QuantPipelineError):
    """Scores, prices or rules do not allow a decision."""


class AccountError(QuantPipelineError):
    """The ledger of an account would be contradicted."""


class IncompleteError(AccountError):
    """A command did what could be done, and something is left; the command ends with a status of its own."""

    exit_code = int(ExitStatus.INCOMPLETE)


class TrackingError(QuantPipelineError):
    """The tracking store cannot be opened or written; runs go on without it."""


class ArchiveError(QuantPipelineError):
    """A file cannot be moved into the archive or out of it."""


class ClusterError(QuantPipelineError):
    """The cluster of a run was lost, or cannot run its tasks."""


class StorageError(QuantPipelineError):
    """A file or folder cannot be written or read: no space, no permission, too many open files."""


class BusyError(QuantPipelineError):
    """Another process writes into the same market or account."""


class StaleDataError(QuantPipelineError):
    """Predictions, bars or account state are older than the session they are used for."""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__

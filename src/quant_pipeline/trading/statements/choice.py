"""Which format reads which file: its name says, and where several claim it, what is in it."""

from __future__ import annotations

from typing import NamedTuple

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.statements.contents import is_other_document
from quant_pipeline.trading.statements.formats import StatementFormat, StatementImportParameters
from quant_pipeline.trading.statements.reader import fitness
from quant_pipeline.trading.statements.records import StatementFile


class StatementChoice(NamedTuple):
    """A format and its name."""

    name: str
    form: StatementFormat


def choose_format(file: StatementFile, parameters: StatementImportParameters) -> StatementChoice | None:
    """Choose the format that reads a file; None for a document that is no statement, such as a PDF.

    Raises
    ------
    AccountError
        When none reads it, or several do.
    """
    named = {name: form for name, form in parameters.formats.items() if form.reads(file.name)}
    if len(named) > 1:
        named = _fittest(file, named, parameters)
    if len(named) == 1:
        return StatementChoice(*next(iter(named.items())))
    if named:
        raise AccountError(
            f"{file.name}: {' and '.join(named)} read it. Rename it, or change `files` of one of these formats."
        )
    if is_other_document(file.name):
        return None
    like = _alike(file, parameters)
    problem = "no format reads it" + (f", but its content looks like {like}" if like else "")
    known = first_of((f"{name} reads {form.files}" for name, form in parameters.formats.items()), "; ")
    raise AccountError(f"{file.name}: {problem}. Rename it, or change statement_import.formats ({known}).")


def _fittest(
    file: StatementFile, named: dict[str, StatementFormat], parameters: StatementImportParameters
) -> dict[str, StatementFormat]:
    """Return the formats that know most of a file; the user's own come before shipped ones, of which the first wins."""
    known = {name: fitness(file, form) for name, form in named.items()}
    own = {name for name in named if known[name] and name not in parameters.shipped}
    considered = own or set(named)
    most = max(known[name] for name in considered)
    fittest = [name for name in named if name in considered and known[name] == most]
    if set(fittest) <= set(parameters.shipped):
        fittest = fittest[:1]
    return {name: named[name] for name in fittest}


def _alike(file: StatementFile, parameters: StatementImportParameters) -> str:
    """Return the name of the format whose columns a file has."""
    scores = {name: fitness(file, form) for name, form in parameters.formats.items()}
    best = max(scores, key=lambda name: scores[name], default="")
    return best if best and scores[best] > 2 else ""

"""Write ``docs/reference/modules.md``: every module of the package with the first line of its docstring."""

from __future__ import annotations

import ast
from itertools import groupby
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "src" / "quant_pipeline"
PAGE = PROJECT / "docs" / "reference" / "modules.md"
HEAD = """# Modules

Every module of `src/quant_pipeline/` in one line, the first of its docstring. Search this page for the noun of your
change; [the architecture](../architecture.md#where-to-change-what) answers the usual ones. `make reference` writes this
page from the code.
"""


def summary(module: Path) -> str:
    """Return the first line of a module's docstring as a cell of a table; empty when there is none."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    first = docstring.partition("\n")[0]
    return first.replace("``", "`").replace("|", "\\|")


def page() -> str:
    """Return the whole page: a table for each package, in the order of their paths."""
    modules = sorted(PACKAGE.rglob("*.py"), key=lambda module: (module.parent, module.name))
    parts = [HEAD]
    for folder, members in groupby(modules, key=lambda module: module.parent):
        title = "quant_pipeline" if folder == PACKAGE else folder.relative_to(PACKAGE).as_posix() + "/"
        lines = [f"| `{module.name}` | {summary(module)} |" for module in members if summary(module)]
        parts.append("\n".join([f"## {title}", "", "| module | what it is |", "|---|---|", *lines, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Tests share what is in `tests/helpers` and nothing else: a test that imports another one depends on its file."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def imported_by(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_tests_import_helpers_and_no_other_test():
    own = {file.stem for file in TESTS.rglob("*.py")} - {file.stem for file in (TESTS / "helpers").glob("*.py")}
    astray = {
        f"{file.relative_to(TESTS)}: {name}"
        for file in sorted(TESTS.rglob("*.py"))
        for name in imported_by(file)
        if name in own or (name.startswith((".", "tests.")) and not name.startswith("tests.helpers"))
    }
    assert astray == set()

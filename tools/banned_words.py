"""Report words that the glossary replaces, in sources, configuration and documentation; `make lint` runs this."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PLACES = ("src/**/*.py", "src/**/*.html", "conf/**/*.yml", "docs/**/*.md", "*.md")
HISTORY = ("CHANGELOG.md", "docs/decisions.md")
"""Pages whose old entries keep their words."""
BANNED = {
    r"deal|deals|dealt|dealing": "trade, fill, execute; `deal_price` is Qlib's key and stays",
    r"a person|somebody|someone|nobody|whoever": "the user, the operator, no process, every …",
    r"told": "reported, logged, returned",
    r"stands? at": "is",
    r"the dearest|dearest": "the most expensive",
    r"way out": "exit, remedy",
    r"anew": "again",
}
PATTERNS = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): instead for words, instead in BANNED.items()}


def findings(file: Path) -> Iterator[str]:
    """Return each banned word of a file with its line and what to write instead."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        for pattern, instead in PATTERNS.items():
            for match in pattern.finditer(line):
                yield f"{file.relative_to(PROJECT)}:{number}: '{match[0]}'; write: {instead}"


def main() -> int:
    """Print the findings; the exit status is 1 when there are any."""
    files = sorted({file for place in PLACES for file in PROJECT.glob(place)} - {PROJECT / page for page in HISTORY})
    found = [finding for file in files for finding in findings(file)]
    sys.stdout.writelines(f"{finding}\n" for finding in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

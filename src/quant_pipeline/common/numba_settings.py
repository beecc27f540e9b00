"""Settings of numba, read as numba reads them but without importing it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FILE = ".numba_config.yaml"


def numba_setting(name: str) -> str | None:
    """Return what the environment says of a setting; else what numba's file in the current folder says, if any.

    Parameters
    ----------
    name
        Its name in numba's documentation without ``NUMBA_``, as in ``CACHE_DIR``.
    """
    value = os.environ.get(f"NUMBA_{name}")
    return value if value is not None or not Path(FILE).is_file() else _settings_of_file().get(name)


def is_compilation_off() -> bool:
    """Whether numba would run every function as Python."""
    return numba_setting("DISABLE_JIT") not in (None, "", "0")


def folders_of_kept_code(beside: Path) -> Iterator[Path]:
    """Folders for machine code, the first that can be written is taken: as for numba's own cache.

    Parameters
    ----------
    beside
        Source of the kernels.
    """
    if chosen := numba_setting("CACHE_DIR"):
        yield Path(chosen)
        return
    yield beside.parent / "__pycache__"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not cache.startswith("~"):
        # Else the user has no home.
        yield Path(cache) / "quant_pipeline"


def _settings_of_file() -> dict[str, str]:
    import yaml  # Hardly anybody has such a file.

    found = yaml.safe_load(Path(FILE).read_text(encoding="utf-8")) or {}
    # To numba, which wants numbers, `true` is 1.
    texts = {name: str(int(value) if isinstance(value, bool) else value) for name, value in found.items()}
    return {name.upper(): text for name, text in texts.items() if found[name] is not None}

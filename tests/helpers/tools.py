"""Programs of `tools/`, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load_tool(project: Path, name: str) -> ModuleType:
    """Import a program of `tools/` by its name."""
    spec = importlib.util.spec_from_file_location(name, project / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""What results depend on besides their inputs: code, libraries, processor."""

from __future__ import annotations

import logging
import platform
import socket
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm

from quant_pipeline.common.code_version import version_of
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of

logger = logging.getLogger(__name__)

LIBRARIES = (
    "numpy", "pandas", "pyarrow", "scipy", "numba", "llvmlite", "scikit-learn", "lightgbm", "torch", "statsmodels",
    "xgboost-cpu", "catboost", "pyqlib",
)  # fmt: skip
"""Libraries that compute; another version may round otherwise."""


@dataclass(frozen=True)
class Installation:
    """What a process computes with.

    Attributes
    ----------
    host
        Name of its machine.
    versions
        Of Python, this package and `LIBRARIES`; "-" where one is not installed.
    processor
        Kind of the processor, for which kernels are compiled.
    """

    host: str
    versions: dict[str, str]
    processor: str

    def require_same(self, other: Installation) -> None:
        """Refuse another process whose results may differ.

        Raises
        ------
        ConfigurationError
            When it has another version of Python, of this package or of a library.
        """
        differing = [
            f"{name} {other.versions.get(name)} instead of {mine}"
            for name, mine in self.versions.items()
            if other.versions.get(name) != mine
        ]
        if differing:
            raise ConfigurationError(
                f"the worker on {other.host} has {first_of(differing)}; results could differ. Install the same there "
                "and start it again."
            )

    def compare_processor(self, other: Installation) -> None:
        """Warn once of every machine with another kind of processor, whose last bits may differ."""
        if other.processor != self.processor:
            _warn_of_processor(other.host, other.processor, self.processor)


@cache
def this_installation() -> Installation:
    """Describe this process."""
    versions = {"python": platform.python_version(), "quant_pipeline": version_of(Path(__file__).parents[1])}
    return Installation(
        socket.gethostname(),
        versions | {name: _version_or_none(name) for name in LIBRARIES},
        llvm.get_host_cpu_name(),
    )


@cache
def _warn_of_processor(host: str, processor: str, own: str) -> None:
    logger.warning(
        "%s has a processor of another kind (%s, here %s): the last bits of what it computes may differ",
        host, processor, own,
    )  # fmt: skip


def _version_or_none(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "-"

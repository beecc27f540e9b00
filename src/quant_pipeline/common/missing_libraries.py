"""A library that an execution host does without, or that knows a kind of bucket, as one line with the remedy.

Post-trade, orders from a file of scores, execution and the live process import none of them; research does. A host that
only executes is installed from ``requirements-execution.lock``, which leaves them out with everything they bring.
"""

from __future__ import annotations

from typing import Final

from quant_pipeline.common.exceptions import ConfigurationError, causes_of

LEFT_OUT: Final = {
    "arch": "arch",
    "ipykernel": "ipykernel",
    "kedro_viz": "kedro-viz",
    "lightgbm": "lightgbm",
    "notebook": "notebook",
    "optuna": "optuna",
    "qlib": "pyqlib",
    "statsmodels": "statsmodels",
    "torch": "torch",
}
"""Modules of the libraries that an execution host does without, and the packages that hold them."""
OF_BUCKETS: Final = {
    "adlfs": "abfs://… needs adlfs, which is not installed here. Run pip install adlfs",
    "gcsfs": "gs://… needs gcsfs, which is not installed here. Run pip install gcsfs",
    "s3fs": "s3://… needs s3fs, which is not installed here. Run pip install 'quant_pipeline[buckets]'",
}
"""Modules of the libraries that know a kind of bucket, to what to do."""


def explain_missing_library(error: BaseException) -> ConfigurationError | None:
    """Return one line about a library that this installation leaves out, or that knows a kind of bucket.

    Parameters
    ----------
    error
        What was raised, see `causes_of`.

    Returns
    -------
    ConfigurationError or None
        None when nothing of both is missing.
    """
    for cause in causes_of(error):
        missing = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        if client := OF_BUCKETS.get(missing):
            return ConfigurationError(f"{client}.")
        if package := LEFT_OUT.get(missing):
            return ConfigurationError(
                f"this needs {package}, which is not installed here: an execution host does without it. Run it where "
                "everything is installed (docs/guides/execution-host.md)."
            )
    return None

"""Which instruments of a provider are indices: they are benchmarks, and cannot be traded."""

from __future__ import annotations

import re
from typing import Final

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.market.qlib_provider import BENCHMARK
from quant_pipeline.market.sources.qlib.folder import QlibFolder

INDEX_OF: Final[dict[str, str]] = {
    "csi100": "SH000903", "csi300": "SH000300", "csi500": "SH000905", "csi800": "SH000906", "csi1000": "SH000852",
    "csiall": "SH000985", "sse50": "SH000016", "sp500": "^GSPC", "nasdaq100": "^NDX", "djia": "^DJI", "dow": "^DJI",
}  # fmt: skip
"""Universe to its index, as Qlib's collectors name both."""

_WIDE: Final = (BENCHMARK, "SH000300", "^GSPC")
_INDEX: Final = re.compile(r"SH000\d{3}|SZ399\d{3}|\^.+", re.IGNORECASE)


def is_index(instrument: str) -> bool:
    """Whether a name is that of an index in Shanghai, Shenzhen or at Yahoo, or our own benchmark."""
    return instrument == BENCHMARK or _INDEX.fullmatch(instrument) is not None


def choose_benchmark(folder: QlibFolder, universe: str, wanted: str | None) -> str | None:
    """Return the benchmark of a universe; None where the provider has no index of it.

    Raises
    ------
    MarketDataError
        When the one that is wanted has no bars.
    """
    if wanted is not None:
        if not folder.fields_of(wanted):
            known = sorted({name for name in (*INDEX_OF.values(), *_WIDE) if folder.fields_of(name)})
            hint = f"; it has {first_of(known)}" if known else ""
            raise MarketDataError(f"{folder.path} has no bars of the benchmark '{wanted}'{hint}; correct `benchmark`")
        return wanted
    own = INDEX_OF.get(universe.lower())
    candidates = (own, BENCHMARK) if own is not None else _WIDE
    return next((name for name in candidates if folder.fields_of(name)), None)

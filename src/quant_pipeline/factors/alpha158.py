"""Alpha158: Qlib's set of 158 price and volume factors, as expressions.

Names, order and formulas are those of ``Alpha158DL`` in Qlib 0.9.7 (``qlib/contrib/data/loader.py``); a test compares
them. Every factor is scale-free in the instrument's own prices, so the base of the adjustment does not matter.
"""

from __future__ import annotations

WINDOWS = (5, 10, 20, 30, 60)

_BAR = {
    "KMID": "($close-$open)/$open",
    "KLEN": "($high-$low)/$open",
    "KMID2": "($close-$open)/($high-$low+1e-12)",
    "KUP": "($high-Greater($open, $close))/$open",
    "KUP2": "($high-Greater($open, $close))/($high-$low+1e-12)",
    "KLOW": "(Less($open, $close)-$low)/$open",
    "KLOW2": "(Less($open, $close)-$low)/($high-$low+1e-12)",
    "KSFT": "(2*$close-$high-$low)/$open",
    "KSFT2": "(2*$close-$high-$low)/($high-$low+1e-12)",
    "OPEN0": "$open/$close",
    "HIGH0": "$high/$close",
    "LOW0": "$low/$close",
    "VWAP0": "$vwap/$close",
}

_CLOSE_CHANGE = "$close-Ref($close, 1)"
_CLOSE_FALL = "Ref($close, 1)-$close"
_VOLUME_CHANGE = "$volume-Ref($volume, 1)"
_VOLUME_FALL = "Ref($volume, 1)-$volume"
_VALUE_MOVED = "Abs($close/Ref($close, 1)-1)*$volume"


def _share(moves: str, total: str) -> str:
    """Part that some moves have in the sum of all absolute moves."""
    return f"{moves}/(Sum(Abs({total}), {{n}})+1e-12)"


def _gains(change: str) -> str:
    return f"Sum(Greater({change}, 0), {{n}})"


_ROLLING = {
    "ROC": "Ref($close, {n})/$close",
    "MA": "Mean($close, {n})/$close",
    "STD": "Std($close, {n})/$close",
    "BETA": "Slope($close, {n})/$close",
    "RSQR": "Rsquare($close, {n})",
    "RESI": "Resi($close, {n})/$close",
    "MAX": "Max($high, {n})/$close",
    "MIN": "Min($low, {n})/$close",
    "QTLU": "Quantile($close, {n}, 0.8)/$close",
    "QTLD": "Quantile($close, {n}, 0.2)/$close",
    "RANK": "Rank($close, {n})",
    "RSV": "($close-Min($low, {n}))/(Max($high, {n})-Min($low, {n})+1e-12)",
    "IMAX": "IdxMax($high, {n})/{n}",
    "IMIN": "IdxMin($low, {n})/{n}",
    "IMXD": "(IdxMax($high, {n})-IdxMin($low, {n}))/{n}",
    "CORR": "Corr($close, Log($volume+1), {n})",
    "CORD": "Corr($close/Ref($close,1), Log($volume/Ref($volume, 1)+1), {n})",
    "CNTP": "Mean($close>Ref($close, 1), {n})",
    "CNTN": "Mean($close<Ref($close, 1), {n})",
    "CNTD": "Mean($close>Ref($close, 1), {n})-Mean($close<Ref($close, 1), {n})",
    "SUMP": _share(_gains(_CLOSE_CHANGE), _CLOSE_CHANGE),
    "SUMN": _share(_gains(_CLOSE_FALL), _CLOSE_CHANGE),
    "SUMD": _share(f"({_gains(_CLOSE_CHANGE)}-{_gains(_CLOSE_FALL)})", _CLOSE_CHANGE),
    "VMA": "Mean($volume, {n})/($volume+1e-12)",
    "VSTD": "Std($volume, {n})/($volume+1e-12)",
    "WVMA": f"Std({_VALUE_MOVED}, {{n}})/(Mean({_VALUE_MOVED}, {{n}})+1e-12)",
    "VSUMP": _share(_gains(_VOLUME_CHANGE), _VOLUME_CHANGE),
    "VSUMN": _share(_gains(_VOLUME_FALL), _VOLUME_CHANGE),
    "VSUMD": _share(f"({_gains(_VOLUME_CHANGE)}-{_gains(_VOLUME_FALL)})", _VOLUME_CHANGE),
}

EXPRESSIONS: dict[str, str] = _BAR | {
    f"{name}{window}": template.format(n=window) for name, template in _ROLLING.items() for window in WINDOWS
}
"""Factor name to Qlib expression, in Qlib's order."""

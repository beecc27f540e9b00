"""Formulas in the notation of Kakushadze (arXiv:1601.00991) evaluated on wide pandas frames: the oracle of Alpha101.

Nothing here knows the engine or its grammar. Where the paper leaves something open, this follows
`docs/concepts/alpha101.md`.
"""

import re
from math import floor
from pathlib import Path

import numpy as np
import pandas as pd

FORMULAS = Path(__file__).with_name("alpha101_formulas.txt")
TOKEN = re.compile(r"\s*(\d+\.?\d*|\.\d+|[A-Za-z_][\w.]*|\|\||==|[-+*/^<>?:(),])")

VOLUME_AGAINST_ADV = (r"\bvolume(?=\)? / adv)", r"(?<=adv20 < )volume")
"""Where volume is divided by adv or compared with it, it is traded value."""


def read_formulas():
    """Return number to formula."""
    lines = FORMULAS.read_text().splitlines()[1:]
    return {int(number): formula.strip() for number, _, formula in (line.partition(":") for line in lines)}


def correlate(left, right, window):
    """Correlate as Qlib documents it: missing where either side hardly moves."""
    result = left.rolling(window, min_periods=1).corr(right)
    for side in (left, right):
        deviation = side.rolling(window, min_periods=1).std().reindex_like(result)
        result = result.mask(np.isclose(deviation, 0, atol=2e-05))
    return result


def weighted_mean(frame, window):
    def apply(values):
        # Normalised first, as in Qlib: sums that are equal on paper then differ, or not, by the same last bit.
        weights = np.arange(1, len(values) + 1)
        return len(values) * np.nanmean(values * (weights / weights.sum())) if np.isfinite(values).any() else np.nan

    return frame.astype(float).rolling(window, min_periods=1).apply(apply, raw=True)


class Paper:
    """Evaluates formulas on fields: wide frames, sessions × instruments."""

    def __init__(self, fields, sectors):
        self.fields = fields
        self.sectors = sectors

    def alpha(self, formula):
        for pattern in VOLUME_AGAINST_ADV:
            formula = re.sub(pattern, "traded", formula)
        self.tokens = TOKEN.findall(formula)
        self.place = 0
        result = self._choice()
        assert self.place == len(self.tokens), self.tokens[self.place :]
        return result

    def _peek(self):
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _take(self, *signs):
        if self._peek() in signs:
            self.place += 1
            return self.tokens[self.place - 1]
        return None

    def _choice(self):
        condition = self._either()
        if not self._take("?"):
            return condition
        yes = self._choice()
        assert self._take(":")
        no = self._choice()
        like = condition.astype(float)
        return pd.DataFrame(
            np.where(condition, *(side if np.isscalar(side) else side.reindex_like(like) for side in (yes, no))),
            index=like.index,
            columns=like.columns,
        )

    def _chain(self, operand, table):
        left = operand()
        while sign := self._take(*table):
            left = table[sign](left, operand())
        return left

    def _either(self):
        return self._chain(self._comparison, {"||": lambda a, b: a | b})

    def _comparison(self):
        return self._chain(self._sum, {"<": lambda a, b: a < b, ">": lambda a, b: a > b, "==": lambda a, b: a == b})

    def _sum(self):
        return self._chain(self._product, {"+": lambda a, b: a + b, "-": lambda a, b: a - b})

    def _product(self):
        return self._chain(self._power, {"*": lambda a, b: a * b, "/": lambda a, b: a / b})

    def _power(self):
        return self._chain(self._signed, {"^": lambda a, b: a**b})

    def _signed(self):
        return -self._signed() if self._take("-") else self._primary()

    def _primary(self):
        if self._take("("):
            value = self._choice()
            assert self._take(")")
            return value
        word = self.tokens[self.place]
        self.place += 1
        if word[0] in "0123456789.":
            return float(word)
        if not self._take("("):
            return self._field(word)
        arguments = [self._choice()]
        while self._take(","):
            arguments.append(self._choice())
        assert self._take(")")
        return getattr(self, "do_" + word.lower())(*arguments)

    def _field(self, word):
        if word.startswith("adv"):
            return self.fields["traded"].rolling(int(word[3:]), min_periods=1).mean()
        if word == "cap":
            return self.fields["traded"].rolling(250, min_periods=1).mean()
        if word.startswith("IndClass"):
            return None
        return self.fields[word]

    def do_rank(self, x):
        return x.astype(float).rank(axis=1, pct=True)

    def do_scale(self, x):
        return x.div(x.abs().sum(axis=1), axis=0)

    def do_indneutralize(self, x, _):
        return x - x.T.groupby(self.sectors).transform("mean").T

    def do_delta(self, x, d):
        return x - x.shift(floor(d))

    def do_delay(self, x, d):
        return x.shift(floor(d))

    def do_sum(self, x, d):
        return x.rolling(floor(d), min_periods=1).sum()

    def do_product(self, x, d):
        return x.rolling(floor(d), min_periods=1).apply(np.nanprod, raw=True)

    def do_stddev(self, x, d):
        return x.rolling(floor(d), min_periods=1).std()

    def do_ts_min(self, x, d):
        return x.rolling(floor(d), min_periods=1).min()

    def do_ts_max(self, x, d):
        return x.rolling(floor(d), min_periods=1).max()

    def do_ts_rank(self, x, d):
        return x.rolling(floor(d), min_periods=1).rank(pct=True)

    def do_ts_argmax(self, x, d):
        return x.rolling(floor(d), min_periods=1).apply(lambda v: np.argmax(v) + 1.0, raw=True)

    def do_ts_argmin(self, x, d):
        return x.rolling(floor(d), min_periods=1).apply(lambda v: np.argmin(v) + 1.0, raw=True)

    def do_correlation(self, x, y, d):
        return correlate(x, y, floor(d))

    def do_covariance(self, x, y, d):
        return x.rolling(floor(d), min_periods=1).cov(y)

    def do_decay_linear(self, x, d):
        return weighted_mean(x, floor(d))

    def do_abs(self, x):
        return x.abs()

    def do_sign(self, x):
        return np.sign(x)

    def do_log(self, x):
        return np.log(x)

    def do_signedpower(self, x, a):
        return np.sign(x) * x.abs() ** a

    def do_min(self, x, y):
        return self.do_ts_min(x, y) if np.isscalar(y) else np.minimum(x, y)

    def do_max(self, x, y):
        return self.do_ts_max(x, y) if np.isscalar(y) else np.maximum(x, y)

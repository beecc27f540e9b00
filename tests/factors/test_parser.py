"""The language of factors, read as Qlib reads it."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.alpha158 import EXPRESSIONS as ALPHA158
from quant_pipeline.factors.alpha360 import EXPRESSIONS as ALPHA360
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.expression.graph import build_graph
from quant_pipeline.factors.expression.operators import OPERATORS
from quant_pipeline.factors.expression.parser import Constant, Field, parse

FIELDS = ["open", "high", "low", "close", "vwap", "volume"]


def written(tree):
    """Write a tree the way Qlib prints its expressions."""
    if isinstance(tree, Field):
        return f"${tree.name}"
    if isinstance(tree, Constant):
        return str(tree.value)
    if tree.operator == "Mul" and isinstance(tree.arguments[0], Constant):
        return f"Mul({written(tree.arguments[1])},{written(tree.arguments[0])})"
    return f"{tree.operator}({','.join(written(argument) for argument in tree.arguments)})"


def printed_by_qlib(expression):
    from qlib.config import C
    from qlib.data.data import ExpressionProvider
    from qlib.data.ops import Operators, register_all_ops

    if not Operators._ops:
        register_all_ops(C)

    class Reader(ExpressionProvider):
        def expression(self, *arguments):
            raise NotImplementedError

    return str(Reader().get_expression_instance(expression))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$close", "$close"),
        ("$close+$open*2", "Add($close,Mul($open,2))"),
        ("($close+$open)*2", "Mul(Add($close,$open),2)"),
        ("$close-$open-1", "Sub(Sub($close,$open),1)"),
        ("2*$close-$high-$low", "Sub(Sub(Mul($close,2),$high),$low)"),
        ("1/$close", "Div(1,$close)"),
        ("$close**2", "Power($close,2)"),
        ("$close**-0.5", "Power($close,-0.5)"),
        ("2**$close**2", "Power(2,Power($close,2))"),
        ("-1*$close", "Mul($close,-1)"),
        ("$close > $open", "Gt($close,$open)"),
        ("$close >= $open+1", "Ge($close,Add($open,1))"),
        ("($close > $open) & ($close != $low)", "And(Gt($close,$open),Ne($close,$low))"),
        ("($close < 1) | ($close <= 2)", "Or(Lt($close,1),Le($close,2))"),
        ("Ref($close, -2)/Ref($close, -1) - 1", "Sub(Div(Ref($close,-2),Ref($close,-1)),1)"),
        ("Corr($close/Ref($close,1), Log($volume+1), 20)", "Corr(Div($close,Ref($close,1)),Log(Add($volume,1)),20)"),
        ("Mean($close, 2*5)", "Mean($close,10)"),
        ("If($close>1e2, .5, $open)", "If(Gt($close,100.0),0.5,$open)"),
        ("Sum(\n  $close ,\n  1_0 )", "Sum($close,10)"),
        ("Std($close, 5,)", "Std($close,5)"),
    ],
)
def test_an_expression_means_what_qlib_reads_in_it(expression, expected):
    assert written(parse(expression)) == expected
    assert printed_by_qlib(expression) == expected


def test_every_formula_of_the_shipped_sets_is_read_as_qlib_reads_it():
    formulas = [*ALPHA158.values(), *ALPHA360.values()]
    assert [written(parse(text)) for text in formulas] == [printed_by_qlib(text) for text in formulas]


def test_arguments_may_be_given_by_their_names():
    named = build_graph({"f": "Quantile(qscore=0.8, feature=$close, N=20)"})
    assert named.nodes == build_graph({"f": "Quantile($close, 20, 0.8)"}).nodes


def test_every_operator_of_qlib_is_known_or_refused_by_name():
    from qlib.data import ops

    names = {operator.__name__ for operator in ops.OpsList} - {"Feature", "PFeature"}
    assert names - set(OPERATORS) == {"Rolling"}
    for name in ("P", "PRef", "Rolling"):
        with pytest.raises(FactorError, match=rf"operator {name} .*this engine refuses it, at position 1 of"):
            compile_factors({"f": f"{name}($close, 1)"})


REFUSED = {
    "Meen($close, 5)": "no operator Meen; did you mean Mean\\?, at position 1 of",
    "$open+rsquare($close, 5)": "no operator rsquare; did you mean Rsquare\\?, at position 7 of",
    "Mean($clsoe, 5)": r"no field \$clsoe; did you mean close\?.*, at position 6 of",
    "P($$roewa_q)": r"\$\$roewa_q is a point-in-time field of Qlib's period database",
    "Mean($close 5)": "expected ',' but found '5', at position 13 of",
    "Mean($close, 5": "expected ',' but found the end, at position 15 of",
    "Mean($close)": r"argument 'N' is missing: Mean\(feature, N\), at position 1 of",
    "Mean($close, 5, 6)": r"3 arguments given, but it is Mean\(feature, N\), at position 1 of",
    "Mean($close, M=5)": "argument 'M' given",
    "Mean(N=5, $close)": "an argument by position cannot follow one by name, at position 11 of",
    "Mean($close, $open)": "Mean needs a number here, not an expression, at position 14 of",
    "Mean($close, 2.5)": "Mean cannot have the window 2.5, at position 1 of",
    "Mean($close, -5)": "Mean cannot have the window -5",
    "Skew($close, 2)": "Skew cannot have the window 2",
    "Mean($close, 10**12)": "the window 1000000000000 of Mean is beyond reason: the longest is 100000 bars",
    "Ref($close, 2**40)": "the window 1099511627776 of Ref is beyond reason: the longest is 100000 bars",
    "Ref($close, -(2**40))": "the window -1099511627776 of Ref is beyond reason",
    "EMA($close, 1e15)": "the window 1000000000000000.0 of EMA is beyond reason",
    "Quantile($close, 10000000000, 0.3)": "the window 10000000000 of Quantile is beyond reason",
    "Corr($close, $open, 99999999999)": "the window 99999999999 of Corr is beyond reason",
    "Ref($close, 'a')": "the window of Ref is a number, not 'a'",
    "Quantile($close, 5, 1.5)": "a quantile lies between 0 and 1, not at 1.5",
    "Mean(5, 5)": "Mean needs an expression as 'feature', not 5, at position 6 of",
    "$close+'a'": "text 'a' where a series belongs, at position 8 of",
    "Add(1, 2)": "Add needs at least one expression",
    "1+1": "'2' is a constant; an expression reads at least one field, at position 1 of",
    "1/0+$close": "cannot calculate 1 / 0, at position 2 of",
    "10**400+$close": r"cannot calculate 10 \*\* 400, at position 3 of",
    "'a'+'b'+$close": r"cannot calculate a \+ b, at position 4 of",
    "-$close": r"Qlib has no sign before an expression; write -1\*…, at position 1 of",
    "$close < $open < $high": "comparisons cannot be chained.*, at position 16 of",
    "$close & $open": r"And joins conditions such as \$close>\$open, at position 8 of",
    "($close>1)-($open>1)": "Sub of two conditions is not defined",
    "close": r"'close' is neither a field \(\$close\) nor a call \(close\(…\)\), at position 1 of",
    "$close $open": r"unexpected '\$open', at position 8 of",
    "$close @ $open": "unexpected character '@', at position 8 of",
    "": "the expression ends too early, at position 1 of",
    "Abs(" * 1000 + "$close" + ")" * 1000: "nested beyond reason",
    "+".join(["$close"] * 2000): "a sum of too many terms: .*Split it into several factors",
    "__import__('os').system('true')": "unexpected character '.', at position 17 of",
}


@pytest.mark.parametrize("expression", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place_and_the_nearest_name(expression):
    with pytest.raises(FactorError, match=REFUSED[expression]) as caught:
        compile_factors({"odd": expression}, fields=FIELDS)
    assert "factor 'odd' cannot be read" in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    ["Ref($close, -1)", "Delta($close, -3)", "$open/Ref(Mean($close, 5), -2)", "Corr(Ref($close, -1), $open, 5)"],
)
def test_a_label_is_no_feature(expression):
    with pytest.raises(FactorError, match="feature 'cheat' looks ahead"):
        compile_factors({"cheat": expression})
    assert compile_factors({"label": expression}, allow_future=True).program.ahead > 0


def test_equal_parts_are_computed_once_for_a_whole_set():
    one = build_graph({"a": "Std($close/Ref($close, 1), 20)"})
    many = build_graph({"a": "Std($close/Ref($close,1),20)", "b": "Std( $close/Ref($close, 1), 20)*1.0"})
    assert len(many.nodes) == len(one.nodes) + 2
    alpha158 = build_graph(ALPHA158)
    assert len(alpha158.nodes) < sum(len(build_graph({"f": text}).nodes) for text in ALPHA158.values()) / 3


def bars_of(**columns):
    """Bars of one or more instruments, session by session."""
    days = pd.bdate_range("2024-01-29", periods=len(next(iter(columns.values()))))
    parts = [pd.DataFrame({"date": days, "instrument": name, "close": close}) for name, close in columns.items()]
    return pd.concat(parts, ignore_index=True).dropna(ignore_index=True), days


RESAMPLED = {
    "sum": [1, 3, 6, 4, 9, np.nan, 7, 15],
    "mean": [1, 1.5, 2, 4, 4.5, np.nan, 7, 7.5],
    "max": [1, 2, 3, 4, 5, np.nan, 7, 8],
    "first": [1, 1, 1, 4, 4, np.nan, 7, 7],
    "last": [1, 2, 3, 4, 5, np.nan, 7, 8],
}


@pytest.mark.parametrize("function", RESAMPLED)
def test_a_resampled_value_is_that_of_its_period_so_far(function):
    # Three sessions of January, two of February, and then a week each; a period knows no bar after the session.
    bars, days = bars_of(A=[1.0, 2, 3, 4, 5, np.nan, 7, 8])
    ours = compute_factors(bars, {"f": f"TResample($close, 'W-WED', '{function}')"}, days)["f"]
    expected = RESAMPLED[function].copy()
    # The periods end on Wednesdays, 31 January and 7 February: the sixth session, a halt, carries the fifth.
    expected[5] = expected[4]
    expected[6:] = continue_period(function, [4, 5, 7, 8])
    np.testing.assert_array_equal(ours.to_numpy(), np.array(expected, "float32"))


def continue_period(function, values):
    """Values of a period after its third and its fourth bar."""
    series = pd.Series(values, dtype="float64")
    if function in ("first", "last"):
        return [series.iloc[0]] * 2 if function == "first" else series.iloc[2:].tolist()
    return [getattr(series.iloc[:count], function)() for count in (3, 4)]


def test_a_mask_reads_another_instrument_on_the_same_session():
    bars, days = bars_of(A=[1.0, 2, 3, 4], B=[10.0, np.nan, 30, 40])
    factors = {"m": "Mask($close, 'B')", "c": "ChangeInstrument('A', Ref($close, 1))", "s": "$close-Mask($close,'A')"}
    ours = compute_factors(bars, factors, days)
    np.testing.assert_array_equal(ours.xs("A", level=1)["m"], [10, np.nan, 30, 40])
    np.testing.assert_array_equal(ours.xs("B", level=1)["c"], [np.nan, 1, 2, 3])
    np.testing.assert_array_equal(ours.xs("B", level=1)["s"], [9, np.nan, 27, 36])


def test_operators_across_instruments_see_the_instruments_of_the_session():
    bars, days = bars_of(A=[1.0, 5], B=[2.0, np.nan], C=[2.0, 4])
    ours = compute_factors(bars, {"r": "CSRank($close)", "s": "CSScale($close)"}, days)
    np.testing.assert_allclose(ours.loc[days[0], "r"], [1 / 3, 2.5 / 3, 2.5 / 3], rtol=1e-6)
    np.testing.assert_allclose(ours.loc[days[0], "s"], [0.2, 0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(ours.loc[days[1], "r"].dropna(), [1, 0.5])

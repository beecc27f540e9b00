"""Every combination's net asset value stands beside that of the default one."""

import pandas as pd
import pytest


def test_the_default_combination_has_the_value_of_the_backtest_and_the_others_their_own(clean_run):
    values = clean_run("combination_nav").pivot(index="date", columns="combination", values="nav")
    backtest = clean_run("backtest_nav").set_index("date")["nav"]
    pd.testing.assert_series_equal(values["all_icir"], backtest, check_names=False, check_exact=True)
    assert values["all_equal"].iloc[-1] != values["all_icir"].iloc[-1]
    years = 252 / len(backtest.pct_change().dropna())
    compared = clean_run("combination_comparison").set_index("combination")["annualised_return"]
    for name, nav in values.items():
        assert compared[name] == pytest.approx((nav.iloc[-1] / nav.iloc[0]) ** years - 1)

"""Position sizing against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.trading.orders.position_sizing import PositionSizing, choose_exposure

# Mean 0.1 %, standard deviation of the sample exactly 1 %.
SWING = 0.01 * np.sqrt(59 / 60)
RETURNS = pd.Series(0.001 + np.tile([SWING, -SWING], 30))
NONE = pd.Series(dtype="float64")


def amounts(returns, exposure=1.0):
    """Return the rows of an account that has held `exposure` since the session before the first of `returns`."""
    table = pd.DataFrame({"return": pd.Series([0.0, *returns], dtype="float64"), "nav": 1_000.0})
    share = pd.Series(exposure, index=table.index) if np.isscalar(exposure) else pd.Series([exposure[0], *exposure])
    opening = pd.DataFrame({"return": [np.nan], "nav": [1_000.0], "market_value": [1_000.0 * share[0]]})
    table["market_value"] = 1_000.0 * share
    return pd.concat([opening, table.iloc[1:]], ignore_index=True).assign(flow=0.0, interest=0.0)


@pytest.mark.parametrize(
    ("sizing", "basket", "account", "degree", "reason"),
    [
        ({"method": "fixed"}, RETURNS, RETURNS, 0.95, "fixed"),
        # 1 % a day is 15.87 % a year; 8 % of it is wanted.
        ({"method": "volatility_target", "annual_volatility": 0.08}, RETURNS, NONE, 0.5039, "target 8.0% over volat"),
        ({"method": "volatility_target", "annual_volatility": 0.30}, RETURNS, NONE, 0.95, "target 30.0%"),
        # Kelly's bet is 0.001 / 0.0001 = 10.
        ({"method": "fractional_kelly", "kelly_fraction": 0.05}, NONE, RETURNS, 0.5, "0.05 of Kelly's bet 10.00"),
        ({"method": "fractional_kelly", "kelly_fraction": 0.5}, NONE, RETURNS, 0.95, "0.5 of Kelly's bet 10.00"),
        ({"method": "fractional_kelly"}, NONE, RETURNS - 0.002, 0.0001, "0.25 of Kelly's bet -10.00"),
        ({"method": "fractional_kelly"}, NONE, RETURNS[:59], 0.95, "fixed: 59 of 60 returns with something held"),
        ({"method": "volatility_target"}, RETURNS[:59], NONE, 0.95, "fixed: 59 of 60 returns are known"),
        ({"method": "volatility_target"}, RETURNS * 0, NONE, 0.95, "do not fluctuate"),
    ],
)
def test_the_invested_part_is_that_of_the_formula(sizing, basket, account, degree, reason):
    chosen = choose_exposure(PositionSizing(**sizing), 0.95, basket, amounts(account), "open")
    assert chosen.degree == pytest.approx(degree, abs=1e-12)
    assert reason in chosen.reason


def test_only_the_last_returns_count():
    wild = pd.concat([RETURNS * 9, RETURNS], ignore_index=True)
    sizing = PositionSizing(method="volatility_target", annual_volatility=0.08)
    nothing = amounts(NONE)
    chosen = [choose_exposure(sizing, 0.95, returns, nothing, "open") for returns in (wild, RETURNS)]
    assert chosen[0] == chosen[1]
    kelly = PositionSizing(method="fractional_kelly", kelly_fraction=0.05)
    assert choose_exposure(kelly, 0.95, NONE, amounts(wild), "open").degree == 0.5


# Mean 0.02 %, standard deviation 1.1 %: Kelly's bet is 1.6529, a quarter of it 0.4132.
MARKET = pd.Series(0.0002 + 0.011 * np.sqrt(59 / 60) * np.tile([1.0, -1.0], 30))


@pytest.mark.parametrize("deal_price", ["open", "close", "vwap"])
@pytest.mark.parametrize("exposure", [0.95, 0.5, 0.25, 0.01])
def test_kelly_asks_for_the_same_part_of_a_market_however_much_was_invested(exposure, deal_price):
    sizing = PositionSizing(method="fractional_kelly")
    chosen = choose_exposure(sizing, 0.95, NONE, amounts(exposure * MARKET, exposure), deal_price)
    assert chosen.degree == 0.4132
    assert "Kelly's bet 1.65 on what was held" in chosen.reason


def test_kelly_of_a_changing_exposure_by_hand():
    exposure = [0.5] * 10 + [1.0] * 10
    table = amounts([0.01, -0.005] * 10, exposure)
    # The eleventh session goes from 0.5 to 1: Σd = 5 + 0.75 + 9 = 14.75, Σr = 0.05, Σd² = 12.0625; m = 0.05 / 14.75.
    # Σ(r - dm)² = Σr² - 2m Σdr + m² Σd² = 0.00125 - 2m 0.035 + m² 12.0625 with
    # Σdr = 0.5 × 0.025 + 0.75 × 0.01 + 1 × 0.015 = 0.035. Its s is (0.25 + 1) / 2 = 0.625, so Σs = 12.125.
    mean = 0.05 / 14.75
    variance = (0.00125 - 2 * mean * 0.035 + mean**2 * 12.0625) / 19 / (12.125 / 20)
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.01, window=20)
    chosen = choose_exposure(sizing, 0.95, NONE, table, "open")
    assert chosen.degree == np.floor(100 * mean / variance) / 10_000
    assert chosen.degree == 0.3391


def test_kelly_of_a_changing_exposure_by_hand_where_orders_execute_at_the_close():
    table = amounts([0.01, -0.005] * 10, [0.5] * 10 + [1.0] * 10)
    # The eleventh session is still one of 0.5, with a gain of 0.01: Σd = 5.5 + 9 = 14.5, Σd² = 2.75 + 9 = 11.75,
    # Σdr = 0.5 × 0.035 + 1 × 0.015 = 0.0325.
    mean = 0.05 / 14.5
    variance = (0.00125 - 2 * mean * 0.0325 + mean**2 * 11.75) / 19 / (11.75 / 20)
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.01, window=20)
    chosen = choose_exposure(sizing, 0.95, NONE, table, "close")
    assert chosen.degree == np.floor(100 * mean / variance) / 10_000


HELD = 168
"""Sessions with something held: whole rounds of every way in and out below, and of all pairs of signs."""


def round_trips(sessions, deal_price):
    """Return the amounts of an account that holds 80 % for some sessions, nothing for as many, and so on.

    What it holds gains 0.05 % ± s overnight and as much from open to close, with s² = 0.00005 × 167 / 168 and signs
    that are balanced: 0.1 % a session with a sample variance of exactly 0.0001, for which Kelly's bet is 10.
    """
    swing = np.sqrt(0.00005 * (HELD - 1) / HELD)
    rows, before = [{"return": np.nan, "market_value": 0.0, "nav": 1_000.0}], 0.0
    in_session, count = 0, 0
    while count < HELD or before > 0:
        after = 0.8 if sessions is None or in_session // sessions % 2 == 0 else 0.0
        # One pair of signs for each round trip; for each session held where a round trip is not many.
        turn = count if sessions is None or deal_price == "close" else in_session // (2 * sessions)
        night, day = ((1, 1), (1, -1), (-1, 1), (-1, -1))[turn % 4]
        night, day = (0.0005 + swing * sign for sign in (night, day))
        if deal_price == "close":
            earned, held = before * (night + day), before > 0
        else:
            earned, held = before * night + after * day, before + after > 0
        rows.append({"return": earned, "market_value": 1_000.0 * after, "nav": 1_000.0})
        before, in_session, count = after, in_session + 1, count + held
        if sessions is None and count > HELD:
            break
    return pd.DataFrame(rows).assign(flow=0.0, interest=0.0)


@pytest.mark.parametrize("deal_price", ["open", "close"])
@pytest.mark.parametrize("sessions", [None, 20, 2, 1])
def test_kelly_asks_for_the_same_part_however_often_the_account_goes_in_and_out(sessions, deal_price):
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.05, window=HELD)
    chosen = choose_exposure(sizing, 0.95, NONE, round_trips(sessions, deal_price), deal_price)
    assert chosen.reason == "0.05 of Kelly's bet 10.00 on what was held"


@pytest.mark.parametrize("sessions_in_cash", [0, 1, 60, 200])
@pytest.mark.parametrize(("drift", "degree"), [(-0.002, 0.0001), (0.0, 0.4203)])
def test_sessions_in_cash_change_nothing(sessions_in_cash, drift, degree):
    table = amounts(RETURNS + drift)
    rest = {"flow": 0.0, "interest": 0.0}
    cash = pd.DataFrame({"return": 0.0, "nav": 1_000.0, "market_value": 0.0} | rest, index=range(sessions_in_cash))
    # The session of the sale is held by half and earns half of the mean; it takes the place of the oldest one, which
    # gained 1.09 %: (59 × 0.001 - 0.00992 + 0.0005) / 59.5 over a variance of 9.91e-5, times 0.05.
    sale = pd.DataFrame({"return": [0.0005 + drift / 2], "nav": [1_000.0], "market_value": [0.0]} | rest)
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.05)
    with_cash = choose_exposure(sizing, 0.95, NONE, pd.concat([table, sale, cash], ignore_index=True), "open")
    just_sold = choose_exposure(sizing, 0.95, NONE, pd.concat([table, sale], ignore_index=True), "open")
    assert with_cash == just_sold
    assert with_cash.degree == degree


def test_kelly_after_a_drawdown_buys_nothing_however_deep():
    falling = pd.Series([-0.03, -0.02] * 30)
    sizing = PositionSizing(method="fractional_kelly")
    assert choose_exposure(sizing, 0.95, NONE, amounts(0.5 * falling, 0.5), "open").degree == 0.0001


@pytest.mark.parametrize(("value", "degree"), [(0.001, 0.95), (0.0, 0.0001), (-0.001, 0.0001)])
def test_kelly_of_holdings_that_do_not_fluctuate_follows_the_sign_of_their_mean(value, degree):
    table = amounts(np.full(60, value))
    assert choose_exposure(PositionSizing(method="fractional_kelly"), 0.95, NONE, table, "open").degree == degree


def ledger_of(market, exposure, deposit=0.0, daily_interest=0.0):
    """Walk an account through a market: after a deposit, part of the value before, `exposure` of which is held."""
    nav, invested, interest, rows = 1_000.0, 1_000.0 * exposure, 0.0, []
    for earned in market:
        flow = deposit * nav
        cash = nav - invested + flow
        paid, gain = cash * daily_interest, invested * earned
        value, interest = nav + flow + paid + gain, interest + paid
        rows.append(
            {"nav": value, "market_value": exposure * value, "flow": flow, "interest": interest}
            | {"return": (paid + gain) / (nav + flow)}
        )
        nav, invested = value, exposure * value
    opening = {"nav": 1_000.0, "market_value": 1_000.0 * exposure, "flow": 1_000.0, "interest": 0.0, "return": np.nan}
    return pd.DataFrame([opening, *rows])


@pytest.mark.parametrize("exposure", [0.9, 0.5, 0.1])
def test_kelly_bets_on_what_was_held_above_the_interest_of_the_cash(exposure):
    """Holdings earn 0.1 % with a variance of 0.0001, cash 0.02 %: (0.001 - 0.0002) / 0.0001 = 8."""
    table = ledger_of(RETURNS, exposure, daily_interest=0.0002)
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.05)
    chosen = choose_exposure(sizing, 0.95, NONE, table, "close")
    assert chosen.reason == "0.05 of Kelly's bet 8.00 on what was held"
    assert (
        choose_exposure(sizing, 0.95, NONE, ledger_of(RETURNS - 0.0009, exposure, 0.0, 0.0002), "close").degree
        == 0.0001
    )


def test_a_deposit_is_no_loss_of_what_was_held():
    """Every session doubles the account with cash: of 80 % of the day before, 40 % is left to earn its return."""
    table = ledger_of(RETURNS, 0.8, deposit=1.0)
    assert table["return"].iloc[1] == pytest.approx(0.4 * RETURNS[0], rel=1e-12)
    sizing = PositionSizing(method="fractional_kelly", kelly_fraction=0.05)
    assert choose_exposure(sizing, 0.95, NONE, table, "close").reason == "0.05 of Kelly's bet 10.00 on what was held"


@given(
    st.sampled_from(["fixed", "volatility_target", "fractional_kelly"]),
    st.sampled_from(["open", "close", "vwap"]),
    st.lists(st.floats(-0.5, 0.5), min_size=0, max_size=80),
    st.integers(1, 10_000),
)
def test_never_more_than_the_fixed_part_and_always_whole_basis_points(method, deal_price, returns, most):
    series = pd.Series(returns, dtype="float64")
    sizing = PositionSizing(method=method, window=20)
    chosen = choose_exposure(sizing, most / 10_000, series, amounts(series), deal_price)
    assert 0 < chosen.degree <= most / 10_000
    assert chosen.degree * 10_000 == pytest.approx(round(chosen.degree * 10_000), abs=1e-6)

"""Every denial by its code and numbers; nothing above a limit passes."""

from dataclasses import replace
from decimal import Decimal
from math import inf

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.risk import check_orders, check_price, state_after_losses
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import DenialCode, InstrumentView, RiskView, TradingState
from tests.helpers.properties import examples

SESSION = pd.Timestamp("2025-01-03")
LIMITS = RiskLimits(max_sector_weight=0.3)


def facts(price="50", **changes):
    known = InstrumentView(Decimal(price), 0, Decimal(1_000_000), "Energy", True, True)
    return known._replace(**changes)


def view(**changes):
    plain = RiskView(
        session=SESSION,
        state=TradingState.ACTIVE,
        armed=True,
        clock_skew_seconds=0.5,
        signal_age=0,
        equity=Decimal(100_000),
        previous_equity=Decimal(100_000),
        highest_equity=Decimal(100_000),
        cash=Decimal(60_000),
        positions={"HELD": Decimal(800)},
        instruments={"AAA": facts(), "BBB": facts("20", sector="Tech"), "HELD": facts(sector="Health")},
    )
    return replace(plain, **changes)


def with_facts(name="AAA", **changes):
    plain = view()
    return replace(plain, instruments={**plain.instruments, name: plain.instruments[name]._replace(**changes)})


def order(instrument="AAA", side="buy", quantity=100, price="50.0000"):
    return Order(f"acc-20250103-{instrument}-{side}-0", instrument, side, quantity, price, "test")


SELL = order("HELD", "sell", 300)

DENIALS = [
    ("a halted account sends nothing", SELL, view(state=TradingState.HALTED), {}, "TRADING_HALTED", ""),
    ("a reducing account buys nothing", order(), view(state=TradingState.REDUCING), {}, "REDUCE_ONLY", ""),
    ("soft loss", order(), view(equity=Decimal(97_000)), {}, "DAILY_LOSS", "0.03"),
    ("hard loss stops exits too", SELL, view(equity=Decimal(94_000)), {}, "DAILY_LOSS", "0.05"),
    ("drawdown", SELL, view(highest_equity=Decimal(125_000)), {}, "DRAWDOWN", "0.2"),
    ("not armed", SELL, view(armed=False), {}, "NOT_ARMED", ""),
    ("clock", SELL, view(clock_skew_seconds=5.5), {}, "CLOCK_SKEW", "5.0 s"),
    ("old scores", order(), view(signal_age=1), {}, "STALE_SIGNAL", "0 sessions"),
    ("scores of the future", order(), view(signal_age=-1), {}, "STALE_SIGNAL", "0 sessions"),
    ("old price", order(), with_facts(price_age=1), {}, "STALE_DATA", "0 sessions"),
    ("price of the future", order(), with_facts(price_age=-1), {}, "STALE_DATA", "0 sessions"),
    ("dearer now", order(quantity=200), with_facts(price=Decimal("50.01")), {}, "ORDER_VALUE", "10% (10000.00)"),
    ("held short", order(), view(foreign=frozenset({"AAA"})), {}, "FOREIGN_POSITION", ""),
    ("half a split", SELL, view(converting=frozenset({"HELD"})), {}, "CORPORATE_ACTION", ""),
    ("money of a day", order(), view(value_sent=Decimal(1_000)), {"max_daily_value": 5_999}, "DAILY_VALUE", "5999.00"),
    (
        "day trades",
        order("HELD", "sell", 100),
        view(bought_today=frozenset({"HELD"}), day_trades=3),
        {},
        "DAY_TRADES",
        "3",
    ),
    (
        "a holding that has no price anywhere",
        order(),
        view(positions={"DARK": Decimal(1)}),
        {},
        "GROSS_EXPOSURE",
        "100% (100000.00)",
    ),
    (
        "a holding that only the broker values",
        order(),
        view(positions={"DARK": Decimal(1)}, market_values={"DARK": Decimal(-95_001)}),
        {},
        "GROSS_EXPOSURE",
        "100% (100000.00)",
    ),
    ("restricted", order(), view(), {"restricted": ["AAA"]}, "RESTRICTED", ""),
    ("restricted in small letters", order(), view(), {"restricted": ["zzz", "aaa"]}, "RESTRICTED", ""),
    ("not tradable", order(), with_facts(tradable=False), {}, "NOT_TRADABLE", ""),
    ("never heard of", order("ZZZ"), view(), {}, "NOT_TRADABLE", ""),
    ("outside the universe", order(), with_facts(member=False), {}, "NOT_IN_UNIVERSE", ""),
    ("no price", order(price="NaN"), view(), {}, "INVALID_PRICE", "two positive prices"),
    ("infinite price", order(price="Infinity"), view(), {}, "INVALID_PRICE", "two positive prices"),
    ("negative price", order(price="-50"), view(), {}, "INVALID_PRICE", "two positive prices"),
    ("above the collar", order(price="55.01"), view(), {}, "PRICE_COLLAR", "0.1"),
    ("below the collar", order(price="44.99"), view(), {}, "PRICE_COLLAR", "0.1"),
    ("penny share", order(price="0.99"), with_facts(price=Decimal("0.99")), {}, "MINIMUM_PRICE", "1.0"),
    ("nothing to execute", order(quantity=0), view(), {}, "INVALID_QUANTITY", "buy or sell of at least one share"),
    ("unknown side", order(side="short"), view(), {}, "INVALID_QUANTITY", "buy or sell of at least one share"),
    ("short", order("HELD", "sell", 801), view(), {"max_exit_weight": 1}, "SHORT_SALE", "800 shares held"),
    ("fat finger", order(quantity=201), view(), {}, "ORDER_VALUE", "10% (10000.00)"),
    ("absolute bound", order(quantity=100), view(), {"max_order_value": 4_999.99}, "ORDER_VALUE", "4999.99"),
    ("exit too large", order("HELD", "sell", 501), view(), {}, "ORDER_VALUE", "25% (25000.00)"),
    ("part of the volume", order(), with_facts(average_volume=Decimal(1_999)), {}, "PARTICIPATION", "100 shares"),
    ("unknown volume", order(), with_facts(average_volume=Decimal("NaN")), {}, "PARTICIPATION", "unknown volume"),
    ("illiquid", order(), with_facts(average_volume=Decimal(19_999)), {}, "ILLIQUID", "1000000.00"),
    ("position", order("HELD", quantity=1), view(), {}, "POSITION_WEIGHT", "10% (10000.00)"),
    ("cash", order(), view(cash=Decimal(4_999)), {}, "INSUFFICIENT_CASH", "4999.00"),
    ("cash reserve", order(), view(), {"min_cash": 0.56}, "INSUFFICIENT_CASH", "4000.00"),
    ("turnover", order(), view(value_sent=Decimal(95_001)), {}, "TURNOVER", "100% (100000.00)"),
    ("count", SELL, view(orders_sent=1000), {}, "ORDER_COUNT", "1000"),
    ("gross", order(), view(), {"max_gross_exposure": 0.44}, "GROSS_EXPOSURE", "44% (44000.00)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "seen", "limits", "code", "limit"), [c[1:] for c in DENIALS], ids=[c[0] for c in DENIALS]
)
def test_a_denial_names_its_code_and_limit(asked, seen, limits, code, limit):
    (verdict,) = check_orders([asked], seen, LIMITS.model_copy(update=limits))
    assert (verdict.code, verdict.limit) == (code, limit)
    assert verdict.message.startswith(f"{code}: ")
    assert not verdict.approved


def test_what_fits_exactly_under_every_limit_passes():
    wide = with_facts(average_volume=Decimal(20_000))
    (verdict,) = check_orders([order(quantity=200)], replace(wide, cash=Decimal(10_000)), LIMITS)
    assert verdict.approved
    assert verdict.message == "approved"


def test_a_sector_fills_up_along_the_plan():
    names = ["A1", "A2", "A3", "A4"]
    crowded = view(positions={}, instruments=dict.fromkeys(names, facts()))
    verdicts = check_orders([order(name, quantity=160) for name in names], crowded, LIMITS)
    assert [v.code for v in verdicts] == [None, None, None, DenialCode.SECTOR_WEIGHT]
    assert verdicts[3].message == "SECTOR_WEIGHT: sector Energy 32.00% (32000.00) against 30% (30000.00)"


def test_an_instrument_of_unknown_sector_is_a_sector_by_itself():
    names = ["A1", "A2", "A3", "A4"]
    nameless = view(positions={}, instruments=dict.fromkeys(names, facts(sector="")))
    verdicts = check_orders([order(name, quantity=160) for name in names], nameless, LIMITS)
    assert [v.code for v in verdicts] == [None] * 4
    one = LIMITS.model_copy(update={"max_sector_weight": 0.07})
    assert check_orders([order("A1", quantity=160)], nameless, one)[0].code == DenialCode.SECTOR_WEIGHT


def test_turnover_spreads_a_build_up_over_sessions_and_refuses_no_plan():
    names = ["A1", "A2", "A3", "A4"]
    empty = view(positions={}, instruments=dict.fromkeys(names, facts(sector="")))
    slow = LIMITS.model_copy(update={"max_turnover": 0.15})
    verdicts = check_orders([order(name, quantity=140) for name in names], empty, slow)
    assert [v.code for v in verdicts] == [None, None, DenialCode.TURNOVER, DenialCode.TURNOVER]


def test_an_exit_pays_for_the_buy_after_it():
    poor = view(cash=Decimal(0))
    verdicts = check_orders(
        [order("HELD", "sell", 100), order(quantity=100), order("BBB", quantity=1, price="20")], poor, LIMITS
    )
    assert [v.code for v in verdicts] == [None, None, DenialCode.INSUFFICIENT_CASH]


def test_the_same_name_is_traded_once_and_never_on_both_sides():
    first = frozenset({("buy", "acc-20250103-AAA-buy-0")})
    assert check_orders([order()], view(live_orders={"AAA": first}), LIMITS)[0].code == DenialCode.DUPLICATE_ORDER
    crossing = frozenset({("sell", "somebody")})
    assert check_orders([order()], view(live_orders={"AAA": crossing}), LIMITS)[0].code == DenialCode.OPPOSITE_ORDER
    bought = view(live_orders={"HELD": frozenset({("buy", "this morning")})})
    assert check_orders([SELL], bought, LIMITS)[0].code == DenialCode.OPPOSITE_ORDER
    assert check_orders([SELL], replace(bought, ended_orders=frozenset({"this morning"})), LIMITS)[0].approved
    again = replace(bought, ended_orders=frozenset({"this morning"}))
    assert check_orders([order("HELD", "buy", 1)], again, LIMITS)[0].code == DenialCode.DUPLICATE_ORDER
    both = check_orders([SELL, order("HELD", "buy", 1)], view(), LIMITS)
    assert [v.code for v in both] == [None, DenialCode.OPPOSITE_ORDER]


def test_old_prices_let_exits_out_only_when_asked():
    stale = view(signal_age=3)
    assert check_orders([SELL], stale, LIMITS)[0].code == DenialCode.STALE_SIGNAL
    exits = LIMITS.model_copy(update={"allow_stale_exit": True, "max_trade_age_seconds": 60})
    assert [v.code for v in check_orders([SELL, order()], stale, exits)] == [None, DenialCode.STALE_SIGNAL]
    assert check_price(SELL, facts(trade_age=61.0), exits).approved
    assert check_price(order(), facts(trade_age=61.0), exits).code == DenialCode.STALE_DATA


@pytest.mark.parametrize(
    ("asked", "known", "code", "message"),
    [
        (order(), facts(trade_age=60.0), None, "approved"),
        (order(), facts(trade_age=60.5), "STALE_DATA", "STALE_DATA: last trade 60 s ago against 60 s"),
        (SELL, facts(trade_age=inf), "STALE_DATA", "STALE_DATA: no trade of this session is known against 60 s"),
        (SELL, facts("45.4", trade_age=1.0), "PRICE_COLLAR", "PRICE_COLLAR: 0.101322 against 0.1"),
        (SELL, facts("NaN", trade_age=1.0), "INVALID_PRICE", None),
    ],
)
def test_an_order_is_compared_with_the_last_trade_before_it_leaves(asked, known, code, message):
    verdict = check_price(asked, known, LIMITS.model_copy(update={"max_trade_age_seconds": 60}))
    assert verdict.code == code
    assert message is None or verdict.message == message


def test_flatten_is_stopped_by_no_limit():
    everything = {"HELD": Decimal(800), "BBB": Decimal(3_000), "DEAD": Decimal(5)}
    known = {**view().instruments, "HELD": facts(price="30", price_age=3, average_volume=Decimal(10))}
    known["DEAD"] = facts(tradable=False)
    seen = view(
        state=TradingState.REDUCING,
        is_flattening=True,
        equity=Decimal(50_000),
        positions=everything,
        instruments=known,
        clock_skew_seconds=90.0,
        signal_age=7,
        orders_sent=1_000,
        live_orders={"HELD": frozenset({("sell", "ended")}), "BBB": frozenset({("sell", "open")})},
        ended_orders=frozenset({"ended"}),
        converting=frozenset({"HELD"}),
    )
    plan = [order("HELD", "sell", 800), order("BBB", "sell", 3_000, "20"), order("DEAD", "sell", 5)]
    assert [v.code for v in check_orders(plan, seen, LIMITS)] == [None, "DUPLICATE_ORDER", "NOT_TRADABLE"]
    assert check_orders([order("HELD", "sell", 801)], seen, LIMITS)[0].code == DenialCode.SHORT_SALE


def test_a_plan_full_of_mistakes_buys_nothing_and_holds_back_no_exit():
    orders = [SELL, order(quantity=100), order("BBB", quantity=10_000, price="20"), order("ZZZ")]
    verdicts = check_orders(orders, view(), LIMITS)
    assert [v.code for v in verdicts] == [None, "PLAN_REFUSED", "ORDER_VALUE", "NOT_TRADABLE"]
    assert verdicts[1].message == "PLAN_REFUSED: 2 of 4 orders denied against 20%"


def test_exits_go_when_a_sector_limit_refuses_every_buy():
    names = ["A1", "A2", "A3", "A4"]
    crowded = view(instruments={**dict.fromkeys(names, facts(sector="Tech")), "HELD": facts(sector="Tech")})
    verdicts = check_orders([SELL, *(order(name) for name in names)], crowded, LIMITS)
    assert [v.code for v in verdicts] == [None, "PLAN_REFUSED", "SECTOR_WEIGHT", "SECTOR_WEIGHT", "SECTOR_WEIGHT"]
    assert verdicts[2].message == "SECTOR_WEIGHT: sector Tech 35.00% (35000.00) against 30% (30000.00)"


def test_verdicts_about_weights_name_what_the_percent_and_the_money():
    def said(asked, seen, **limits):
        return check_orders([asked], seen, LIMITS.model_copy(update=limits))[0].message

    poor = view(equity=Decimal(0), previous_equity=Decimal(0), highest_equity=Decimal(0))
    assert said(order("HELD", quantity=1), view()) == ("POSITION_WEIGHT: HELD 40.05% (40050.00) against 10% (10000.00)")
    assert said(order(), view(), max_gross_exposure=0.44) == (
        "GROSS_EXPOSURE: all positions 45.00% (45000.00) against 44% (44000.00)"
    )
    assert said(order(), view(value_sent=Decimal(95_001))) == (
        "TURNOVER: orders 100.00% (100001.00) against 100% (100000.00)"
    )
    assert said(order(quantity=201), view()) == "ORDER_VALUE: 10.05% (10050.00) against 10% (10000.00)"
    assert said(order(), poor) == "ORDER_VALUE: 5000.00 against 10% (0.00)"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view(), None),
        (view(equity=Decimal(97_000)), (TradingState.REDUCING, DenialCode.DAILY_LOSS)),
        (view(equity=Decimal(97_000), state=TradingState.REDUCING), None),
        (view(equity=Decimal(95_000), state=TradingState.REDUCING), (TradingState.HALTED, DenialCode.DAILY_LOSS)),
        (view(highest_equity=Decimal(125_000)), (TradingState.HALTED, DenialCode.DRAWDOWN)),
        (view(equity=Decimal(1), state=TradingState.HALTED), None),
    ],
)
def test_losses_make_the_state_stricter_and_never_laxer(seen, expected):
    assert state_after_losses(seen, LIMITS) == expected


def test_losses_do_not_stop_flatten():
    lost = view(equity=Decimal(94_000), state=TradingState.REDUCING)
    assert [v.code for v in check_orders([SELL, order()], lost, LIMITS)] == ["DAILY_LOSS", "DAILY_LOSS"]
    ordered = replace(lost, is_flattening=True)
    assert [v.code for v in check_orders([SELL, order()], ordered, LIMITS)] == [None, "DAILY_LOSS"]
    assert state_after_losses(ordered, LIMITS) is None
    halted = replace(ordered, state=TradingState.HALTED)
    assert [v.code for v in check_orders([SELL], halted, LIMITS)] == ["TRADING_HALTED"]


def test_every_buy_of_a_plan_counts_towards_the_gross_exposure():
    names = [f"N{index}" for index in range(12)]
    seen = view(cash=Decimal(200_000), positions={}, instruments={name: facts(sector=name) for name in names})
    plan = [order(name, quantity=200) for name in names]
    limits = RiskLimits(max_sector_weight=1, max_turnover=2, max_denied_share=1)
    codes = [verdict.code for verdict in check_orders(plan, seen, limits)]
    assert codes == [None] * 10 + [DenialCode.GROSS_EXPOSURE] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_order_value": float("inf")},
        {"max_trade_age_seconds": float("inf")},
        {"max_clock_skew_seconds": float("inf")},
        {"max_order_weight": True},
        {"max_orders_per_session": True},
        {"price_collar": 1.0},
        {"soft_daily_loss": 0.5, "hard_daily_loss": 1.0},
        {"max_drawdown": 1},
        {"max_daily_value": float("nan")},
    ],
)
def test_a_limit_that_would_switch_itself_off_is_refused(wrong):
    with pytest.raises(ValidationError):
        RiskLimits(**wrong)


def test_the_fingerprint_names_the_limits_in_force():
    assert RiskLimits().fingerprint == RiskLimits(max_order_weight=0.1).fingerprint
    assert RiskLimits().fingerprint != RiskLimits(max_order_weight=0.11).fingerprint


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="soft_daily_loss"):
        RiskLimits(soft_daily_loss=0.06)


NAMES = ("AAA", "BBB", "CCC", "HELD")
prices = st.decimals("0.5", "400", places=2)


@st.composite
def plans(draw):
    orders = [
        Order(
            f"o{n}",
            draw(st.sampled_from(NAMES)),
            draw(st.sampled_from(("buy", "sell"))),
            draw(st.integers(-1, 3_000)),
            str(draw(prices)),
            "",
        )
        for n in range(draw(st.integers(1, 12)))
    ]
    market = {
        name: InstrumentView(
            draw(prices), 0, Decimal(draw(st.integers(0, 100_000))), draw(st.sampled_from("XY")), True, True
        )
        for name in NAMES
    }
    account = view(
        instruments=market,
        positions={"HELD": Decimal(draw(st.integers(0, 500)))},
        cash=draw(st.decimals("0", "100000", places=2)),
    )
    return orders, account


@settings(max_examples=examples(300))
@given(plans())
def test_no_approved_plan_stands_above_a_limit(case):
    orders, account = case
    limits = LIMITS.model_copy(update={"max_denied_share": 1.0})
    approved = [v.order for v in check_orders(orders, account, limits) if v.approved]
    held, cash, turnover = dict(account.positions), account.cash, Decimal(0)
    bought = set()
    for deal in approved:
        known = account.instruments[deal.instrument]
        price = max(known.price, Decimal(deal.reference_price))
        assert deal.quantity > 0
        assert deal.quantity <= Decimal("0.05") * known.average_volume
        turnover += deal.quantity * price
        if deal.side == "buy":
            bought.add(deal.instrument)
            assert deal.quantity * price <= 10_000
            held[deal.instrument] = held.get(deal.instrument, Decimal(0)) + deal.quantity
            cash -= deal.quantity * price
            assert turnover <= 100_000
        else:
            assert deal.quantity * price <= 25_000
            held[deal.instrument] -= deal.quantity
            cash += deal.quantity * known.price
        assert held[deal.instrument] >= 0
    assert len({o.instrument for o in approved}) == len(approved)
    assert cash >= min(account.cash, 0)
    for name in bought:
        assert held[name] * account.instruments[name].price <= 10_000
    if bought:
        assert sum(quantity * account.instruments[name].price for name, quantity in held.items()) <= 100_000

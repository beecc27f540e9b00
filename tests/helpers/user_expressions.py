"""Expressions as users write them: long windows, exponential means, measures of the whole history, cross-sections."""

RETURN = "($close/Ref($close, 1)-1)"
CHANGE = "($close-Ref($close, 1))"
RANGE = "Greater($high-$low, Greater(Abs($high-Ref($close, 1)), Abs($low-Ref($close, 1))))"
MACD = "(EMA($close, 12)-EMA($close, 26))"
STOCHASTIC = "(($close-Min($low, 9))/(Max($high, 9)-Min($low, 9)+1e-12))"

USER_EXPRESSIONS = {
    # Momentum and trend.
    "MOMENTUM_12_1": "Ref($close, 21)/Ref($close, 252)-1",
    "TREND120": "$close/Mean($close, 120)-1",
    "WMA_TREND": "WMA($close, 120)/$close",
    "SLOPE200": "Slope($close, 200)/$close",
    "HIGH250": "$close/Max($high, 250)-1",
    "DAYS_SINCE_HIGH": "IdxMax($high, 250)/250",
    # Oscillators; Wilder's mean of 14 is an exponential one with a share of 1/14.
    "RSI14": f"EMA(Greater({CHANGE}, 0), 0.0714286)/EMA(Abs({CHANGE}), 0.0714286)",
    "RSI14_SIMPLE": f"Sum(Greater({CHANGE}, 0), 14)/Sum(Abs({CHANGE}), 14)",
    "MACD": f"{MACD}/$close",
    "MACD_SIGNAL": f"EMA({MACD}, 9)/$close",
    "EMA_CROSS": "EMA($close, 50)/EMA($close, 200)-1",
    "CROSSED": "If((EMA($close, 20)>EMA($close, 60)) & (Ref(EMA($close, 20)<EMA($close, 60), 1)>0), 1, 0)",
    "KDJ": f"3*EMA({STOCHASTIC}, 0.333333)-2*EMA(EMA({STOCHASTIC}, 0.333333), 0.333333)",
    # Risk.
    "BOLLINGER": "($close-Mean($close, 20))/(2*Std($close, 20)+1e-12)",
    "ATR": f"EMA({RANGE}, 0.0714286)/$close",
    "VOLATILITY_RATIO": f"Std({RETURN}, 20)/Std({RETURN}, 120)",
    "SKEW120": f"Skew({RETURN}, 120)",
    "DRAWDOWN": "$close/Max($close, 0)-1",
    # Volume.
    "OBV": f"Sum(Sign({CHANGE})*$volume, 0)/Mean($volume, 60)",
    "LONG_CORRELATION": f"Corr({RETURN}, Log($volume+1), 250)",
    "VWAP_GAP": "$close*Sum($volume, 120)/Sum($vwap*$volume, 120)-1",
    "ABNORMAL_VOLUME": "($volume-Mean($volume, 0))/Std($volume, 0)",
    # Across the section.
    "RANKED_MOMENTUM": "CSRank(Ref($close, 21)/Ref($close, 252))",
    "RANKED_TREND": "CSRank(Mean($close, 60)/Mean($close, 200))",
    "OWN_SECTOR": "CSNeutralize($close/Mean($close, 60), $sector)",
}
"""Name to expression of Qlib's language."""

OSCILLATORS = {"RSI14", "MACD", "MACD_SIGNAL", "EMA_CROSS", "CROSSED", "KDJ"}
WHOLE_HISTORY = OSCILLATORS | {"ATR", "DRAWDOWN", "OBV", "ABNORMAL_VOLUME"}
"""Those whose value depends on every bar since the listing."""

"""Backtest of strategies that react to opens, minutes, bars and closes, on the exchange rules of every engine."""

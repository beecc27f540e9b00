"""Exact backtests: the exchange, the array engine for one or many score sets, the event engine."""

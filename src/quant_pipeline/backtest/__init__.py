"""Exact backtests: array engine, combination engine, event engine."""

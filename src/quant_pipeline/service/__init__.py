"""HTTP service: factors, models, backtests, account and jobs for programs, on the functions that the commands call."""

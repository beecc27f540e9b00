"""The simulated broker: an account at an exchange that executes by the rules of the backtest."""

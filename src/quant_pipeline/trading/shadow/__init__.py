"""The shadow account: every session replayed by the backtest from the account's own books, and what differs and why."""

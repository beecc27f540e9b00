"""Orders: plans, risk limits, and the management that brings each order to the broker exactly once."""

"""Order management: what was decided reaches the broker exactly once, and what the broker did reaches the ledger."""

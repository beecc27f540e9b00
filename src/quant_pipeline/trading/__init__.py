"""The execution side: events, the ledger, the account that follows from them, and the brokers that make them."""

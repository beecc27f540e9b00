"""What a market does with an order: quotes, price limits, costs, exact money, the fills of a session."""

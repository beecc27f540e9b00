"""Risk factors: exposures of instruments, returns of factors, and what a portfolio owes to them."""

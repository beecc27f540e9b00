"""Activities of brokers: which types there are, how their records are read, and what they do to the books."""

"""Factors: expressions in Qlib's language, sets of them, labels, processors, and the engine that evaluates them."""

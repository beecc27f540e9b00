"""Chaos: processes killed at every step of execution and post-trade, under every fault of a broker."""

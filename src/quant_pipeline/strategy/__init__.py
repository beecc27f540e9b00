"""From scores to orders: the clock, the rules, sizing, costs and the one strategy function."""

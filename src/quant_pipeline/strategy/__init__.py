"""From scores to orders: the rules, sizing, costs and the one strategy function."""

"""From scores to orders: rules, ranking, sizing and the compiled decision."""

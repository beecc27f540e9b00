"""From scores to orders: rules, ranking and the compiled decision."""

"""Neural networks: one training loop, small modules."""

"""Evaluation: how good scores and portfolios were, and how much of it was luck."""

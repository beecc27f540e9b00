"""The language of factors: Qlib's expressions, read, checked and turned into a plan."""

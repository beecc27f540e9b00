"""Brokers: where orders go and from where fills come back."""

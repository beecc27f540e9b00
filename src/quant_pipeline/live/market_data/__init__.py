"""Market data while a session goes on: a bounded memory of what a stream says, and what is made of it."""

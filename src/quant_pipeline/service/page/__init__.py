"""The operator's page: what the account is and does, and one click that stops it."""

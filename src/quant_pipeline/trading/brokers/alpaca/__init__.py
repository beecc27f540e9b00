"""The broker Alpaca, paper or live: translation between its API and the port."""

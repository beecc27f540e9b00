"""What several test modules share: markets, accounts, servers, a browser, and copies of the project."""

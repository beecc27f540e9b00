"""The ledger of an account: its events, their store, and the books and tables that follow from them."""

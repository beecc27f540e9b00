"""What another engine is given of a finished backtest, and how far its fills agree; none is imported here."""

"""What every layer may use: atomic files, locks, and errors of the operating system in one line."""

"""Where markets come from: the embedded simulation, files of the user, Alpaca."""

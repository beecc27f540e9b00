"""The market: calendar, bars, corporate actions, universe and the sources they come from."""

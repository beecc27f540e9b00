"""The market: calendar, clock, bars, corporate actions, universe and the sources they come from."""

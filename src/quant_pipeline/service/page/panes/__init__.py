"""Panes of the page, one module each: its facts come from the functions that commands and routes use."""

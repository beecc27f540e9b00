"""The live process rehearsed: a year of sessions at a fake Alpaca in minutes, with something going wrong in each.

The process, its journal, its messages, the ledger, execution and reconciliation are the real ones. Models are left out:
a small desk plans orders by rule, so that a session takes seconds.
"""

from typing import Final

SETTINGS: Final = "rehearsal.json"
"""File in the folder of a rehearsal that its processes read."""

"""The live process: it owns time and waking, and starts what the account needs when it is due.

Everything that it does is a command that you can type as well. It keeps no truth of its own: end it at any moment, and
the commands go on from the ledger, the market and the broker; start it again, and it goes on from its journal.
"""

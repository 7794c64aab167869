"""`pretrade-guard bench`: the load generator, its clocks and tables, and the peers beside it.

Owns how speed is measured. Nothing here runs in the daemon, which it meets through its socket.
"""

"""The daemon around the kernel and the log: configuration, engine, pipeline, sockets, tools.

Owns everything that touches a socket, a clock, a signal or a person. Decisions live in `kernel`,
files of record in `wal`; this package imports both and neither imports it.
"""

__version__ = "0.1.0"

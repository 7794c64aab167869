"""The daemon around the kernel and the log: configuration, engine, pipeline, sockets, tools.

Owns everything that touches a socket, a clock, a signal or a person. Decisions live in `kernel`,
files of record in `wal`; this package imports both and neither imports it.

Some modules exist in two forms, as the kernel's do; `GUARD_FORM` says which is running (`forms`).
"""

from forms import FORM as GUARD_FORM

__version__ = "0.1.0"

__all__ = ["GUARD_FORM", "__version__"]

"""The daemon around the kernel and the log: configuration, engine, pipeline, sockets, tools.

Owns everything that touches a socket, a clock, a signal or a person. Decisions live in `kernel`,
files of record in `wal`; this package imports both and neither imports it.

`COMPILED_MODULES` exist in two forms, as the kernel's do; `GUARD_FORM` says which is running. They
call the kernel's without Python between them, so that they run compiled only where those do.
"""

from kernel import KERNEL_FORM, choose_form

__version__ = "0.1.0"

COMPILED_MODULES = (
    "packed",
    "orders_codec",
    "orders",
    "state",
    "decide_entry",
    "decide_execution",
    "apply",
    "engine",
    "record_text",
    "wire",
    "order_reader",
    "order_lane",
    "elements",
    "answering",
)
GUARD_FORM = choose_form(__name__, COMPILED_MODULES, KERNEL_FORM)

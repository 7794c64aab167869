"""The daemon around the kernel and the log: configuration, engine, pipeline, sockets, tools.

Owns everything that touches a socket, a clock, a signal or a person. Decisions live in `kernel`,
files of record in `wal`; this package imports both and neither imports it.

`COMPILED_MODULES` exist in two forms, as the kernel's do; `GUARD_FORM` says which is running. They
call those of `kernel` and `wal` without Python between them: they run compiled only where both do.
"""

from kernel import KERNEL_FORM, choose_form
from wal.form import WAL_FORM

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
    "record_reader",
    "fill_rows",
    "order_rows",
    "record_rows",
    "fill_lane",
    "replay_lane",
    "wire",
    "order_reader",
    "order_pieces",
    "order_lane",
    "elements",
    "answering",
    "gathering",
)
GUARD_FORM = choose_form(
    __name__, COMPILED_MODULES, KERNEL_FORM if WAL_FORM == "compiled" else "interpreted"
)

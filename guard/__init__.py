"""The daemon around the kernel and the log: configuration, engine, pipeline, sockets, tools.

Owns everything that touches a socket, a clock, a signal or a person. Decisions live in `kernel`,
files of record in `wal`; this package imports both and neither imports it.

`COMPILED_MODULES` exist in two forms, as the kernel's do; `GUARD_FORM` says which is running. They
call those of `kernel` and `wal` without Python between them: they run compiled only where both do.
"""

from importlib.machinery import PathFinder
from importlib.util import find_spec

from kernel import KERNEL_FORM, choose_form

__version__ = "0.1.0"

COMPILED_MODULES = (
    "protocol.request",
    "protocol.outcome",
    "protocol.layout",
    "protocol.json_reader",
    "protocol.pack_reader",
    "protocol.request_reader",
    "protocol.replies",
    "engine.row_map",
    "engine.remembered",
    "engine.state",
    "engine.checks",
    "engine.decide",
    "engine.apply",
    "engine.engine",
    "record.kernel_rows",
    "record.writer",
    "record.reader",
    "record.rules",
    "replay.redecide",
    "server.request_path",
    "server.zmtp",
    "server.connection",
    "server.listener",
    "server.batch",
)
# As in wal.form, which is not asked: to import `wal` takes longer than all else here, and not
# everybody who imports this package has a log.
WAL_MODULES = ("entryhash", "staging", "scan", "barethread", "standing")


def _is_wal_compiled() -> bool:
    """Was every one of them built?"""
    package = find_spec("wal")
    places = None if package is None else package.submodule_search_locations
    specs = [PathFinder.find_spec(f"wal.{name}", places) for name in WAL_MODULES]
    return all(spec is not None and not str(spec.origin).endswith(".py") for spec in specs)


GUARD_FORM = choose_form(
    __name__, COMPILED_MODULES, KERNEL_FORM if _is_wal_compiled() else "interpreted"
)

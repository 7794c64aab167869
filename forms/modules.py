"""What is compiled, and nothing else: `setup.py` reads this file, and so does `forms`.

A module stands under its package, in the order in which it is built. `x.pxd` beside `x.py` has its
types. Imports nothing: what builds the packages cannot import them.
"""

COMPILED_MODULES = {
    "kernel": (
        "sha256",
        "prescribe",
        "digest",
        "records",
        "policy",
        "ledger_lines",
        "holds",
        "ledger",
    ),
    "wal": (
        "entryhash",
        "staging",
        "scan",
        "barethread",
        "standing",
    ),
    "guard": (
        "protocol.request",
        "protocol.outcome",
        "protocol.layout",
        "protocol.json_reader",
        "protocol.pack_reader",
        "protocol.request_reader",
        "protocol.replies",
        "engine.row_map",
        "engine.shares",
        "engine.positions",
        "engine.remembered",
        "engine.state",
        "engine.checks",
        "engine.decide",
        "engine.positioning",
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
        "audit.decision_rows",
        "audit.exposure",
        "audit.day_counts",
        "audit.day_requests",
    ),
}

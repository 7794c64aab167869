"""A log's lines of what an engine has recorded, for who reads lines and checks no hash."""

from guard_support import LoggedEngine


def lines_of(logged: LoggedEngine) -> list[bytes]:
    """One for each record; its hashes are left out."""
    return [
        b'{"sequence":%d,"previous_hash":"","entry_hash":"","data":%s}\n' % (at, data)
        for at, data in enumerate(logged.records, 1)
    ]

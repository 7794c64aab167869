"""How a log stands in the cluster, for who looks: its row, its size, what is wrong.

Reads only. How it fails: `ClusterError` where the cluster cannot be asked.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

from guard.cluster import statements
from guard.cluster.epochs import read_log
from guard.cluster.session import Session, open_session
from guard.config.cluster_section import ClusterSection
from wal import Follower, WalError

_NONE: Final = -1


class ClusterStatus(NamedTuple):
    """What was found. Of numbers that cannot be had, -1.

    `local_sequence`: the last record of the log in this host's directory. `standbys`: name, state,
    synchronous state, how many bytes of PostgreSQL's log it has not flushed.
    """

    log: str
    epoch: int
    holder: str
    head_sequence: int
    head_hash: str
    acknowledged_sequence: int
    beat_age_ms: int
    rows: int
    row_bytes: int
    first_sequence: int
    local_sequence: int
    standbys: list[tuple[str, str, str, int]]
    troubles: list[str]


async def look(terms: ClusterSection, directory: Path) -> ClusterStatus:
    """Asks the cluster, and looks into the local log. Raises ClusterError."""
    session = await open_session(terms, statements.reader_name(terms.log))
    try:
        return await _look(session, terms, directory)
    finally:
        session.terminate()


async def _look(session: Session, terms: ClusterSection, directory: Path) -> ClusterStatus:
    problem = await session.settings_problem()
    troubles = [] if problem is None else [problem]
    row = await read_log(session, terms.log)
    count, first, byte_count = await session.row(statements.COUNT_BATCHES, terms.log)
    standbys: list[tuple[str, str, str, int]] = [
        (name, state or "not shown to this role", kind or "", behind)
        for name, state, kind, behind in await session.rows(statements.STANDBYS)
    ]
    if row is None:
        troubles.append(f"the cluster has no log {terms.log!r}")
        return ClusterStatus(
            *(terms.log, 0, "", 0, "", 0, _NONE, count, int(byte_count), first),
            *(_local_end(directory), standbys, troubles),
        )
    age_ms = round((await session.row(statements.LOG_AGE, terms.log))[0] * 1_000)
    if not row.holder:
        troubles.append("nobody holds the log: no guard serves it")
    elif age_ms > terms.silence_ms:
        troubles.append(f"its holder has been silent for {age_ms} ms")
    return ClusterStatus(
        *(terms.log, row.epoch, row.holder, *row.head, row.acknowledged.sequence, age_ms),
        *(count, int(byte_count), first, _local_end(directory), standbys, troubles),
    )


def _local_end(directory: Path) -> int:
    try:
        follower = Follower(directory)
        follower.skip_to_end()
        return follower.head.sequence
    except (WalError, OSError):
        return _NONE


def text_of(found: ClusterStatus) -> str:
    """The same for people."""
    local = "none here" if found.local_sequence == _NONE else f"{found.local_sequence}"
    if found.local_sequence != _NONE:
        local += f", {max(0, found.head_sequence - found.local_sequence)} behind the cluster's"
    rows: list[tuple[str, Any]] = [
        ("log", found.log),
        ("epoch", f"{found.epoch}, held by {found.holder or 'nobody'}"),
        ("last sign of life", f"{found.beat_age_ms} ms ago"),
        ("last record", f"{found.head_sequence} ({found.head_hash[:16]})"),
        ("known to be on the quorum", found.acknowledged_sequence),
        ("rows", f"{found.rows} from record {found.first_sequence} on, {found.row_bytes} bytes"),
        ("this host's log", local),
        *((f"standby {each[0]}", _standby_text(*each)) for each in found.standbys),
        *(("TROUBLE", trouble) for trouble in found.troubles),
    ]
    return "\n".join(f"{name:<26} {value}" for name, value in rows)


def _standby_text(_name: str, state: str, kind: str, behind: int) -> str:
    behind_text = f", {behind} bytes behind" if behind >= 0 else ""
    return f"{state} {kind}".strip() + behind_text

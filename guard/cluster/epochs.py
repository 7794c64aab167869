"""The epochs of a log in the cluster: who may write it, and how the next one begins.

Owns the order of that. First a session of the old epoch that waits for the quorum is ended, since
it holds the row's lock for as long; then one statement moves the epoch on, where it is still the
one that was read, and is committed on the quorum; then whatever session the old writer has is
ended, so that it hears of it. From the commit on no statement of the old epoch takes effect, and
all that took effect before stands before it in PostgreSQL's own log, and so is on the quorum with
it. Only what is read behind it counts.

How it fails: `Fenced` where somebody else has begun an epoch meanwhile, `Unfit` for settings that
are not as they must be, `Unreachable`, `Unknown`. The session is closed then.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from guard.cluster import statements
from guard.cluster.errors import ClusterError, Fenced, Unfit, Unknown, Unreachable
from guard.cluster.session import Session, open_session
from guard.config.cluster_section import ClusterSection
from wal import Head

RETRY_S: Final = 0.25
# Longer than a failover of the database takes (Patroni's ttl is 30 s).
GIVE_UP_NS: Final = 60_000_000_000


class LogRow(NamedTuple):
    """A log's row. `acknowledged`: the last head that its writer knew to be on the quorum.

    `serves_at`: where the holder's clients reach it, empty where it has not said so.
    """

    epoch: int
    holder: str
    head: Head
    acknowledged: Head
    beat: int
    serves_at: str


class Claim(NamedTuple):
    """An epoch that has begun, and where the log ended then."""

    session: Session
    epoch: int
    head: Head
    holder: str


def new_holder() -> str:
    """Who this process is, in words for people; no other one, nor a later one, is called that."""
    return f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(4)}"


async def read_log(session: Session, log: str) -> LogRow | None:
    """The log's row; None where there is none yet. Raises Unknown."""
    row = await session.row(statements.READ_LOG, log)
    if row is None:
        return None
    return LogRow(row[0], row[1], Head(row[2], row[3]), Head(row[4], row[5]), *row[6:8])


async def begin_epoch(terms: ClusterSection, holder: str, only_after: str | None = None) -> Claim:
    """Begins the next epoch. `only_after`: only where this holder's is the one that ends."""
    session = await open_session(terms, statements.writer_name(terms.log))
    try:
        if (problem := await session.settings_problem()) is not None:
            raise Unfit(problem)
        row = await read_log(session, terms.log)
        if row is None:
            await session.row(statements.NAME_LOG, terms.log)
            row = await read_log(session, terms.log)
        if row is None:
            raise Unknown("the row of the log is not where it was written")
        if only_after is not None and row.holder != only_after:
            raise fenced_by(row)
        await session.row(statements.END_WAITING, statements.writer_name(terms.log))
        words = (terms.log, row.epoch, row.holder, holder, terms.serves_at)
        begun = await session.commit(statements.CLAIM, *words)
        if begun is None:
            raise await why_refused(session, terms.log)
        await session.row(statements.END_SESSIONS, statements.writer_name(terms.log))
        return Claim(session, begun[0], Head(begun[1], begun[2]), holder)
    except BaseException:
        session.terminate()
        raise


async def begin_epoch_in_time(
    terms: ClusterSection,
    holder: str,
    only_after: str | None,
    is_given_up: Callable[[], bool],
) -> Claim:
    """As `begin_epoch`, which is tried again where nobody knows what became of it, or no node takes
    writes as it must (they may be choosing one), until that is given up. Each try begins an epoch
    of its own.
    """
    while True:
        try:
            return await begin_epoch(terms, holder, only_after)
        except (Unknown, Unreachable, Unfit) as error:
            if is_given_up():
                raise ClusterError(f"no epoch can be begun: {error}") from error
        await asyncio.sleep(RETRY_S)


async def why_refused(session: Session, log: str) -> ClusterError:
    """Why a statement took no effect. Raises Unknown."""
    if (problem := await session.settings_problem()) is not None:
        return Unfit(problem)
    row = await read_log(session, log)
    return ClusterError("the log's row is gone") if row is None else fenced_by(row)


def fenced_by(row: LogRow) -> Fenced:
    """The error of who finds this row."""
    return Fenced(
        f"another guard has taken over: epoch {row.epoch} is held by {row.holder or 'nobody'}, and "
        f"the cluster's log ends with record {row.head.sequence}; nobody is answered any more"
    )

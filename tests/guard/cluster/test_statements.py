"""What PostgreSQL does with the guard's statements: real servers, one of two standbys required."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec import structs

from cluster_support import BINARIES, DATABASE, Cluster, needs_postgres, running_cluster
from guard.cluster import statements
from guard.cluster.epochs import Claim, begin_epoch, read_log, why_refused
from guard.cluster.errors import ClusterError, Fenced, Unknown, Unreachable
from guard.cluster.session import Session, open_session
from guard.config.cluster_section import ClusterSection
from guard.config.standby_names import standby_names_problem
from wal import EMPTY_HEAD, Head

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


def terms_of(cluster: Cluster, log: str, **others: object) -> ClusterSection:
    names = [cluster.standby_names(name) for name in cluster.nodes]
    return ClusterSection(
        hosts=cluster.hosts, log=log, standby_names=names, database=DATABASE, **others
    )


def head(sequence: int) -> Head:
    return Head(sequence, f"{sequence:064x}")


async def insert(claim: Claim, log: str, before: Head, behind: Head, epoch: int = 0) -> bool:
    words = (log, epoch or claim.epoch, *before, *behind, *before, b"line\n")
    return await claim.session.commit(statements.INSERT_BATCH, *words) is not None


@asynccontextmanager
async def waiting_commit(
    cluster: Cluster, claim: Claim, log: str
) -> AsyncIterator["asyncio.Task[bool]"]:
    """A commit that waits for standbys, both of which are halted meanwhile."""
    for node in cluster.nodes.values():
        if node is not cluster.primary:
            node.sql("SELECT pg_wal_replay_pause()")
    asked = "SELECT pid FROM pg_stat_replication"
    receivers = [int(pid) for pid in cluster.primary.sql(asked).split()]
    for pid in receivers:
        os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(insert(claim, log, EMPTY_HEAD, head(1)))
    try:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        async with asyncio.timeout(PATIENCE_S):
            while cluster.primary.sql(waits) != "1":
                await asyncio.sleep(0.01)
        yield task
    finally:
        for pid in receivers:
            os.kill(pid, signal.SIGCONT)
        for node in cluster.nodes.values():
            if node is not cluster.primary:
                node.sql("SELECT pg_wal_replay_resume()")
        with suppress(ClusterError):
            await task


async def test_rows_follow_one_another_and_a_batch_is_there_once(cluster: Cluster) -> None:
    claim = await begin_epoch(terms_of(cluster, "rows"), "first")
    assert (claim.epoch, claim.head) == (1, EMPTY_HEAD)
    assert await insert(claim, "rows", EMPTY_HEAD, head(3))
    assert not await insert(claim, "rows", EMPTY_HEAD, head(3)), "the head has moved on"
    assert not await insert(claim, "rows", Head(3, "other"), head(4)), "another record 3"
    assert not await insert(claim, "rows", head(3), head(4), epoch=2), "no such epoch yet"
    assert await insert(claim, "rows", head(3), head(4))
    row = await read_log(claim.session, "rows")
    assert row is not None
    assert (row.epoch, row.holder, row.head, row.acknowledged) == (1, "first", head(4), head(3))
    claim.session.terminate()
    kept = "SELECT first_sequence, last_sequence FROM pretrade_guard.batches WHERE log = 'rows'"
    assert cluster.primary.sql(f"{kept} ORDER BY 1", DATABASE) == "1|3\n4|4"


async def test_the_next_epoch_ends_the_sessions_of_the_one_before(cluster: Cluster) -> None:
    terms = terms_of(cluster, "epochs")
    old = await begin_epoch(terms, "old")
    assert await insert(old, "epochs", EMPTY_HEAD, head(1))
    new = await begin_epoch(terms, "new")
    assert (new.epoch, new.head) == (2, head(1))
    with pytest.raises(Unknown):
        await insert(old, "epochs", head(1), head(2))
    # Another session of the old epoch's: what it says takes no effect.
    late = await open_session(terms, statements.writer_name("epochs"))
    assert not await insert(old._replace(session=late), "epochs", head(1), head(2))
    assert isinstance(await why_refused(late, "epochs"), Fenced)
    with pytest.raises(Fenced, match="epoch 2 is held by new"):
        await begin_epoch(terms, "old", only_after="old")
    assert await insert(new, "epochs", head(1), head(2))
    for session in (late, new.session):
        session.terminate()


async def test_an_old_writer_that_waits_for_the_row_inserts_nothing(cluster: Cluster) -> None:
    """The row's lock is passed on behind the new epoch's commit, and its condition asked again."""
    terms = terms_of(cluster, "lock")
    old = await begin_epoch(terms, "old")
    holds = await open_session(terms, "holds the row")
    await holds.rows("BEGIN")
    await holds.rows("UPDATE pretrade_guard.logs SET epoch = 2 WHERE log = 'lock'")
    waiting = asyncio.create_task(insert(old, "lock", EMPTY_HEAD, head(1)))
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE_S):
        while cluster.primary.sql(blocked) != "1":
            await asyncio.sleep(0.01)
    await holds.rows("COMMIT")
    assert await waiting is False
    count = "SELECT count(*) FROM pretrade_guard.batches WHERE log = 'lock'"
    assert cluster.primary.sql(count, DATABASE) == "0"
    for session in (holds, old.session):
        session.terminate()


async def test_a_wait_that_is_cancelled_is_no_success(cluster: Cluster) -> None:
    claim = await begin_epoch(terms_of(cluster, "cancelled"), "guard")
    async with waiting_commit(cluster, claim, "cancelled") as task:
        cluster.primary.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        with pytest.raises(Unknown, match="canceling wait for synchronous replication"):
            await task
        there = "SELECT count(*) FROM pretrade_guard.batches WHERE log = 'cancelled'"
        assert cluster.primary.sql(there, DATABASE) == "1", "it is committed, on one node"


async def test_a_list_of_standbys_that_is_emptied_is_no_success(cluster: Cluster) -> None:
    claim = await begin_epoch(terms_of(cluster, "emptied"), "guard")
    primary = cluster.primary
    try:
        async with waiting_commit(cluster, claim, "emptied") as task:
            primary.configure("synchronous_standby_names = ''\n")
            primary.reload()
            with pytest.raises(Unknown, match="settings of synchronous replication changed"):
                await task
        with pytest.raises(ClusterError, match="synchronous_standby_names is ''"):
            await begin_epoch(terms_of(cluster, "emptied"), "guard")
    finally:
        primary.configure(f"synchronous_standby_names = '{cluster.standby_names(primary.name)}'\n")
        primary.reload()


async def test_a_wait_whose_session_is_ended_is_unknown(cluster: Cluster) -> None:
    terms = terms_of(cluster, "ended")
    claim = await begin_epoch(terms, "guard")
    async with waiting_commit(cluster, claim, "ended") as task:
        claim.session.terminate()
        with pytest.raises(Unknown):
            await task
    again = await begin_epoch(terms, "guard", only_after="guard")
    assert again.head == head(1), "the next epoch's commit has put it on the quorum"
    again.session.terminate()


async def test_a_wait_that_is_too_long_closes_the_connection_and_cancels_nothing(
    cluster: Cluster,
) -> None:
    claim = await begin_epoch(terms_of(cluster, "long", unknown_after_ms=300), "guard")
    async with waiting_commit(cluster, claim, "long") as task:
        with pytest.raises(Unknown):
            await task
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        assert cluster.primary.sql(waits) == "1", "it waits on, for nobody"


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"standby_names": ["FIRST 1 (b, c)"]}, "synchronous_standby_names is 'ANY 1"),
        ({"hosts": ["/no/such/place"]}, "no session with the cluster"),
        ({"user": "nobody_of_that_name"}, "no session with the cluster"),
    ],
)
async def test_what_is_not_as_it_must_be_is_said(
    cluster: Cluster, others: dict[str, object], said: str
) -> None:
    terms = structs.replace(terms_of(cluster, "settings"), **others)
    with pytest.raises((ClusterError, Unreachable), match=said):
        await begin_epoch(terms, "guard")


async def test_a_guard_may_neither_change_nor_remove_a_batch(cluster: Cluster) -> None:
    terms = terms_of(cluster, "rights")
    for statement in (
        "DELETE FROM pretrade_guard.batches",
        "UPDATE pretrade_guard.batches SET epoch = 7",
        "TRUNCATE pretrade_guard.batches",
        "DELETE FROM pretrade_guard.logs",
        "UPDATE pretrade_guard.epochs SET holder = 'me'",
        "DROP TABLE pretrade_guard.batches",
    ):
        session: Session = await open_session(terms, "tries")
        with pytest.raises(Unknown, match=r"permission denied|must be owner"):
            await session.rows(statement)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ANY 1 (b, c)",
            "first 2 ( b ,c )",
            "2 (b, c)",
            "b, c",
            "ANY 1 (*)",
            'ANY 1 ("p-a", "p""b")',
        ),
        *(
            "ANY 1 (b",
            "ANY (b, c)",
            "ANY 1",
            "ANY 1 ()",
            "ANY 1 (b,)",
            "ANY 1 (b c)",
            "ANY 1 (b) c",
        ),
        *("ANY 0 (b)", "ANY 1 (p-a, b)", 'ANY 1 ("b)', "b,", "b (c)", "ANY 1 (1b)", "ANY 1 (1, b)"),
    ],
)
def test_the_configuration_takes_what_the_server_takes(cluster: Cluster, text: str) -> None:
    psql = ["psql", "-X", "-h", cluster.primary.host, "-U", "postgres", "-d", "postgres", "-c"]
    quoted = text.replace("'", "''")
    assert BINARIES is not None
    done = subprocess.run(
        [
            str(BINARIES / psql[0]),
            *psql[1:],
            f"ALTER SYSTEM SET synchronous_standby_names = '{quoted}'",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    names = cluster.standby_names(cluster.primary.name)
    cluster.primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    assert done.returncode == 0 or "synchronous" in done.stderr
    assert (standby_names_problem(text) is None) == (done.returncode == 0)

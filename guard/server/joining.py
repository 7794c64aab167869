"""A guard's start on a cluster: it waits its turn, begins an epoch, brings the logs together.

Owns the order of that, before anything is recorded. The local log is locked and folded first. A
guard that was told to stand by follows then, until it takes over; one that was not sees that nobody
serves this log, for to begin an epoch is to end another guard's. Then the epoch is begun, and the
local log and the rows are brought to the same end. Last the clock: records are stamped by it, and
none is stamped before one that the cluster has.

How it fails: `OptionNeededError` where a person has to decide, `ConfigError`, `ClusterError` and
the rest of the `WalError` family. The lock is released then, and no session is left open.
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from guard import clock
from guard.cluster import statements
from guard.cluster.epochs import (
    GIVE_UP_NS,
    Claim,
    LogRow,
    begin_epoch_in_time,
    new_holder,
    read_log,
)
from guard.cluster.errors import ClusterError
from guard.cluster.quorum import Quorum
from guard.cluster.reconciling import Place, bring_together
from guard.cluster.session import open_session
from guard.cluster.sight import Sight
from guard.cluster.standby import Standby, Why
from guard.cluster.unsynced import UnsyncedFiles
from guard.config.cluster_section import ClusterSection
from guard.process.line_forms import told
from guard.process.notify import ServiceNotifier
from guard.process.operator_lines import alarm, announce, say
from guard.process.signals import Signals
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.recovery.recover import Recovered, recover_log
from guard.recovery.start_options import NEW_LOG_OPTION, TAKE_OVER_OPTION, OptionNeededError
from guard.server.service import RunOptions
from guard.server.standby_doors import StandbyDoors
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    FileLayer,
    WalDamage,
    WalError,
    WalKeyMismatch,
    holds_files,
)

# So many beats' time without one: nobody serves.
BEATS_MISSED: Final = 3
CLOCK_POLL_S: Final = 0.01
ASIDE_MAX: Final = 100


class Joined(NamedTuple):
    """A log that is the cluster's, held by `recovered.lock`, and its way there.

    `quorum`: None where the configuration has no cluster.
    """

    recovered: Recovered
    quorum: Quorum | None


async def join(options: RunOptions, hasher: ChainHasher, signals: Signals) -> Joined | None:
    """The log of a guard that has a cluster, ready to be served.

    None where it was told to stand by, and then to stop.
    """
    terms = options.config.cluster
    assert terms is not None
    recovered = _recover(options, hasher)
    place = Place(terms.log, options.log_directory, hasher, options.config.log.segment_bytes_max)
    claim: Claim | None = None
    try:
        if options.is_standby:
            recovered, why = await _stand_by(options, place, recovered, signals)
            if why is Why.STOPPED:
                recovered.lock.release()
                return None
        else:
            await _wait_for_turn(terms, options, recovered)
        end_ns = clock.monotonic_ns() + GIVE_UP_NS
        claim = await begin_epoch_in_time(
            terms, new_holder(), None, lambda: clock.monotonic_ns() > end_ns
        )
        say(told("epoch_begun", f"epoch {claim.epoch} of log {terms.log} has begun"))
        _check_which(options, recovered, claim)
        recovered, claim = await bring_together(place, recovered, claim, say)
        await wait_for_clock(terms, recovered)
    except BaseException:
        recovered.lock.release()
        if claim is not None:
            claim.session.terminate()
        raise
    quorum = Quorum(terms, claim, monotonic_ns=clock.monotonic_ns, say=say, alarm=alarm)
    quorum.start()
    return Joined(recovered, quorum)


def files_of(options: RunOptions) -> FileLayer | None:
    """How the log's files are written; None for as ever: where its disk is waited for."""
    cluster = options.config.cluster
    return UnsyncedFiles() if cluster is not None and cluster.durability == "cluster" else None


def _recover(options: RunOptions, hasher: ChainHasher) -> Recovered:
    """The local log, or none yet: the cluster may have it."""
    directory = options.log_directory
    is_new = options.new_log or not holds_files(directory)
    try:
        return recover_log(directory, hasher, new_log=is_new, accept_loss=options.accept_loss)
    except WalKeyMismatch:
        raise
    except WalDamage as damage:
        if is_new or files_of(options) is None:
            raise
        # Nobody has waited for this disk: what a power cut leaves of it is anything.
        kept = _move_aside(directory)
        text = f"the local log is damaged, and moved to {kept}; the cluster's is fetched: {damage}"
        alarm(told("log_moved_aside", text, kept=str(kept)))
        return recover_log(directory, hasher, new_log=True)


def _move_aside(directory: Path) -> Path:
    """Gives the log's directory another name; that one. Raises WalError."""
    for number in range(1, ASIDE_MAX + 1):
        kept = directory.with_name(f"{directory.name}.damaged-{number}")
        try:
            if not os.path.lexists(kept):
                os.rename(directory, kept)
                return kept
        except OSError as error:
            raise WalError(f"cannot move {directory} aside: {error}") from error
    raise WalError(f"{directory} is damaged, and {ASIDE_MAX} others are kept beside it already")


async def _stand_by(
    options: RunOptions, place: Place, recovered: Recovered, signals: Signals
) -> tuple[Recovered, Why]:
    terms, log = options.config.cluster, options.config.log
    assert terms is not None
    sight = Sight(clock.monotonic_ns())
    standby = Standby(
        terms,
        place,
        recovered,
        monotonic_ns=clock.monotonic_ns,
        wall_ns=clock.wall_ns,
        say=say,
        alarm=alarm,
        checkpoint_interval_ns=log.checkpoint_interval_s * NANOSECONDS_PER_SECOND,
        sight=sight,
        shows=StandbyDoors(options, sight, say=announce, alarm=alarm),
    )
    signals.stand_by(standby.take_over, standby.stop)

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        standby.fail(context.get("exception") or RuntimeError(context["message"]))

    asyncio.get_running_loop().set_exception_handler(on_loop_error)
    notifier = ServiceNotifier()
    text = f"pretrade-guard stands by: log {terms.log}, record {recovered.head.sequence}"
    announce(told("standing_by", text, head_sequence=recovered.head.sequence))
    notifier.announce("READY=1", "STATUS=standing by")
    try:
        why = await standby.follow()
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
        signals.stand_by_no_more()
        notifier.close()
    head = standby.recovered.head
    text = f"pretrade-guard stood by up to record {head.sequence}: {why.value}"
    announce(told("stood_by", text, head_sequence=head.sequence))
    return standby.recovered, why


async def _wait_for_turn(terms: ClusterSection, options: RunOptions, recovered: Recovered) -> None:
    """Sees that nobody serves this log, unless that one is to be replaced."""
    session = await open_session(terms, statements.reader_name(terms.log))
    try:
        row = await read_log(session, terms.log)
        _check_presence(options, recovered, row)
        beats = 0 if row is None or not row.holder or options.take_over else BEATS_MISSED
        for _ in range(beats):
            await asyncio.sleep(terms.beat_ms / 1_000)
            now = await read_log(session, terms.log)
            if row is not None and now is not None and now.beat != row.beat:
                raise OptionNeededError(
                    f"log {terms.log} of the cluster is served by {now.holder}, epoch {now.epoch}; "
                    f"stop that guard, or take over from it with {TAKE_OVER_OPTION}"
                )
    finally:
        session.terminate()


def _check_presence(options: RunOptions, recovered: Recovered, row: LogRow | None) -> None:
    """A log is begun where one is asked for, and where the cluster has none."""
    has_rows = row is not None and row.head != EMPTY_HEAD
    if options.new_log and has_rows:
        raise OptionNeededError(
            f"{NEW_LOG_OPTION}: the cluster holds a log of that name; start without the option, "
            "and it is fetched"
        )
    if not options.new_log and not has_rows and recovered.head == EMPTY_HEAD:
        raise OptionNeededError(
            f"log directory {options.log_directory}: holds no log, and neither does the cluster; "
            f"begin a fresh log with {NEW_LOG_OPTION}"
        )


def _check_which(options: RunOptions, recovered: Recovered, claim: Claim) -> None:
    """What was so when nobody served may have become otherwise; and who stood by saw nothing."""
    is_empty = claim.head == EMPTY_HEAD and recovered.head == EMPTY_HEAD
    if is_empty and not options.new_log:
        raise ClusterError("neither the cluster nor this host has the log that is to be served")
    if options.new_log and claim.head != EMPTY_HEAD:
        raise ClusterError(f"{NEW_LOG_OPTION}: another guard has begun the log meanwhile")


async def wait_for_clock(terms: ClusterSection, recovered: Recovered) -> None:
    """Until this host's clock has passed the time of the last record. Raises ClusterError."""
    log_ns = recovered.engine.state.last_received_at_ns
    behind_ms = (log_ns - clock.wall_ns()) // 1_000_000
    if behind_ms > terms.clock_wait_ms_max:
        raise ClusterError(
            f"this host's clock is {behind_ms} ms behind the log's last record; "
            f"cluster.clock_wait_ms_max allows {terms.clock_wait_ms_max} ms: set the clock"
        )
    if behind_ms > 0:
        text = f"the clock is {behind_ms} ms behind the log: it is waited for"
        say(told("clock_waited_for", text))
    while clock.wall_ns() <= log_ns:
        await asyncio.sleep(CLOCK_POLL_S)


async def settle_stop(quorum: Quorum | None) -> None:
    """The log's end is on the quorum, and nobody waits for this guard's silence."""
    if quorum is None:
        return
    try:
        await quorum.settle()
        await quorum.release()
    except WalError as error:
        text = f"the log is closed here, and its end may not be in the cluster: {error}"
        alarm(told("cluster_behind", text))

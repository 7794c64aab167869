"""Checks the records that a start from a checkpoint did not read, while orders go on.

Owns that check. The chain shows a changed record to whoever reads it; a start reads what follows
its checkpoint, so that something else has to read the rest, and say so. It stops nobody: what it
finds is an alarm, a counter, and a matter for `verify` and `salvage`.

How it works: a child process, forked before the start has read anything (so that it shares little
memory with a daemon that writes all over its own), waits until the start has found its checkpoint,
and reads the segments up to that record: the chain must lead to the checkpoint's hash, and through
those of the older checkpoints. It has a low priority, rests behind each piece for as long as that
took, and gives the pages that it has read back to the system. It ends with its parent.

How it fails: damage, a file that cannot be read, and a child that ends early or takes too long are
each an alarm, in one line. Segments that are archived meanwhile are no damage: they are
left out.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Final

import msgspec

from guard import clock
from guard.process.forked_child import Ended, ForkedChild, WaitForGo
from guard.process.line_forms import told
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.record.codec import DIALECT
from guard.server.counters import Counters
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    Run,
    WalDamage,
    WalError,
    find_start,
    first_head,
    forget_pages,
    hashes_equal,
    list_segments,
    open_regular,
    read_runs,
    segment_name,
)

# The child rests behind each piece of this size: some 20 ms of work.
PIECE_BYTES: Final = 8 * 1024 * 1024
LOOK_S: Final = 0.25
# Slower than this it hangs: with its rests it reads a hundred times as much on a plain disk.
BYTES_A_SECOND_MIN: Final = 1024 * 1024
LIFE_MIN_S: Final = 300
# What the child is told; the heads of more checkpoints than a manifest ever keeps.
ORDER_BYTES: Final = 4096
HEADS_MAX: Final = 16
# How often segments may be archived under the child's eyes, each time as many as can be.
ARCHIVINGS_MAX: Final = 8


class _Order(msgspec.Struct):
    """Up to which record, and which hash it and older checkpoints' records must have."""

    heads: list[tuple[int, str]]


class Checked(msgspec.Struct):
    """The child's word: which records verify, and what is wrong with the next one, if anything."""

    first_sequence: int
    last_sequence: int
    damage: str | None = None


_decode_order: Final = msgspec.json.Decoder(_Order).decode
_decode_checked: Final = msgspec.json.Decoder(Checked).decode


class OlderRecords:
    """The check, from before the start has read anything. Belongs to the loop's thread."""

    def __init__(self, directory: Path, hasher: ChainHasher) -> None:
        """Nothing is begun yet, and need not be."""
        self._directory = directory
        self._hasher = hasher
        self._memory = mmap.mmap(-1, ORDER_BYTES)  # shared with the child
        self._child: ForkedChild | None = None

    def prepare(self) -> None:
        """Forks the child, which waits, if there is a checkpoint. Raises OSError."""
        if not any(self._directory.glob("checkpoint-*.ckpt")):
            return
        directory, hasher = self._directory, self._hasher

        def work(shared: mmap.mmap, wait_for_go: WaitForGo) -> str:
            if not wait_for_go():
                return ""
            order = _decode_order(shared[:].rstrip(b"\0"))
            heads = [Head(*head) for head in order.heads]
            return msgspec.json.encode(check_older(directory, hasher, heads, _rest)).decode()

        self._child = ForkedChild.start(work, self._memory, (WalError, OSError))

    def begin(
        self,
        heads: list[Head],
        counters: Counters,
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """Lets the child go, where there is something older than what the start has read.

        `heads`: of the checkpoint that the start began with, first, and what else is known of
        older records.
        """
        if self._child is None:
            return
        try:
            byte_count = _older_bytes(self._directory, heads[0]) if heads else 0
        except (WalError, OSError) as error:
            byte_count = 0
            _settle(Ended(None, str(error)), 0, counters, say, alarm)
        if not byte_count:
            self.stop()
            return
        life_s = LIFE_MIN_S + byte_count // BYTES_A_SECOND_MIN
        order = msgspec.json.encode(
            _Order([(head.sequence, head.entry_hash) for head in heads[:HEADS_MAX]])
        )
        self._memory[: len(order)] = order
        self._child.let_go()
        began_ns = clock.monotonic_ns()

        def look() -> None:
            if self._child is None:
                return
            ended = self._child.poll()
            spent_ns = clock.monotonic_ns() - began_ns
            if ended is not None:
                self._child = None
                _settle(ended, spent_ns, counters, say, alarm)
            elif spent_ns > life_s * NANOSECONDS_PER_SECOND:
                self.stop()
                late = Ended(None, f"it took longer than {life_s} s")
                _settle(late, spent_ns, counters, say, alarm)
            else:
                call_later(LOOK_S, look)

        look()

    def stop(self) -> None:
        """Ends the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child = None


def _settle(
    ended: Ended,
    spent_ns: int,
    counters: Counters,
    say: Callable[[str], None],
    alarm: Callable[[str], None],
) -> None:
    if ended.word is None:
        text = f"the older records of the log were not checked: {ended.problem}"
        alarm(told("older_records_unchecked", text))
        return
    checked = _decode_checked(ended.word)
    counters.older_records_verified = checked.last_sequence - checked.first_sequence + 1
    if checked.damage is not None:
        counters.older_damage += 1
        text = f"the older records of the log do not verify, orders go on: {checked.damage}"
        alarm(told("older_records_damaged", text))
        return
    if checked.last_sequence < checked.first_sequence:
        text = "older records: all of them were archived meanwhile, none is left to verify"
        say(told("older_records_archived", text))
        return
    first, last = checked.first_sequence, checked.last_sequence
    text = f"older records verified: {first} to {last} in {spent_ns / NANOSECONDS_PER_SECOND:.1f} s"
    say(told("older_records_verified", text, first_sequence=first, last_sequence=last))


def _rest(spent_ns: int) -> None:
    sleep(spent_ns / NANOSECONDS_PER_SECOND)


def _older_bytes(directory: Path, start: Head) -> int:
    """How many bytes of the log stand in segments before the one with the record after `start`."""
    paths = list_segments(directory, archived=True)
    older = paths[: find_start(paths, start).segment_index] if paths else []
    return sum(path.stat().st_size for path in older)


def check_older(
    directory: Path, hasher: ChainHasher, heads: list[Head], after_piece: Callable[[int], None]
) -> Checked:
    """Verifies the log from its first record on, up to `heads[0]`; and that it holds the others.

    `after_piece` is told of each piece how many nanoseconds it took. Raises WalError for what
    cannot be read.
    """
    for _ in range(ARCHIVINGS_MAX):
        check = _Check(heads)
        paths = list_segments(directory, archived=True)
        try:
            check.run(paths, hasher, after_piece)
        except WalDamage as damage:
            check.checked.damage = str(damage)
        except WalError:
            if not paths or paths[0].exists():
                raise
            continue
        return check.checked
    raise WalError(f"segments of {directory} went away {ARCHIVINGS_MAX} times while they were read")


class _Check:
    """One pass over the segments."""

    def __init__(self, heads: list[Head]) -> None:
        self.checked = Checked(1, 0)
        self._end = heads[0]
        self._wanted = {head.sequence: head.entry_hash for head in heads}

    def run(
        self, paths: list[Path], hasher: ChainHasher, after_piece: Callable[[int], None]
    ) -> None:
        """Raises WalDamage, WalError."""
        beginning = _beginning(paths)
        last = min(beginning.sequence, self._end.sequence)  # else all of them are archived by now
        self.checked = Checked(last + 1, last)
        if beginning.sequence >= self._end.sequence:
            return
        segment, piece_bytes, began_ns = paths[0], 0, clock.monotonic_ns()
        for run in read_runs(paths, hasher, DIALECT, beginning):
            self._compare(run)
            self.checked.last_sequence = min(run.last.sequence, self._end.sequence)
            if self.checked.last_sequence == self._end.sequence:
                return
            if run.segment != segment.name:
                _forget(segment)
                segment = segment.with_name(run.segment)
            piece_bytes += run.end_offset - run.offset
            if piece_bytes >= PIECE_BYTES:
                after_piece(clock.monotonic_ns() - began_ns)
                piece_bytes, began_ns = 0, clock.monotonic_ns()
        reason = f"the log ends before record {self._end.sequence}"
        raise WalDamage(paths[-1].name, 0, self.checked.last_sequence + 1, reason)

    def _compare(self, run: Run) -> None:
        for sequence, entry_hash in self._wanted.items():
            if run.head.sequence < sequence <= run.last.sequence and not hashes_equal(
                run.hash_of(sequence), entry_hash
            ):
                reason = "the record is not the one that a checkpoint, or the anchor, names"
                raise WalDamage(run.segment, run.since(sequence).offset, sequence, reason)


def _beginning(paths: list[Path]) -> Head:
    """The head that the segments begin behind: the genesis, or what the first line says."""
    if not paths:
        raise WalError("the log has no segment any more")
    if paths[0].name == segment_name(1):
        return EMPTY_HEAD
    head = first_head(paths[0])
    if head is None:
        raise WalDamage(paths[0].name, 0, 1, "the first line cannot be read")
    return head


def _forget(path: Path) -> None:
    """Gives back the memory in which a segment that was read stands."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return  # archived meanwhile
    try:
        forget_pages(descriptor)
    finally:
        os.close(descriptor)

"""Whether the log that is being written is still there, as a start would find it.

Owns what is looked at once a second, beside the look behind each sync (`wal.standing`): segment,
directory and lock while nothing is synced; sealed segments, checkpoints and their manifest; the
key's file. Must not: repair anything.

How it works: what the daemon is writing, or holds as its lock, ends it when it is gone: orders
would be admitted into a file that nobody finds. What is sealed nobody writes any more: the state is
in memory and orders go on, but a person must know before the next start, which would be refused.
Names are listed on another thread, when the directory's own time of change has moved, and now and
then; what is missing twice in succession is said once, since a checkpoint's child may be between
two of its steps.

How it fails: a look that cannot be taken is said once, until it can be. A listing that hangs holds
nothing up.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.process.line_forms import told
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from wal import ChainHasher, LogWriter, WalDisplaced, WalError, WalPoisoned, find_missing

# A change that falls into the same tick of the system's clock as the listing before is seen then.
LIST_EVERY_NS: Final = 60 * NANOSECONDS_PER_SECOND
# Behind a listing so many times its duration pass before the next: a log of 20,000 segments that
# begins one each second is not to cost the loop more than this part of its time.
LIST_REST_FACTOR: Final = 50


class LogWatch:
    """Looks after one log. All calls belong to the loop's thread."""

    def __init__(
        self,
        writer: LogWriter,
        directory: Path,
        hasher: ChainHasher,
        key_file: Path | None,
        *,
        has_checkpoints: Callable[[], bool],
        monotonic_ns: Callable[[], int],
        fail: Callable[[BaseException], None],
        alarm: Callable[[str], None],
    ) -> None:
        """`key_file`: of the log's key, if it came from one. `fail` ends the daemon."""
        self._writer = writer
        self._directory = directory
        self._hasher = hasher
        self._key_file = key_file
        self._key_facts = None if key_file is None else _facts_of(key_file)
        self._has_checkpoints = has_checkpoints
        self._monotonic_ns = monotonic_ns
        self._fail = fail
        self._alarm = alarm
        self._listing: asyncio.Future[tuple[list[str], int]] | None = None
        self._said: set[str] = set()
        self._missing_before: set[str] = set()
        self._lost: set[str] = set()
        self._changed_ns = -1
        self._list_before_ns = self._rest_until_ns = monotonic_ns()

    def look(self) -> None:
        """Looks at all of it. Raises nothing that the system refuses."""
        found: set[str] = set()
        try:
            self._writer.check_standing()
        except (WalDisplaced, WalPoisoned) as error:
            self._fail(error)  # zeros that cannot be written ahead fail between two batches
            return
        except OSError as error:
            found.add(f"the log cannot be looked after: {error}")
        found |= self._look_at_sealed()
        if self._key_file is not None and _facts_of(self._key_file) != self._key_facts:
            found.add(
                f"the key file {self._key_file} was removed, replaced or changed since the start; "
                "the log goes on under the key that was read then, and is not read without it"
            )
        for text in sorted(found - self._said):
            self._alarm(told("log_files", text))
        self._said = found

    def _look_at_sealed(self) -> set[str]:
        """What is missing of the sealed files, as far as it was before, too."""
        now_ns = self._monotonic_ns()
        try:
            if self._listing is not None and self._listing.done():
                self._take_listing(now_ns)
            changed_ns = os.stat(self._directory).st_mtime_ns
        except (OSError, WalError) as error:
            return self._lost | {f"the log's files cannot be looked after: {error}"}
        is_due = changed_ns != self._changed_ns or bool(self._missing_before)
        if self._listing is None and (
            (is_due and now_ns >= self._rest_until_ns) or now_ns >= self._list_before_ns
        ):
            self._changed_ns, self._list_before_ns = changed_ns, now_ns + LIST_EVERY_NS
            loop = asyncio.get_running_loop()
            self._listing = loop.run_in_executor(None, self._list, self._has_checkpoints())
        return self._lost

    def _list(self, with_checkpoints: bool) -> tuple[list[str], int]:
        """On another thread: what is missing, and how long it took to find out."""
        began_ns = self._monotonic_ns()
        missing = find_missing(self._directory, self._hasher, with_checkpoints)
        return missing, self._monotonic_ns() - began_ns

    def _take_listing(self, now_ns: int) -> None:
        """Takes what a listing has found. Raises what it has raised."""
        assert self._listing is not None
        listing, self._listing = self._listing, None
        missing, duration_ns = listing.result()
        self._rest_until_ns = now_ns + LIST_REST_FACTOR * duration_ns
        lost = self._missing_before & set(missing)
        self._missing_before = set(missing)
        self._lost = {f"the log's directory has lost files: {text}" for text in lost}


def _facts_of(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a file from another, and from itself with other bytes; None where it is gone."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns

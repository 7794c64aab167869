"""Durable records from the files of a log that a daemon on this machine writes.

Owns a follower of the files, and the thread that reads them. It needs no key: each line is checked
against the hash that the line before it names, and no more.

How it fails: `SourceError` for what cannot be read or does not chain, `GapError` where the record
to begin with is archived.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from guard.admin.messages import HealthReply
from guard.observe.watch import GapError, SourceError
from wal import Follower, LogState, WalError, WalStartMismatch

PAUSE_S: Final = 0.1
LINES_MAX: Final = 2_000  # at a time: 10 ms of the loop


class LogFiles:
    """The files of a log, in the directory that the daemon names."""

    async def follow(self, first_sequence: int, health: HealthReply) -> AsyncIterator[list[bytes]]:
        """As `guard.observe.watch.Source` says."""
        try:
            follower = await asyncio.to_thread(_begin, Path(health.log_directory), first_sequence)
            yield []
            while True:
                state = follower.state()  # before the look: what comes behind it is for the next
                lines = await asyncio.to_thread(_some, follower)
                if lines:
                    yield lines
                elif state is LogState.ENDED:
                    return
                else:
                    await asyncio.sleep(PAUSE_S)
        except WalStartMismatch as error:
            raise GapError(str(error)) from error
        except (WalError, OSError) as error:
            raise SourceError(str(error)) from error


def _begin(directory: Path, first_sequence: int) -> Follower:
    follower = Follower(directory)
    follower.skip_to_sequence(first_sequence)
    return follower


def _some(follower: Follower) -> list[bytes]:
    return list(itertools.islice(follower.poll(), LINES_MAX))

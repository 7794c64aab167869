"""The checkpoints of a guard that stands by, so that its next start need not fold all again.

Owns when one is taken, and the child that writes it while the log is followed (a state of millions
of orders takes seconds to write, and whoever tells a standby to take over does not wait for that).
At a stop, with nothing left to wait for, the process writes it itself.

How it fails: whatever becomes of one is an alarm, and another one is tried when it is due again;
the log is followed all the same. A child that is ended leaves nothing that a start would use.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.engine.state import GuardState
from guard.process.forked_child import ForkedChild, WaitForGo
from guard.process.line_forms import told
from guard.recovery.checkpoint_schedule import CHILD_LIFE_MAX_NS, write_state
from guard.recovery.recover import Recovered
from wal import ChainHasher, Head, WalError, abandon_checkpoint

_EXPECTED: Final = (WalError, OSError, MemoryError)


class StandbyCheckpoints:
    """Of one log. All calls belong to the loop's thread; what it is given is durable."""

    def __init__(
        self,
        directory: Path,
        hasher: ChainHasher,
        head: Head,
        *,
        interval_ns: int,
        records_min: int,
        monotonic_ns: Callable[[], int],
        alarm: Callable[[str], None],
    ) -> None:
        """`interval_ns`: 0 for none by time. `records_min`: with fewer behind the last, none."""
        self._directory, self._hasher = directory, hasher
        self._interval_ns, self._records_min = interval_ns, records_min
        self._monotonic_ns = monotonic_ns
        self._tell = alarm
        self._child: ForkedChild | None = None
        self._began_ns = monotonic_ns()
        self._sequence = self._child_sequence = head.sequence

    def tick(self, recovered: Recovered) -> None:
        """Begins one that is due, looks after the one that is under way. Waits for nothing."""
        now_ns = self._monotonic_ns()
        if self._child is not None:
            self._look(self._child, now_ns)
        elif 0 < self._interval_ns <= now_ns - self._began_ns:
            self._began_ns = now_ns
            if recovered.head.sequence - self._sequence >= self._records_min:
                self._begin(recovered)

    def take_at_stop(self, recovered: Recovered) -> None:
        """Writes one here and now, if there is enough for it."""
        self.stop()
        head = recovered.head
        if head.sequence - self._sequence < self._records_min:
            return
        try:
            write_state(self._directory, self._hasher, recovered.engine.state, head)
        except _EXPECTED as error:
            self._alarm(str(error) or type(error).__name__)
            return
        self._sequence = head.sequence

    def stop(self) -> None:
        """Ends the child that is at work, if one is, before others touch log or checkpoints."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            abandon_checkpoint(self._directory, self._child_sequence)

    def _begin(self, recovered: Recovered) -> None:
        head = recovered.head

        def work(frozen: GuardState, _wait_for_go: WaitForGo) -> str:
            return write_state(self._directory, self._hasher, frozen, head).path.name

        try:
            self._child = ForkedChild.start(work, recovered.engine.state, _EXPECTED)
        except (OSError, MemoryError) as error:
            self._alarm(f"cannot fork: {error}")
            return
        self._child_sequence = head.sequence

    def _look(self, child: ForkedChild, now_ns: int) -> None:
        ended = child.poll()
        if ended is not None:
            self._child = None
            if ended.word is None:
                self._alarm(ended.problem or "")
            else:
                self._sequence = self._child_sequence
        elif now_ns - self._began_ns > CHILD_LIFE_MAX_NS:
            self.stop()
            self._alarm("it took too long and was ended")

    def _alarm(self, problem: str) -> None:
        self._tell(told("checkpoint_failed", f"no checkpoint was taken: {problem}"))

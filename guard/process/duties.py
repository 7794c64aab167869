"""A duty of the daemon's that may fail for a while: alone, said, and tried again.

Owns what counts as such a failure, and when it is told: once when it begins, once when it works
again, and not more often than `REST_NS` where the two follow each other. What else comes out of a
duty is a bug of ours or the log's error, and the caller's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from guard.process.line_forms import told
from kernel import InvariantError
from wal import WalError, WalPoisoned
from wal.failpoint import reach

# No descriptor, no memory, no thread, a directory or a disk that does not answer as it should: what
# an operator mends without a restart. (A thread that cannot be had is a RuntimeError.)
ENVIRONMENT: Final = (OSError, WalError, MemoryError, RuntimeError)
REST_NS: Final = 60_000_000_000
TRIED_AGAIN: Final = "fails; orders go on, it is tried again at each beat"

# Where a test may kill the process, or have a duty fail.
FAILPOINTS: Final = ("duty.before",)


@dataclass(slots=True)
class Duty:
    """What is done again and again. `name`: as in "the anchor", for "the anchor fails"."""

    name: str
    do: Callable[[], None]
    tolerated: tuple[type[Exception], ...] = ENVIRONMENT
    _failures: int = field(default=0, init=False)
    _began_ns: int = field(default=0, init=False)
    _is_told: bool = field(default=False, init=False)
    _silent_until_ns: int | None = field(default=None, init=False)

    def perform(
        self, now_ns: int, say: Callable[[str], None], alarm: Callable[[str], None]
    ) -> bool:
        """Does it; whether that went well. Raises what is not tolerated."""
        try:
            reach("duty.before")
            self.do()
        except (WalPoisoned, InvariantError):
            raise
        except self.tolerated as error:
            self._note_failure(error, now_ns, alarm)
            return False
        self._note_success(now_ns, say)
        return True

    def _note_failure(self, error: Exception, now_ns: int, alarm: Callable[[str], None]) -> None:
        if not self._failures:
            self._began_ns = now_ns
        self._failures += 1
        may_tell = self._silent_until_ns is None or now_ns >= self._silent_until_ns
        if may_tell and not self._is_told:
            self._is_told, self._silent_until_ns = True, now_ns + REST_NS
            reason = str(error) or type(error).__name__
            text = f"{self.name} {TRIED_AGAIN}: {reason}"
            alarm(told("duty_failed", text, duty=self.name, reason=reason))

    def _note_success(self, now_ns: int, say: Callable[[str], None]) -> None:
        if self._is_told:
            lasted_s = (now_ns - self._began_ns) / 1e9
            times = "once" if self._failures == 1 else f"{self._failures} times"
            text = f"{self.name} works again; it had failed {times} in {lasted_s:.1f} s"
            say(told("duty_works", text, duty=self.name))
        self._failures, self._is_told = 0, False

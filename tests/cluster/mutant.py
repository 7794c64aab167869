"""A guard that breaks one promise on purpose, for the torture to find.

    python mutant.py NAME PYTHON ... -m guard.cli COMMAND ...

Owns the mutants: each replaces one thing of the guard's, and then is the guard's command line. What
of PYTHON and its options stands before the command is left out.
"""

import sys
from collections.abc import Callable

from guard.cli import main
from guard.cluster import quorum, sight, statements
from guard.protocol.value_types import Behind
from wal import Head


def answers_before_the_quorum() -> None:
    """The local disk is enough."""

    async def confirm(_self: quorum.Quorum, _head: Head) -> None:
        return

    quorum.Quorum.confirm = confirm  # type: ignore[method-assign]


def answers_without_a_fence() -> None:
    """What stands on no new record is answered at once."""

    async def confirm(self: quorum.Quorum, head: Head) -> None:
        while self._acknowledged.sequence < head.sequence:
            await self._next()

    quorum.Quorum.confirm = confirm  # type: ignore[method-assign]


def writes_in_any_epoch() -> None:
    """An epoch that has ended is as good as another, if nobody ends its sessions."""
    for name in ("INSERT_BATCH", "BEAT"):
        text = getattr(statements, name)
        assert "epoch = $2" in text
        setattr(statements, name, text.replace("epoch = $2", "epoch >= $2"))
    for name in ("END_SESSIONS", "END_WAITING"):
        text = getattr(statements, name)
        assert "pg_terminate_backend(pid)" in text
        setattr(statements, name, text.replace("pg_terminate_backend(pid)", "pid = 0"))


def calls_itself_current() -> None:
    """A standby says that it has all that there is."""

    def behind(_self: sight.Sight, _now_ns: int) -> Behind:
        return Behind(0, 0)

    sight.Sight.behind = behind  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        answers_before_the_quorum,
        answers_without_a_fence,
        writes_in_any_epoch,
        calls_itself_current,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    arguments = sys.argv[sys.argv.index("guard.cli") + 1 :]
    sys.argv[1:] = arguments
    sys.exit(main())

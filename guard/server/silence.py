"""Clients that have to show signs of life, and what is done of one that shows none.

Owns the count of silence. A client with `halt_on_silence_s` sends `ping`s; where none of its
connections has for so long, counted from the start on, a latch `silence` lets its desks but reduce
their positions (of all desks, where it may trade all). Nothing of its orders is canceled here: they
are listed by `admin orders`, and whoever cancels them at the venue reports that. A person lifts the
latch; of a client that is silent still it is set again at the next look.

How it works: a look a second adds the time since the one before. A look that comes late, or finds
the disk holding everything up, adds nothing: whether the client was silent then, nobody read.

How it fails: it does not, but for what `record` raises.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from guard.engine.actor import Actor
from guard.engine.latches import OF_ALL
from guard.engine.people_events import LatchSet
from guard.engine.state import GuardState
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.server.permits import Permit

# A look later than that was held up, and so was all else.
LATE_NS: Final = 2 * NANOSECONDS_PER_SECOND
KIND: Final = "silence"


@dataclass(slots=True)
class _Heard:
    """Of one client: its pings when it was looked at last, and how long there was none since."""

    pings: int
    silent_ns: int = 0


class SilenceWatch:
    """Those of one daemon. All calls belong to the loop's thread."""

    def __init__(
        self,
        state: GuardState,
        bound: Callable[[], Iterable[Permit]],
        *,
        is_held_up: Callable[[], bool],
        record: Callable[[LatchSet], None],
        actor: Callable[[str], Actor],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """`bound`: the clients that have to show signs of life. `actor`: of (why)."""
        self._state, self._bound, self._is_held_up = state, bound, is_held_up
        self._record, self._actor, self._monotonic_ns = record, actor, monotonic_ns
        self._heard: dict[str, _Heard] = {}
        self._looked_ns = monotonic_ns()

    def look(self) -> None:
        """Once a second."""
        now_ns = self._monotonic_ns()
        passed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if passed_ns > LATE_NS or self._is_held_up():
            passed_ns = 0
        heard = {}
        for permit in self._bound():
            one = self._heard.get(permit.name) or _Heard(permit.pings)
            if permit.pings != one.pings:
                one.pings, one.silent_ns = permit.pings, 0
            else:
                one.silent_ns += passed_ns
            heard[permit.name] = one
            longest_s = permit.terms.halt_on_silence_s or 0
            if one.silent_ns > longest_s * NANOSECONDS_PER_SECOND:
                self._stop(permit, one.silent_ns)
        self._heard = heard

    def _stop(self, permit: Permit, silent_ns: int) -> None:
        """Its desks may but reduce their positions, if that is not so already."""
        desks = [OF_ALL] if permit.desks is None else sorted(permit.desks)
        for desk in desks:
            if desk not in self._state.desks and desk != OF_ALL:
                continue
            if KIND not in self._state.latches.of(desk, OF_ALL):
                why = f"client {permit.name!r} has sent no ping for {silent_ns // 10**9} s"
                event = self._actor(why).event(LatchSet, desk=desk, symbol=OF_ALL, latch=KIND)
                self._record(event)

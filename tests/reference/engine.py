"""The engine: the one state machine that live, recovery, replay and simulation all run. Pure.

Owns the state and its sequence numbers. *Decide* turns a request, the state and an origin into an
outcome or a plain reply (`reference.decide_entry`, `reference.decide_execution`); *apply* folds an
outcome into the state (`reference.apply`). No socket, file or clock.

How it is used: live decides, writes the record, applies, and answers once the record is on disk;
recovery applies what the log says; replay decides again, compares, then applies. Between a
`decide` that returned `Decided` and its `apply` no other request may be decided.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.engine.events import Decided, Outcome
from guard.protocol.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Fill,
    Order,
    Ping,
    Pong,
    Reply,
    Request,
    Stats,
    StatsReply,
    Status,
)
from kernel import KernelInputError
from reference.apply import apply_outcome
from reference.decide_entry import decide_order
from reference.decide_execution import answer_status, decide_cancel, decide_fill
from reference.origin import Origin
from reference.state import GuardState

# Where the pipeline fills in the durable head: it is known only when the reply leaves. So are its
# counters, of which the engine knows none.
HEAD_UNKNOWN: Final = 0


def _answer_ping(state: GuardState, _ping: Ping, _origin: Origin) -> Pong:
    return Pong(HEAD_UNKNOWN, "", state.log_id, PROTOCOL_VERSION)


def _answer_stats(_state: GuardState, _stats: Stats, _origin: Origin) -> StatsReply:
    return StatsReply({}, [])


_DECIDE: Final[dict[type, Callable[[GuardState, Any, Origin], Decided | Reply]]] = {
    Order: decide_order,
    Fill: decide_fill,
    Cancel: decide_cancel,
    Status: answer_status,
    Ping: _answer_ping,
    Stats: _answer_stats,
}


class Engine:
    """The state, and the two halves that read and change it."""

    __slots__ = ("state",)

    def __init__(self, state: GuardState | None = None) -> None:
        self.state = GuardState() if state is None else state

    @property
    def next_sequence(self) -> int:
        """The log sequence of the next outcome."""
        return self.state.next_sequence

    def decide(self, request: Request, origin: Origin) -> Decided | Reply:
        """What the rules say to a request: an outcome to log and apply, or a plain reply."""
        try:
            return _DECIDE[type(request)](self.state, request, origin)
        except OverflowError as error:  # of a recorded request: one from a client is bounded
            raise KernelInputError(f"a request holds an impossible integer: {error}") from error

    def apply(self, sequence: int, outcome: Outcome) -> None:
        """Folds an outcome into the state. Raises InvariantError where it cannot follow."""
        apply_outcome(self.state, sequence, outcome)

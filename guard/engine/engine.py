# cython: annotation_typing=False
"""The engine: the one state machine that live, recovery, replay and simulation all run. Pure.

Owns the state and its sequence numbers. *Decide* turns a request, on the state, into an outcome
(`guard.engine.decide`); *apply* folds an outcome into the state (`guard.engine.apply`), and an
administrative event likewise (`guard.engine.apply_event`). No socket, file or clock.

How it is used: live decides, writes the record, applies, and answers once the record is on disk;
recovery applies what the log says; replay decides again, compares, then applies. Between a `decide`
whose outcome is to be recorded and its `apply` no other request may be decided.
"""

from typing import Any

from guard.engine import apply as applying
from guard.engine import decide as deciding
from guard.engine.apply_event import apply_event
from guard.engine.order_group import OrderGroup, apply_group, decide_group
from guard.engine.state import GuardState
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request


class Engine:
    """The state, and the two halves that read and change it."""

    def __init__(self, state: GuardState | None = None) -> None:
        self.state = GuardState() if state is None else state

    @property
    def next_sequence(self) -> int:
        """The log sequence of the next outcome."""
        return self.state.next_sequence

    def decide(self, request: Request, outcome: Outcome) -> bool:
        """Puts what the rules give for a request into `outcome`: is it to be recorded?"""
        deciding.decide(self.state, request, outcome)
        return deciding.is_recorded(outcome)

    def apply(self, request: Request, outcome: Outcome) -> int:
        """Folds an outcome into the state. Raises InvariantError where it cannot follow."""
        return applying.apply(self.state, request, outcome)

    def decide_group(self, group: OrderGroup) -> bool:
        """The same of orders that stand or fall together."""
        return decide_group(self.state, group)

    def apply_group(self, group: OrderGroup) -> None:
        """Folds what was decided of them into the state. Raises InvariantError likewise."""
        apply_group(self.state, group)

    def apply_event(self, sequence: int, event: Any) -> None:
        """Folds an administrative event into the state. Raises InvariantError likewise."""
        apply_event(self.state, sequence, event)

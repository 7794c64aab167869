"""Tells the operator of latches (`guard.engine.latches`): each once, when it is set or at a start.

How it fails: it does not, but for what `alarm` raises.
"""

from collections.abc import Callable

from guard.engine.latches import LatchEntry, place_words
from guard.engine.state import GuardState
from guard.process.line_forms import told


class LatchAlarms:
    """What was told of the latches of a state."""

    def __init__(self, state: GuardState, alarm: Callable[[str], None]) -> None:
        self._state, self._alarm = state, alarm
        self._told: set[LatchEntry] = set()

    def look(self) -> None:
        """Once a second: tells of those that were set since."""
        if not self._state.has_latches and not self._told:
            return
        latches = set(self._state.latches.entries())
        for desk, symbol, kind, sequence in sorted(latches - self._told):
            named = f"{kind} {desk} --symbol {symbol}" if symbol else f"{kind} {desk}".strip()
            text = (
                f"{place_words(desk, symbol)}: latch {kind} is set, by record {sequence}: "
                "positions there may but be reduced, until a person lifts it (`pretrade-guard "
                f"admin lift {named}`)"
            )
            self._alarm(told("latched", text, desk=desk, symbol=symbol, latch=kind))
        self._told = latches
